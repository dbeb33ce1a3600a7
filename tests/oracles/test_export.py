"""What `cnnjax.export` writes, read by whom it is for: every weight in its place, to the bit."""

import os

import numpy as np
import pytest

from cnnjax import export, transfer
from cnnjax.evaluation import opened
from tests.oracles import pair
from tests.oracles.test_breaks import CASES
from tests.test_export_names import network

pytestmark = pytest.mark.filterwarnings("ignore")
TORCH = (
    "alexnet-torchvision", "densenet121-torchvision", "googlenet-torchvision",
    "inception_v3-torchvision", "mobilenet_v2-torchvision", "resnet18-torchvision",
    "resnext50_32x4d-torchvision", "squeezenet1_1-torchvision", "vgg11_bn-torchvision",
    "inception_resnet_v2-timm", "mobilenet_v1-timm", "nasnet_large-timm",
    "resnet50_v2-timm", "xception-timm", "resnet20-torch",
)  # fmt: skip
KERAS = (
    "densenet121-keras", "inception_resnet_v2-keras", "inception_v3-keras", "mobilenet_v1-keras",
    "mobilenet_v2-keras", "nasnet_mobile-keras", "resnet50-keras", "resnet50_v2-keras",
    "vgg16-keras", "xception-keras", "lenet5-keras", "mnist_cnn-keras", "first_convnet-keras",
)  # fmt: skip


def trained(case, both):
    """Returns the network as a user of a file has it."""
    words = " ".join(f"{field}={value}" for field, value in case.told)
    side = both.images.shape[1]
    shape = "{},{},{}".format(*both.images.shape[1:])
    asked = f"{case.name} {words} {f'dialect={case.dialect}' if case.dialect else ''}"
    asked += f" input_shape=({shape})" if case.flattens else ""
    return opened.network(both.path, asked=asked, preprocessing=f"size={side}")


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_loads_every_tensor_into_its_place(name, tmp_path):
    torch = pytest.importorskip("torch")
    case = CASES[name]
    both = pair.make(case, 224 if case.flattens else case.sides[0], tmp_path)
    export.write(trained(case, both), "torch", path := tmp_path / "ours.pth")
    found = torch.load(path, weights_only=True)
    theirs = both.framework.build(case.source, case.oracle, 0)
    wanted = both.model.state_dict()
    missing, unexpected = theirs.load_state_dict(found, strict=False)
    assert not unexpected
    assert all("aux" in key.lower() or "num_batches" in key for key in missing), missing
    loaded = theirs.state_dict()
    for key in found:
        np.testing.assert_array_equal(loaded[key].numpy(), wanted[key].numpy(), err_msg=key)
    # The auxiliary heads, which our networks have when they are asked for them, stay behind.
    counts = {key for key in wanted if key.endswith("num_batches_tracked")}
    assert wanted.keys() - found.keys() - counts == set(missing) - counts


@pytest.mark.parametrize("name", KERAS)
def test_keras_loads_every_array_into_its_place(name, tmp_path):
    case = CASES[name]
    side = 224 if name == "vgg16-keras" else case.sides[0]
    both = pair.make(case, side, tmp_path)
    export.write(trained(case, both), "keras", path := tmp_path / "ours.weights.h5")
    theirs = both.framework.build(case.source, case.oracle, side)
    theirs.load_weights(path)
    for ours, wanted in zip(theirs.weights, both.model.weights, strict=True):
        if "seed" not in wanted.path:
            np.testing.assert_array_equal(ours, wanted, err_msg=wanted.path)


def test_onnx_computes_the_same_for_any_batch(tmp_path):
    pytest.importorskip("jax2onnx", reason="needs jax2onnx, see CONTRIBUTING, Dependencies")
    engine = pytest.importorskip("onnxruntime")
    ours = network("lenet5", (28, 28, 1))
    export.write(ours, "onnx", path := tmp_path / "x.onnx")
    session = engine.InferenceSession(path)
    for count in (1, 3):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 28, 28, 1)).astype(np.float32)
        (found,) = session.run(None, {session.get_inputs()[0].name: pixels})
        wanted = ours.module.apply(ours.variables, ours.preprocess(pixels), train=False)
        assert np.linalg.norm(found - wanted) < 1e-5 * np.linalg.norm(wanted)


def test_the_container_is_that_of_torch_save(tmp_path):
    torch = pytest.importorskip("torch")
    from cnnjax.export.torch import write

    state = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([4])}
    state["whole"] = np.asarray(5, np.float32)
    write(tmp_path / "x.pth", state)
    for found in (torch.load(tmp_path / "x.pth"), transfer.read(tmp_path / "x.pth")[1]):
        assert list(found) == list(state)
        for key, value in state.items():
            np.testing.assert_array_equal(np.asarray(found[key]), value)
    again = tmp_path / "again.pth"
    write(again, state)
    assert again.read_bytes() == (tmp_path / "x.pth").read_bytes()
    assert os.path.getsize(again) < 2000
