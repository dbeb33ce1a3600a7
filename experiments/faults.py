"""Entry points that compute refuse a platform that computes wrong values."""

from __future__ import annotations

from absl import flags

IGNORE = flags.DEFINE_bool(
    "ignore_platform", False, "Go on even where XLA is found to compute wrong values."
)


def require() -> None:
    """Raises platform.Wrong where a known fault of XLA shows on the default devices."""
    import jax

    from cnnjax import platform

    platform.require(jax.default_backend(), IGNORE.value)
