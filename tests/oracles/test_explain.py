"""What captum computes of torchvision's SqueezeNet, and what we compute of the same weights."""

import jax
import numpy as np
import pytest
import torch
from torch import nn

from cnnjax import transfer
from cnnjax.explain import activation, attribution
from cnnjax.structure import graph as graphs
from tests.oracles import torch_side

# What captum says of its own doings.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")
captum = pytest.importorskip("captum.attr")

SIDE, CLASS = 63, 3
LAYER = "stage3_block4"  # torchvision's features.12


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The network of torch, ours, its variables, and two images in the layout of each."""
    assert torch_side.OPERATORS  # without which torchvision does not import
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.squeezenet1_1(num_classes=10).eval()
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks look at what is overwritten
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.bias, std=0.1)
    file = tmp_path_factory.mktemp("weights") / "squeezenet1_1.pth"
    torch.save(theirs.state_dict(), file)
    ours, variables = transfer.load("squeezenet1_1", file)
    images = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 3)).astype(np.float32)
    return theirs, ours, variables, images, torch.tensor(images.transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def graph(pair):
    _, ours, variables, images, _ = pair
    return graphs.traced(ours, variables, images.shape)


def close(ours, theirs):
    theirs = theirs.detach().numpy().transpose(0, 2, 3, 1)
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    # Relative to the map as a whole: single pixels cross a ReLU by a rounding.
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def score(pair):
    _, ours, variables, _, _ = pair
    return lambda x: ours.apply(variables, x)[:, CLASS]


def test_the_saliency_map(pair):
    theirs, _, _, images, tensor = pair
    wanted = captum.Saliency(theirs).attribute(tensor, target=CLASS, abs=False)
    close(jax.jit(lambda x: attribution.gradient(score(pair), x))(images), wanted)


def test_integrated_gradients(pair):
    theirs, _, _, images, tensor = pair
    baseline = np.float32(0.25)
    method = captum.IntegratedGradients(theirs)
    wanted, gap = method.attribute(
        tensor, float(baseline), CLASS, n_steps=20, return_convergence_delta=True
    )
    ours, miss = jax.jit(
        lambda x: attribution.integrated_gradients(score(pair), x, baseline, steps=20)
    )(images)
    close(ours, wanted)
    np.testing.assert_allclose(miss, gap.numpy(), atol=1e-4 * float(wanted.abs().sum()))


@pytest.mark.parametrize(("window", "stride"), [(16, 16), (15, 8), (20, 13)])
def test_occlusion(pair, window, stride):
    theirs, _, _, images, tensor = pair
    wanted = captum.Occlusion(theirs).attribute(
        tensor, (3, window, window), (3, stride, stride), baselines=0.5, target=CLASS
    )
    ours = jax.jit(
        lambda x: attribution.occlusion(score(pair), x, window, stride, np.float32(0.5))
    )(images)
    close(ours, wanted.mean(1, keepdim=True))


def test_grad_cam(pair, graph):
    theirs, _, variables, images, tensor = pair
    wanted = captum.LayerGradCam(theirs, theirs.features[12]).attribute(tensor, target=CLASS)
    ours = jax.jit(lambda v, x: activation.grad_cam(graph, v, x, LAYER, lambda y: y[:, CLASS]))(
        variables, images
    )
    close(ours[..., None], wanted)


def test_grad_cam_plus_plus(pair, graph):
    """By torch's own maps and gradients: captum has no Grad-CAM++."""
    theirs, _, variables, images, tensor = pair
    maps = theirs.features[:13](tensor).detach().requires_grad_()
    pooled = theirs.classifier(theirs.features[13:](maps)).flatten(1)
    (slope,) = torch.autograd.grad(pooled[:, CLASS].sum(), maps)
    wanted = torch.zeros(2, 1, *maps.shape[2:])
    for i in range(2):
        for k in range(maps.shape[1]):
            a, g = maps[i, k], slope[i, k]
            divisor = 2 * g**2 + a.sum() * g**3
            alpha = torch.where(divisor == 0, 0.0, g**2 / torch.where(divisor == 0, 1.0, divisor))
            wanted[i, 0] += (alpha * torch.relu(g)).sum() * a
    ours = jax.jit(
        lambda v, x: activation.grad_cam_plus_plus(graph, v, x, LAYER, lambda y: y[:, CLASS])
    )(variables, images)
    close(ours[..., None], wanted)


def test_guided_backpropagation(pair, graph):
    theirs, _, variables, images, tensor = pair
    wanted = captum.GuidedBackprop(theirs).attribute(tensor, target=CLASS)
    ours = jax.jit(
        lambda v, x: activation.guided_backpropagation(graph, v, x, lambda y: y[:, CLASS])
    )(variables, images)
    close(ours, wanted)


def test_results_of_layers_are_those_of_torch(pair, graph):
    theirs, _, variables, images, tensor = pair
    named = {"stem/conv": 0, "stem": 1, "max_pool": 2, "stage1_block1": 3, LAYER: 12}
    _, seen = jax.jit(lambda v, x: graphs.run(graph, v, x, tuple(named)))(variables, images)
    for name, index in named.items():
        close(seen[name], theirs.features[: index + 1](tensor))
