"""Branches, their concatenation, and pooling to a grid."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax.layers.adaptive import adaptive_average_pool
from cnnjax.layers.compose import Chain, Concat
from tests.gradients import assert_same_function


@pytest.mark.parametrize(
    ("sizes", "grid"), [((5, 7), 3), ((6, 6), (2, 3)), ((3, 2), 4), ((4, 4), 4), ((9,), 4)]
)
def test_adaptive_pooling_averages_the_cells_of_a_grid(sizes, grid):
    """PyTorch's cells: floor(i n / g) to ceil((i + 1) n / g)."""
    grids = (grid,) * len(sizes) if isinstance(grid, int) else grid

    def oracle(x):
        out = np.zeros((len(x), *grids, x.shape[-1]))
        axes = tuple(range(1, 1 + len(sizes)))
        for place in np.ndindex(*grids):
            cell = tuple(
                slice(int(np.floor(i * n / g)), int(np.ceil((i + 1) * n / g)))
                for i, n, g in zip(place, sizes, grids, strict=True)
            )
            out[(slice(None), *place)] = x[(slice(None), *cell)].mean(axes)
        return out

    x = np.random.default_rng(0).normal(size=(2, *sizes, 3))
    assert_same_function(partial(adaptive_average_pool, grid=grid), oracle, x)


def test_adaptive_pooling_keeps_the_type_of_its_input():
    x = jnp.ones((1, 5, 5, 2), jnp.bfloat16)
    np.testing.assert_array_equal(adaptive_average_pool(x, 2), jnp.ones((1, 2, 2, 2), jnp.bfloat16))


class Multiply(nn.Module):
    """A box that is easy to follow: `features` times the first channel times `factor`."""

    features: int
    factor: float

    @nn.compact
    def __call__(self, x):
        self.param("seen", nn.initializers.zeros, x.shape)
        return np.tile(self.factor * np.asarray(x)[..., :1], self.features)


def test_branches_stand_side_by_side_in_the_order_they_are_written():
    branches = {"3x3": [(1, 5), np.negative, (2, 7)], "_pool": [np.square], "1x1": [(2, 3)]}
    x = np.full((1, 2, 2, 1), 2.0, np.float32)
    outputs, variables = Concat(Multiply).init_with_output(jax.random.key(0), x, branches)
    assert sorted(variables["params"]) == ["branch1x1_1", "branch3x3_1", "branch3x3_2"]
    np.testing.assert_array_equal(outputs[0, 0, 0], [-70, -70, 4, 6, 6])


def test_a_list_of_boxes_shares_its_input():
    boxes = [(2, 3), [(3, 5), (1, 7)], (2, 11)]
    x = np.ones((1, 2, 2, 1), np.float32)
    outputs, variables = Chain(Multiply).init_with_output(jax.random.key(0), x, boxes)
    seen = {name: p["seen"].shape[-1] for name, p in variables["params"].items()}
    assert seen == {"conv1": 1, "conv2a": 2, "conv2b": 2, "conv3": 4}
    np.testing.assert_array_equal(outputs[0, 0, 0], [3 * 5 * 11] * 2)
