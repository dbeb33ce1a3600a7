"""Files of everyday users, by the calls printed for them, equal to their networks in PyTorch."""

import itertools

import numpy as np
import pytest

from cnnjax import transfer
from tests.test_real_weights import printed

torch = pytest.importorskip("torch")
nn = torch.nn


def fashion():
    blocks = [
        layer
        for i, o in ((1, 32), (32, 64), (64, 128))
        for layer in (nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(1152, 256), nn.ReLU(), nn.Linear(256, 10))


def dense():
    sizes = (784, 64, 64, 64, 10)
    layers = [nn.Flatten()]
    for i, o in itertools.pairwise(sizes):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mobilenet():
    """The network of github.com/kuangliu/pytorch-cifar at a quarter of its width."""

    def unit(i, o, kernel, stride, groups=1):
        conv = nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(o), nn.ReLU()]

    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5,
            (1024, 2), (1024, 1)]  # fmt: skip
    layers, width = unit(3, 8, 3, 1), 8
    for features, stride in rows:
        layers += unit(width, width, 3, stride, width) + unit(width, features // 4, 1, 1)
        width = features // 4
    return nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 10))


@pytest.mark.parametrize(
    ("file", "build", "side", "channels"),
    [
        ("fashion_batchnorm_riya-1711.pth", fashion, 28, 1),
        ("fashion_whole_module_hisham-kottayil.pt", dense, 28, 1),
        ("mobilenet025_cifar_bCom5.pth", mobilenet, 32, 3),
    ],
)
def test_files_compute_what_their_networks_do(shared, file, build, side, channels):
    path = shared / "weights" / file
    theirs = build().eval()
    tensors = [torch.tensor(np.array(t)) for t in transfer.read(path)[1].values()]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), tensors, strict=True)))
    images = np.random.default_rng(0).random((3, side, side, channels), np.float32)
    if build is mobilenet:
        module, variables = transfer.load(path)
    else:
        call = printed(path, "act='relu'", "pool='max'")
        module, variables = eval(call, {"transfer": transfer})
    with torch.no_grad():
        wanted = theirs(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    found = np.asarray(module.apply(variables, images, train=False))
    assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < 1e-5


def test_a_whole_module_saved_by_pytorch_is_read_without_running_it(tmp_path):
    module = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), nn.Linear(4, 2))
    torch.save(module, tmp_path / "whole.pth")
    framework, found = transfer.read(tmp_path / "whole.pth")
    assert framework == "torch" and list(found) == list(module.state_dict())
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_what_trainers_put_beside_the_weights_does_not_matter(tmp_path):
    """As training scripts save it: an optimiser with its state, arguments, numbers, paths."""
    import argparse
    import pathlib

    module = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    beside = {
        "optimizer_state_dict": optimizer.state_dict(), "epoch": 3, "loss": torch.tensor(0.5),
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("/tmp"), device="cpu"),
        "best": np.float64(91.5), "device": torch.device("cuda:0"), "dtype": torch.float16,
        "path": pathlib.Path("x"), "classes": {"cat", "dog"},
    }  # fmt: skip
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.pth"
        saved = {"model_state_dict": module.state_dict(), **beside}
        torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
        found = transfer.read(path)[1]
        np.testing.assert_array_equal(found["weight"], module.weight.detach().numpy())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_read_without_running_it(tmp_path):
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    torch.jit.save(torch.jit.script(module), tmp_path / "script.pt")
    found = transfer.read(tmp_path / "script.pt")[1]
    assert list(found) == list(module.state_dict())
    np.testing.assert_array_equal(found["2.weight"], module[2].weight.detach().numpy())
