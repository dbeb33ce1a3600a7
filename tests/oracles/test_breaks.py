"""The comparison notices each mistake that it exists for, and where it begins.

Every one of them leaves all shapes and parameter counts as they are.
"""

from __future__ import annotations

import contextlib

import pytest
from flax import linen as nn

from tests.oracles import pair
from tests.oracles.cases import ORACLES
from tests.oracles.test_oracles import FLOAT32

pytestmark = pytest.mark.filterwarnings("ignore")
CASES = {str(case): case for case in ORACLES}
BREAKS = {
    "padding: same for 1": ("mobilenet_v2-torchvision", {"symmetric": False}, "stem"),
    "padding: 1 for same": ("mobilenet_v1-keras", {"symmetric": True}, "stem"),
    "stride on the 1x1": ("resnet50-torchvision", {"stride_on": "1x1"}, "stage2_block4"),
    "stride on the 3x3": ("resnet50-keras", {"stride_on": "3x3"}, "stage2_block4"),
    "stride in the first block": ("resnet50_v2-keras", {"stride_in": "first"}, "stage1_block3"),
    "epsilon 1e-3 for 1e-5": ("resnet18-torchvision", {"epsilon": 1e-3}, "stem"),
    "epsilon 1e-5 for 1e-3": ("densenet121-keras", {"epsilon": 1e-3}, "stem"),
    "padding counted": ("inception_v3-keras", {"count_padding": True}, "stage1_block3"),
    "padding not counted": ("inception_v3-torchvision", {"count_padding": False}, "stage1_block3"),
    "padding of a max-pool": ("resnet50_v2-keras", {"pool_sees_zeros": False}, "stage1_block3"),
    "ceil mode": ("squeezenet1_1-torchvision", {"ceil_mode": False}, "stage1_block2"),
    "relu for relu6": ("mobilenet_v2-timm", {"act": "relu"}, "stage6_block3"),
}
ODD = ("ceil mode",)  # no window is incomplete in images of even size


def first_wrong(errors):
    return next((stage for stage, error in errors.items() if error > FLOAT32), None)


@pytest.mark.parametrize("mistake", BREAKS)
def test_a_mistake_is_caught_where_it_begins(mistake, tmp_path):
    name, fields, stage = BREAKS[mistake]
    side = CASES[name].sides[mistake in ODD]
    errors = pair.make(CASES[name], side, tmp_path).errors(**fields)
    assert first_wrong(errors) == stage, errors
    assert errors["logits"] > 10 * FLOAT32, errors


@contextlib.contextmanager
def without_relu(path):
    """Leaves out the activation of the one unit `path`."""

    def skip(call, args, kwargs, context):
        if "/".join(context.module.path) == path and hasattr(context.module, "act"):
            object.__setattr__(context.module, "act", "linear")
        return call(*args, **kwargs)

    with nn.intercept_methods(skip):
        yield


@pytest.mark.parametrize(
    ("name", "path", "stage"),
    [
        ("resnet18-torchvision", "stage2_block1/conv1", "stage2_block2"),
        ("googlenet-torchvision", "stage2_block3/branch3x3_2", "stage2_block5"),
        ("inception_resnet_v2-timm", "stage3_block4/branches/branch3x3_3", "stage3_block11"),
    ],
)
def test_a_single_missing_relu_is_caught_in_its_stage(name, path, stage, tmp_path):
    both = pair.make(CASES[name], CASES[name].sides[0], tmp_path)
    with without_relu(path):
        errors = both.errors()
    assert first_wrong(errors) == stage, errors
    assert errors["logits"] > 10 * FLOAT32, errors
