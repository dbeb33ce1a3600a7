"""Optimisers and learning-rate schedules, composed from optax.

Rates and strengths may be traced scalars, so that a sweep over their values compiles once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnjax import config as configuration
from cnnjax import fields
from cnnjax.errors import InputError, nearest
from cnnjax.registry import Table

Scalar = float | jax.Array


def sgd() -> optax.GradientTransformation:
    """Plain gradient descent."""
    return optax.identity()


def momentum(momentum: Scalar = 0.9) -> optax.GradientTransformation:
    """Heavy ball: v = m v + g; the step is v (Polyak 1964, in Sutskever et al. 2013's form)."""
    return optax.trace(decay=momentum)  # pyright: ignore[reportArgumentType]


def nesterov(momentum: Scalar = 0.9) -> optax.GradientTransformation:
    """Nesterov's momentum: v = m v + g; the step is g + m v."""
    return optax.trace(decay=momentum, nesterov=True)  # pyright: ignore[reportArgumentType]


def adam(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8):
    """Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1 and its default settings."""
    return optax.scale_by_adam(b1, b2, epsilon)


def adadelta(rho: float = 0.95, epsilon: float = 1e-7):
    """Zeiler 2012 (arXiv 1212.5701), algorithm 1. rho and epsilon are those of Keras."""
    return optax.scale_by_adadelta(rho, epsilon)


def rmsprop(rho: float = 0.9, epsilon: float = 1e-7, momentum: float = 0.0):
    """Hinton's lecture 6e: g / sqrt(mean(g^2) + epsilon), with Keras' rho and epsilon."""
    scale = optax.scale_by_rms(decay=rho, eps=epsilon, eps_in_sqrt=True)
    return optax.chain(scale, optax.trace(momentum)) if momentum else scale


OPTIMIZERS: Table[Callable[..., optax.GradientTransformation]] = Table(
    "optimizer",
    adadelta=adadelta,
    adam=adam,
    adamw=adam,
    lamb=adam,
    momentum=momentum,
    nesterov=nesterov,
    rmsprop=rmsprop,
    sgd=sgd,
)
# These subtract weight_decay * weight beside the scaled gradient, untouched by its scaling
# (Loshchilov & Hutter 2019, arXiv 1711.05101); the others add it to the gradient.
DECOUPLED = ("adamw", "lamb")
# How much of a running mean stays from step to step.
SHARES = ("b1", "b2", "momentum", "rho")


def check(name: str, **options: Any) -> dict[str, Any]:
    """Returns the options, or raises InputError for a name or option that does not exist."""
    known, listed = fields.defaults(OPTIMIZERS[name]), configuration.FIELDS["optimizer"]
    given = fields.checked(f"optimizer {name}", options, known, beside=listed)  # pyright: ignore
    for field, value in given.items():
        if field == "epsilon" and not (0 < value < float("inf")):
            raise InputError(f"optimizer {name}.epsilon must be above 0; given {value!r}")
        if field in SHARES and not 0 <= value < 1:
            raise InputError(f"optimizer {name}.{field} must lie in [0, 1); given {value!r}")
    return given


def optimizer(
    name: str,
    learning_rate: Scalar,
    weight_decay: Scalar = 0.0,
    decay: str = ".*/kernel",
    clip_norm: float = 0.0,
    factor: Callable[[str], float] | None = None,
    **options: Any,
) -> optax.GradientTransformation:
    """Returns the optimiser `name`.

    Args:
      learning_rate: of this step; float or traced scalar.
      weight_decay: strength; a Python 0 leaves decay out of the program.
      decay: regular expression of the names of the parameters that decay, matched in full.
      clip_norm: the gradient is scaled down to this norm when longer; 0 leaves it alone.
      factor: from the name of a parameter to what its learning rate is multiplied by.
      options: the optimiser's own, as in its function here.
    """
    steps = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    if isinstance(weight_decay, int | float) and weight_decay == 0:
        decayed = []
    else:
        decayed = [optax.add_decayed_weights(weight_decay, lambda p: matches(p, decay))]
    scaled = [OPTIMIZERS[name](**options)]
    steps += [*scaled, *decayed] if name in DECOUPLED else [*decayed, *scaled]
    if name == "lamb":
        steps += [optax.scale_by_trust_ratio()]
    if factor is not None:
        steps += [multiplied(factor)]
    return optax.chain(*steps, optax.scale(-learning_rate))


def multiplied(factor: Callable[[str], float]) -> optax.GradientTransformation:
    """Multiplies the update of every parameter by the factor of its name."""
    return optax.stateless(
        lambda updates, params: jax.tree.map(
            lambda name, update: factor(name) * update, leaf_names(updates), updates
        )
    )


def leaf_names(tree: Any) -> Any:
    """Returns the tree with each leaf replaced by its name, "stage1_block1/conv1/kernel"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "/".join(str(getattr(key, "key", key)) for key in path), tree
    )


def matches(params: Any, pattern: str) -> Any:
    """Returns the tree of whether each leaf's name matches the regular expression in full."""
    return jax.tree.map(lambda name: re.fullmatch(pattern, name) is not None, leaf_names(params))


def check_pattern(params: Any, pattern: str) -> None:
    """Raises InputError for a pattern that is no regular expression or matches no parameter."""
    try:
        found = any(jax.tree.leaves(matches(params, pattern)))
    except re.error as error:
        raise InputError(f"{pattern!r} is no regular expression: {error}") from None
    if not found:
        names = jax.tree.leaves(leaf_names(params))
        raise InputError(f"no parameter is named like {pattern!r}{nearest(pattern, names)}")


def schedule(
    name: str,
    steps: int,
    warmup_steps: float = 0.0,
    final: float = 0.0,
    final_at: str = "last",
    boundaries: tuple[float, ...] = (),
    factor: float = 0.1,
) -> Callable[[jax.Array], jax.Array]:
    """Returns a function from the step (from 0) to the share of the peak learning rate, in [0, 1].

    Args:
      name: "constant", "cosine" (Loshchilov & Hutter 2017, arXiv 1608.03983, one period), "step"
        (times `factor` at each of `boundaries`, shares of all steps), or "one_cycle" (Smith 2018,
        arXiv 1803.09820: cosine from 1/25 up to the peak over the warm-up, then down to `final`).
      steps: of the whole run; a run of one step takes the peak.
      warmup_steps: of linear growth to the peak; step 0 already moves. Rounded. For one_cycle a
        warm-up of 0, before rounding, means 30 % of the run.
      final_at: "last": cosine and one_cycle end with `final` itself, and the warm-up of one_cycle
        with the peak, as in PyTorch. "after": both come a step later, as before version 0.2.
    """
    warmup = round(warmup_steps)
    if name == "one_cycle" and not (warmup if final_at == "after" else warmup_steps):
        warmup = round(0.3 * steps)
    top, end = (warmup, steps) if final_at == "after" else (max(warmup - 1, 0), steps - 1)
    # In a cosine that follows linear growth, the peak is held for a step.
    begin = top if name == "one_cycle" else warmup

    def cosine(start: float, end: float, progress: jax.Array) -> jax.Array:
        return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1)))

    def share(step: jax.Array) -> jax.Array:
        down = cosine(1.0, final, (step - begin) / max(end - begin, 1))
        if name == "one_cycle":
            return jnp.where(step < top, cosine(0.04, 1.0, step / max(top, 1)), down)
        if name == "cosine":
            value = down
        elif name == "step":
            drops = sum((step >= round(b * steps)) * 1 for b in boundaries)
            value = jnp.float32(factor) ** jnp.asarray(drops, jnp.float32)
        else:
            value = jnp.float32(1)
        return jnp.where(step < warmup, (step + 1) / max(warmup, 1), value)

    return share
