"""Real weights find their digits; everything that does not fit is said in a table."""

import logging
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from cnnjax import data, models, transfer, tree
from cnnjax.errors import InputError
from cnnjax.transfer import torch

# The network of github.com/Gurdeepsingh-10/mnist, by fields.
TWO_BLOCKS = {"blocks": ((32,), (64,)), "units": (128,), "pool_last": True}
RELU = {"act": "relu", "pool": "max"}


def correct(network, variables, images, labels):
    """Counts the images that the network gets right."""
    predict = jax.jit(lambda v, x: network.apply(v, x, train=False).argmax(-1))
    parts = zip(np.split(images, 20), np.split(labels, 20), strict=True)
    return sum(int((predict(variables, x) == y).sum()) for x, y in parts)


@pytest.fixture(scope="module")
def mnist(shared):
    return data.load("mnist", data_dir=str(shared / "tfds")).test


# The counts are those of ../shared/weights/README.md.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "fields", "count"),
    [
        ("first_convnet", "keras2.3.1_mnist_ikukang.h5", {}, 9908),
        ("first_convnet", "keras_mnist_Gurdeepsingh.h5", TWO_BLOCKS, 9876),
        ("first_convnet", "keras_mnist_Gurdeepsingh.keras", TWO_BLOCKS, 9876),
        ("lenet5", "lenet5_Death-of-life.pth", RELU, 9860),
    ],
)
def test_real_weights_read_as_many_digits_as_at_home(shared, mnist, name, file, fields, count):
    network, variables = transfer.load(name, shared / "weights" / file, **fields)
    images = mnist.images / np.float32(255)
    assert correct(network, variables, images, mnist.targets["label"]) == count


@pytest.mark.slow
def test_a_fully_connected_layer_may_come_as_a_convolution_of_the_whole_map(shared, mnist):
    path = shared / "weights" / "lenet_khushbujpatel.pt"  # its C5 is 5x5x16 to 120
    network, variables = transfer.load("lenet5", path, padding="valid", **RELU)
    large = [Image.fromarray(x[..., 0]).resize((32, 32), Image.Resampling.BILINEAR)
             for x in mnist.images]  # fmt: skip
    images = (np.stack(large)[..., None] / np.float32(255) - np.float32(0.1307)) / np.float32(
        0.3081
    )
    assert correct(network, variables, images, mnist.targets["label"]) == 9905


