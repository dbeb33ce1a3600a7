"""Weights of everyday users, by the calls that `transfer.load` prints for them.

The counts are those of ../shared/weights/README.md: right of 10,000 test images.
"""

import re

import numpy as np
import pytest

from cnnjax import data, transfer
from cnnjax.errors import InputError
from tests.test_transfer import correct


def printed(path, *wanted):
    """Returns the first call in the error of `load(path)` that has all of `wanted` in it."""
    with pytest.raises(InputError, match="fit several functions") as raised:
        transfer.load(path)
    calls = re.findall(r"transfer\.load\(.*\)", str(raised.value))
    return next(call for call in calls if all(word in call for word in wanted))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "name", "mean", "std", "count"),
    [
        ("cifar_net_CamronAlexanderHirst.pth", "cifar10", 0.5, 0.5, 5492),
        ("lenet5_Death-of-life.pth", "mnist", 0, 1, 9860),
        # Trained on digits as PyTorch's example normalises them.
        ("lenet_Messiah-Leo.pt", "mnist", 0.1307, 0.3081, 9862),
        ("mnist_Leowbattle.safetensors", "mnist", 0.1307, 0.3081, 9509),
        ("mnist_cnn_l-reich.pt", "mnist", 0.1307, 0.3081, 9910),
    ],
)
def test_files_count_as_at_home_by_the_first_call_that_is_printed(
    shared, file, name, mean, std, count
):
    call = printed(shared / "weights" / file, "act='relu'", "pool='max'")
    network, variables = eval(call, {"transfer": transfer})
    test = data.load(name, data_dir=str(shared / "tfds")).test
    images = (test.images / np.float32(255) - np.float32(mean)) / np.float32(std)
    assert correct(network, variables, images, test.targets["label"]) == count
