"""Pooling to a grid of fixed size, whatever the size of the input."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.layers.conv import Size, each


@jax.named_scope("adaptive_average_pool")
def adaptive_average_pool(x: jax.Array, grid: Size) -> jax.Array:
    """Returns (batch, *grid, channels): means of the cells of a grid laid over the input.

    Cell i of g covers the pixels floor(i n / g) to ceil((i + 1) n / g), so that cells overlap where
    g does not divide n, and pixels repeat where n is smaller than g (PyTorch's rule).
    """
    for axis, g in enumerate(each(grid, x.ndim - 2, "grid"), 1):
        n = x.shape[axis]
        if n == g:
            continue
        cells = np.zeros((g, n))
        for i in range(g):
            cells[i, i * n // g : -(-(i + 1) * n // g)] = 1
        cells /= cells.sum(1, keepdims=True)
        x = jnp.moveaxis(
            jnp.tensordot(
                x, jnp.asarray(cells, x.dtype), (axis, 1), precision=jax.lax.Precision.HIGHEST
            ),
            -1,
            axis,
        )
    return x
