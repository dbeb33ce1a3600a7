"""Correlation, and what may follow it: what every convolution layer computes."""

from __future__ import annotations

import jax
from jax import lax

from cnnjax import kernels
from cnnjax.kernels import Window, spread

# What may be done to a correlation, in this order.
AFTER = ("bias", "scale", "shift", "shortcut")


def correlate(
    x: jax.Array, weights: jax.Array, window: Window, relu: bool = False, **after: jax.Array
) -> jax.Array:
    """Returns the correlation of x with weights, (batch, *outputs, features).

    Args:
      x: (batch, *spatial, channels).
      weights: (*kernel, channels / groups, features), of the dtype of x.
      relu: whether negative values become zero at the end.
      after: of the dtype of x: `bias` is added, `scale` multiplied with, `shift` added, each
        (features,), and then `shortcut`, an array like the result, is added.
    """
    if unknown := after.keys() - set(AFTER):
        raise TypeError(f"after a correlation come {', '.join(AFTER)}; given: {sorted(unknown)}")
    after = {name: after[name] for name in AFTER if name in after}
    return correlated({"x": x, "weights": weights} | after, window=window, relu=relu)


@kernels.operation
def correlated(arrays: dict[str, jax.Array], *, window: Window, relu: bool) -> jax.Array:
    """Returns what `correlate` does, of its arrays by name."""
    letters = "DHW"[-len(window.stride) :]
    y = lax.conv_general_dilated(
        arrays["x"],
        arrays["weights"],
        window_strides=window.stride,
        padding=window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=window.groups,
    )
    if "bias" in arrays:
        y = y + spread(arrays["bias"], shape=y.shape)
    if "scale" in arrays:
        y = y * spread(arrays["scale"], shape=y.shape)
    if "shift" in arrays:
        y = y + spread(arrays["shift"], shape=y.shape)
    if "shortcut" in arrays:
        y = y + arrays["shortcut"]
    return jax.nn.relu(y) if relu else y
