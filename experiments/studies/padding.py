"""Does padding keep information of the border?"""

from cnnjax.sweep.study import Study
from experiments import studies

STUDY = Study(
    claim="Padding prevents the loss of information at the border of an image.",
    source='The articles on convolutions ("S0", "S1").',
    question="Does padding help?",
    base=studies.digits(),
    points={
        "padded": {"model.padding": "same"},
        "valid": {"model.padding": "valid"},
        "valid, as wide": {"model.padding": "valid", "model.units": (128,)},
    },
    expects={"valid": -1, "valid, as wide": -1},
    remarks="Without padding the maps shrink as well, and the first dense layer with them; a wider "
    "one makes up for its weights.",
)
