"""All that a training run carries from one step to the next."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

RECENT = 16


@flax.struct.dataclass
class TrainState:
    """A pytree. With it, the config and the data, the rest of a run is determined.

    Attributes:
      step: steps taken, int32.
      params: trainable variables, float32.
      batch_stats: running statistics of BatchNorm, float32; empty without any.
      opt_state: the optimiser's.
      key: the run's PRNG key; every step folds its number into it, so the key never changes.
      totals: metrics summed since the last report, float32. Part of the state so that a resumed
        run reports what the uninterrupted one would have.
      skipped: of the steps whose loss or gradient was not finite, int32: `total`, how many in a
        `row` up to now, and the numbers of the `recent` ones, (RECENT,), the latest last, -1 before
        there were any.
      average: running average of `params` and `batch_stats` by these names, which is then what is
        evaluated; empty without.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    key: jax.Array
    totals: dict[str, jax.Array]
    skipped: dict[str, jax.Array]
    average: dict[str, Any] = flax.struct.field(default_factory=dict)

    @property
    def trained(self) -> dict[str, Any]:
        """The variables that the next step starts from."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def variables(self) -> dict[str, Any]:
        """What `module.apply` takes to evaluate: the average where there is one."""
        return self.average or self.trained

    def reported(self) -> TrainState:
        """Returns the state with its totals set back to zero."""
        zeros = jax.tree.map(lambda x: jnp.zeros_like(x, device=x.sharding), self.totals)
        return self.replace(totals=zeros)  # pyright: ignore[reportAttributeAccessIssue]

    def saved(self) -> dict[str, Any]:
        """Returns what a checkpoint holds besides the variables, the key as plain integers."""
        return {
            "step": self.step,
            "opt_state": self.opt_state,
            "key": jax.random.key_data(self.key),
            "totals": self.totals,
            "skipped": self.skipped,
            **({"trained": self.trained} if self.average else {}),
        }


def none_skipped() -> dict[str, jax.Array]:
    counts = {name: jnp.zeros((), jnp.int32) for name in ("total", "row")}
    return counts | {"recent": jnp.full(RECENT, -1, jnp.int32)}


def from_saved(variables: dict[str, Any], training: dict[str, Any]) -> TrainState:
    """Returns the state of a checkpoint's `variables` and `training`."""
    rest = {**training, "key": jax.random.wrap_key_data(training["key"])}
    if "trained" in rest:
        return TrainState(**rest.pop("trained"), **rest, average=variables)
    return TrainState(**variables, **rest)


def averaged(average: Any, new: Any, step: jax.Array, keep: float) -> Any:
    """Returns the average after a step, of which `step` counts those before.

    It keeps less in the first steps, (1 + step) / (10 + step) at most, as TensorFlow's
    ExponentialMovingAverage with a number of updates. Equal values stay as they are.
    """
    kept = jnp.minimum(keep, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, value: old + (1 - kept) * (value - old), average, new)
