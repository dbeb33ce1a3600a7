"""A file that Keras wrote of a model gives, by its path alone, the model's outputs."""

import numpy as np
import pytest

from cnnjax import transfer
from tests.oracles.keras_models import NETWORKS, drawn, inputs


def agrees(model, path, **fields):
    """Compares a model with what is read from `path`; returns the module and its variables."""
    given = inputs(model)
    module, variables = transfer.load(path, **fields)
    theirs = model(given if len(given) > 1 else given[0], training=False)
    ours = module.apply(variables, given if len(given) > 1 else given[0], train=False)
    theirs = theirs if isinstance(theirs, list | tuple) else [theirs]
    ours = ours if isinstance(ours, tuple) else [ours]
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)
    return module, variables


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ("h5", "keras"))
@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_of_keras_is_rebuilt_from_what_it_says(tmp_path, name, ending):
    model = drawn(NETWORKS[name]())
    path = tmp_path / f"model.{ending}"
    model.save(path)
    agrees(model, path)