def test_no_framework_is_imported(shared):
    """Their names stand for nothing in that process: an import of one would fail."""
    code = f"""
import sys
for name in ("torch", "keras", "tensorflow", "torchvision", "timm"):
    sys.modules[name] = None
from cnnjax import transfer
lenet = {str(shared / "weights" / "lenet5_Death-of-life.pth")!r}
transfer.load("lenet5", lenet, act="relu", pool="max")
transfer.load("first_convnet", {str(shared / "weights" / "keras2.3.1_mnist_ikukang.h5")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


# Where our leaves go in a state dict of torchvision's ResNet: the test's own account of it.
def resnet_name(leaf):
    *path, last = leaf.split("/")[1:]
    kind = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    module = {"stem": "", "head": "fc"}.get(path[0])
    if module is None:
        stage, block = path[0].removeprefix("stage").split("_block")
        module = f"layer{stage}.{int(block) - 1}"
    if path[0] != "head":
        unit = "conv1" if path[0] == "stem" else path[1]
        normal = path[-1] == "norm"
        if unit == "shortcut":
            unit = f"downsample.{int(normal)}"
        elif normal:
            unit = unit.replace("conv", "bn")
        module = f"{module}.{unit}".removeprefix(".")
    return f"{module}.{kind.get(last, last)}"


@pytest.fixture(scope="module")
def resnet():
    """A ResNet-18 for 5 classes: our leaves by name, and the tensors of its state dict."""
    network = models.build("resnet18", 5, "torch")
    shapes = tree.shapes(
        jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))
    )
    generator = np.random.default_rng(0)
    leaves = {name: generator.standard_normal(s, np.float32) for name, s in shapes.items()}
    tensors = {}
    for leaf, values in leaves.items():
        order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(values.ndim, (0,))
        tensors[resnet_name(leaf)] = np.ascontiguousarray(values.transpose(order))
        if leaf.endswith("mean"):
            tensors[resnet_name(leaf).replace("running_mean", "num_batches_tracked")] = np.array(3)
    return leaves, tensors


@pytest.fixture
def saved(resnet, tmp_path):
    """Writes the state dict, with changes, as safetensors, and returns the path."""

    def write(change=lambda tensors: None, name="file.safetensors"):
        tensors = dict(resnet[1])
        change(tensors)
        save_file(tensors, tmp_path / name)
        return tmp_path / name

    return write


def test_every_leaf_is_its_tensor_in_our_layout(resnet, saved):
    network, variables = transfer.load("resnet18", saved())
    assert network == models.build("resnet18", 5, "torch")
    found = tree.flatten(variables)
    assert found.keys() == resnet[0].keys()
    for name, values in resnet[0].items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == jnp.float32


def test_the_prefix_of_a_wrapper_is_dropped(resnet, saved):
    def wrap(tensors):
        for name in list(tensors):
            tensors[f"module.{name}"] = tensors.pop(name)

    _, variables = transfer.load("resnet18", saved(wrap))
    np.testing.assert_array_equal(
        variables["params"]["head"]["bias"], resnet[0]["params/head/bias"]
    )


@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float64"))
def test_other_floats_become_float32(resnet, tmp_path, dtype):
    values = {name: jnp.asarray(t, "float32").astype(dtype) if dtype == "bfloat16" else
              np.asarray(t, dtype) for name, t in resnet[1].items()}  # fmt: skip
    from safetensors.flax import save_file as save_flax

    (save_flax if dtype == "bfloat16" else save_file)(values, tmp_path / "file.safetensors")
    _, variables = transfer.load("resnet18", tmp_path / "file.safetensors")
    bias = variables["params"]["head"]["bias"]
    assert bias.dtype == jnp.float32
    np.testing.assert_array_equal(
        bias, np.asarray(values["fc.bias"]).astype(np.float32), strict=True
    )


def test_another_number_of_classes_keeps_all_but_the_head_and_says_so(resnet, saved, caplog):
    with caplog.at_level(logging.WARNING):
        network, variables = transfer.load("resnet18", saved(), classes=7)
    assert network.classes == 7
    assert "initialised afresh: params/head/kernel, params/head/bias" in caplog.text
    found = tree.flatten(variables)
    assert found["params/head/kernel"].shape == (512, 7)
    assert 0 < np.std(found["params/head/kernel"]) < 1 and not np.any(found["params/head/bias"])
    for name, values in resnet[0].items():
        if "head" not in name:
            np.testing.assert_array_equal(found[name], values, err_msg=name)
    other = transfer.load("resnet18", saved(), classes=7, key=jax.random.key(1))[1]
    assert np.any(other["params"]["head"]["kernel"] != found["params/head/kernel"])


def test_missing_left_over_and_misshapen_tensors_are_told_by_name_and_shape(saved):
    def change(tensors):
        tensors["layer2.0.conv1.weigth"] = tensors.pop("layer2.0.conv1.weight")
        tensors["layer3.1.bn2.bias"] = np.zeros(128, np.float32)
        tensors["extra.weight"] = np.zeros((2, 3), np.float32)

    with pytest.raises(InputError) as raised:
        transfer.load("resnet18", saved(change))
    lines = [" ".join(line.split()) for line in str(raised.value).splitlines()]
    assert lines[0].endswith("file.safetensors does not hold resnet18 (as torch):")
    assert lines[1:] == [
        "missing params/stage2_block1/conv1/conv/kernel <- layer2.0.conv1.weight (128, 64, 3, 3) "
        "near: layer2.0.conv1.weigth",
        "misshapen params/stage3_block2/conv2/norm/bias <- layer3.1.bn2.bias (256,) found (128,)",
        "left over extra.weight (2, 3)",
        "left over layer2.0.conv1.weigth (128, 64, 3, 3)",
    ]


def test_a_long_difference_is_cut(saved):
    with pytest.raises(InputError, match=r"\.\.\. and \d+ more$") as raised:
        transfer.load("resnet34", saved())
    assert len(str(raised.value).splitlines()) == 22


def test_a_file_of_another_framework_than_a_network_has_is_refused(saved, shared):
    with pytest.raises(InputError, match="is a torch file; none is known for inception_v3 in the"):
        transfer.load("inception_v3", saved(), dialect="keras")
    with pytest.raises(InputError, match="is a keras file; none is known for googlenet"):
        transfer.load("googlenet", shared / "weights" / "keras2.3.1_mnist_ikukang.h5")
    with pytest.raises(InputError, match="unknown network 'resnet19'"):
        transfer.load("resnet19", saved())


def test_the_format_is_found_in_the_file_not_in_its_name(saved, shared, tmp_path):
    assert transfer.load("resnet18", saved(name="weights.h5"))[0].classes == 5
    copy = tmp_path / "weights.pth"
    shutil.copy(shared / "weights" / "keras_mnist_Gurdeepsingh.keras", copy)
    assert transfer.read(copy)[0] == "keras"


@pytest.mark.parametrize(
    "file",
    [
        "keras2.3.1_mnist_ikukang.h5",
        "keras_mnist_Gurdeepsingh.keras",
        "lenet5_Death-of-life.pth",
        "resnet20-12fca82f.th",
        "file.safetensors",
    ],
)
def test_a_truncated_file_is_a_plain_error_whatever_its_format(saved, shared, tmp_path, file):
    path = saved() if file == "file.safetensors" else shared / "weights" / file
    whole = path.read_bytes()
    cut = tmp_path / "cut"
    for length in (0, 1, 12, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cut"):
            transfer.read(cut)
    with pytest.raises(InputError, match="cannot read .*absent: No such file"):
        transfer.read(tmp_path / "absent")


def test_a_dense_layer_after_a_flattening_sees_the_maps_in_its_own_order(tmp_path):
    """torch flattens (channels, height, width), we (height, width, channels)."""
    weight = np.arange(2 * 12, dtype=np.float32).reshape(2, 12)
    maps = np.random.default_rng(0).standard_normal((2, 2, 3))  # height, width, channels
    kernel = torch.arranged(weight, (12, 2), 3)
    np.testing.assert_allclose(
        maps.reshape(-1) @ kernel, weight @ np.moveaxis(maps, -1, 0).reshape(-1)
    )
