"""airbench computes what the same network in torch.nn does, and starts as torch's dirac_ does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import models
from cnnjax.models import airbench

torch = pytest.importorskip("torch")
EPSILON = 1e-12


class Network(torch.nn.Module):
    """Jordan 2024, section 3.1, with a normalised stem in the place of the whitened one."""

    def __init__(self):
        super().__init__()
        nn, self.convs, self.norms, channels = torch.nn, torch.nn.ModuleList(), [], 3
        for features, kernel in ((24, 2), *((f, 3) for f in (64, 64, 256, 256, 256, 256))):
            conv = nn.Conv2d(channels, features, kernel, padding=kernel // 3, bias=False)
            self.convs.append(conv)
            self.norms.append(nn.BatchNorm2d(features, EPSILON))
            channels = features
        self.layers = nn.ModuleList(self.norms)
        self.head = nn.Linear(channels, 10, bias=False)

    def forward(self, x):
        act = torch.nn.functional.gelu
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            if i % 2:
                x = torch.nn.functional.max_pool2d(x, 2)
            x = act(norm(x))
        x = torch.nn.functional.max_pool2d(x, 3)
        return self.head(x.flatten(1)) / 9


NAMES = ("stem", *(f"stage{s}_block{b}" for s in (1, 2, 3) for b in (1, 2)))


def norm_of(tree, name):
    """Returns what belongs to the normalisation after a convolution."""
    if name.endswith("block1"):
        return tree[name.replace("block1", "norm")]
    return tree[name]["norm"]


def weights_into(network, variables):
    params, statistics = variables["params"], variables["batch_stats"]

    def copy(target, value):
        target.data = torch.from_numpy(np.array(value, np.float32))

    for name, conv, norm in zip(NAMES, network.convs, network.norms, strict=True):
        own = params[name] if name.endswith("block1") else params[name]["conv"]
        copy(conv.weight, np.transpose(own["kernel"], (3, 2, 0, 1)))
        copy(norm.bias, norm_of(params, name)["bias"])
        for mine, theirs in (("mean", norm.running_mean), ("var", norm.running_var)):
            copy(theirs, norm_of(statistics, name)[mine])
    copy(network.head.weight, np.transpose(params["head"]["kernel"]))


def test_airbench_is_the_network_of_torch():
    module = models.build("airbench", 10)
    draw = np.random.default_rng(0)
    images = draw.normal(size=(4, 32, 32, 3)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), images)
    positive = {"var": lambda x: 0.5 + draw.random(x.shape), "kernel": lambda x: x}
    variables = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.float32(
            positive.get(path[-1].key, lambda x: draw.normal(size=x.shape))(x)
        ),
        variables,
    )
    network = Network().eval()
    weights_into(network, variables)
    with torch.no_grad():
        expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    found = jax.jit(module.apply)(variables, images)
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("shape", [(3, 3, 24, 64), (3, 3, 64, 24)])
def test_the_first_filters_hand_their_channels_on(shape):
    same = min(shape[2:])
    filters = np.asarray(airbench.dirac(jax.random.key(0), shape))
    weight = torch.empty(same, *np.transpose(np.empty(shape), (3, 2, 0, 1)).shape[1:])
    expected = torch.nn.init.dirac_(weight).numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(filters[..., :same], expected)
    others = filters[..., same:]
    assert others.size == 0 or 0.05 < np.abs(others).max() < 1 / np.sqrt(9 * 24) + 1e-6


def test_the_stem_begins_with_all_cosines_of_a_patch():
    filters = np.asarray(airbench.cosine_filters(jax.random.key(0), (2, 2, 3, 24)))
    rows = filters.reshape(12, 24).T
    np.testing.assert_allclose(rows[:12] @ rows[:12].T, np.eye(12), atol=1e-6)
    np.testing.assert_array_equal(rows[12:], -rows[:12])
