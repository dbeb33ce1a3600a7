"""Does padding keep information of the border?"""

from cnnjax.sweep.study import Study
from experiments.studies import pooling

STUDY = Study(
    claim="Padding prevents the loss of information at the border of an image.",
    source='The articles on convolutions ("S0", "S1").',
    question="Does padding help?",
    base=pooling.base,
    points={"padded": {"model.padding": "same"}, "valid": {"model.padding": "valid"}},
    expects={"valid": -1},
    remarks="Without padding the maps shrink as well, and the first dense layer with them.",
)
