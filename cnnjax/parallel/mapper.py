"""Data parallelism: how a step is mapped over devices, of one process or of many.

A step is a pure function of replicated arguments (state, hyperparameters) and split ones (the
batch), written once against the mapped axis `AXIS`. `jax.pmap` or `jit` over a mesh maps it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnnjax import compiler
from cnnjax.errors import InputError
from cnnjax.parallel import hosts

AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Mapper:
    """How steps run on devices: `kind` is "pmap" or "jit"; the mesh has the one axis `AXIS`.

    Over several processes the mesh holds the devices of all; each process gives its own part of a
    batch, and every result is the same on all of them.
    """

    kind: str
    mesh: Mesh

    @property
    def devices(self) -> int:
        return self.mesh.size

    @property
    def platform(self) -> str:
        """The kind of the devices: "cpu", "gpu", "tpu"."""
        return self.mesh.devices.flat[0].platform

    @property
    def local(self) -> int:
        """How many of the devices belong to this process."""
        return self.mesh.local_mesh.size

    @property
    def waits(self) -> bool:
        """Whether one must wait for results every few calls.

        Fake CPU devices share the cores. With calls queued up, the partners of an all-reduce can
        starve each other until XLA gives up and ends the process.
        """
        return self.devices > 1 and self.platform == "cpu"

    def check_batch(self, what: str, size: int) -> None:
        """Refuses a batch that cannot be split evenly."""
        if size % self.devices:
            below = size - size % self.devices
            allowed = f"{below} or {below + self.devices}" if below else f"{self.devices}"
            raise InputError(
                f"{what} {size} does not divide by {self.devices} devices; use {allowed}"
            )

    def part(self, size: int) -> slice:
        """Returns the rows of a batch of `size` that the devices of this process take."""
        mine = size // self.devices * self.local
        start = hosts.index() * mine
        return slice(start, start + mine)

    @property
    def replicated(self) -> NamedSharding:
        """The placement of what is the same on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def replicate(self, tree: Any) -> Any:
        """Puts the same arrays, which every process must give, on every device."""
        if hosts.count() == 1:
            return jax.device_put(tree, self.replicated)
        # jit takes arrays of one process for those of all, which device_put does not.
        same = compiler.jit(lambda tree: tree, self.platform, out_shardings=self.replicated)
        return same(tree)

    def split(self, batch: Any) -> Any:
        """Puts equal parts of each array's leading dimension on the devices, in order.

        Over several processes, `batch` holds the rows `self.part` only. A single device gets its
        arrays by the call that they are given to: that takes a tenth of the time of `device_put`.
        """
        if self.kind == "jit" and self.mesh.size == 1:
            return batch

        def pieces(array: np.ndarray) -> np.ndarray:
            if self.kind == "jit":
                return array
            return array.reshape(self.local, -1, *array.shape[1:])

        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
        batch = jax.tree.map(pieces, batch)
        if hosts.count() == 1:
            return jax.device_put(batch, sharding)
        return jax.tree.map(
            lambda array: jax.make_array_from_process_local_data(sharding, array), batch
        )

    def map(
        self,
        step: Callable[..., Any],
        split: Sequence[bool],
        donate: Sequence[int] = (),
        check: bool = False,
    ) -> Any:
        """Returns `step` compiled over all devices, by `compiler.jit` or `compiler.pmap`.

        Args:
          step: all its results must be equal on every device.
          split: for each argument, whether it is split (`self.split`) or replicated.
          donate: positions of arguments whose memory the results may take over.
          check: proves at trace time that the results are equal on every device ("jit" only).
        """
        if self.kind == "pmap":
            axes = tuple(0 if part else None for part in split)
            return compiler.pmap(
                step,
                self.platform,
                axis_name=AXIS,
                in_axes=axes,
                out_axes=None,
                devices=list(self.mesh.devices.flat),
                donate_argnums=tuple(donate),
            )
        specs = tuple(PartitionSpec(AXIS) if part else PartitionSpec() for part in split)
        mapped = jax.shard_map(
            step, mesh=self.mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=check
        )
        return compiler.jit(mapped, self.platform, donate_argnums=tuple(donate))


def mapper(kind: str = "auto", devices: int = 0) -> Mapper:
    """Returns the mapper over the first `devices` devices (0: all, those of every process).

    "auto" is pmap over several devices and jit on a single one, where a pmap call would only cost
    more to dispatch.
    """
    found = jax.devices()
    if hosts.count() > 1 and devices not in (0, len(found)):
        raise InputError(
            f"{hosts.count()} processes use all of their {len(found)} devices, not {devices}: "
            "leave parallel.devices at 0"
        )
    if devices > len(found):
        raise InputError(f"{devices} devices were asked for, {len(found)} exist")
    chosen = found[: devices or len(found)]
    if kind == "auto":
        kind = "pmap" if len(chosen) > 1 else "jit"
    mesh = Mesh(np.array(chosen), (AXIS,), axis_types=(AxisType.Auto,))
    return Mapper(kind, mesh)


def vary(tree: Any, axis_name: str) -> Any:
    """Marks replicated arrays as each device's own.

    Gradients with respect to them are then those of the device's part of the batch. Without it,
    shard_map's checked mode would sum them over the devices in the backward pass.
    """
    return jax.tree.map(lambda x: lax.pcast(x, axis_name, to="varying"), tree)


def mean(tree: Any, axis_name: str) -> Any:
    """Returns the mean over the devices; of a single one, its arrays themselves.

    XLA on a CPU would copy them, which takes a fortieth of the step of resnet50.
    """
    return jax.tree.map(lambda x: x if alone(x, axis_name) else lax.pmean(x, axis_name), tree)


def total(tree: Any, axis_name: str) -> Any:
    """Returns the sum over the devices; of a single one, its arrays themselves."""
    return jax.tree.map(lambda x: x if alone(x, axis_name) else lax.psum(x, axis_name), tree)


def alone(x: jax.Array, axis_name: str) -> bool:
    """Returns whether there is one device, and shard_map's checked mode does not want to know."""
    return lax.axis_size(axis_name) == 1 and axis_name not in varying(x)


def alike(*arrays: jax.Array) -> list[jax.Array]:
    """Marks arrays as each device's own where one of them is, as operations of JAX do.

    For functions with a gradient of their own, which shard_map's checked mode holds to what their
    arguments say.
    """
    axes = frozenset().union(*map(varying, arrays))
    return [
        lax.pcast(x, tuple(axes - varying(x)), to="varying") if axes - varying(x) else x
        for x in arrays
    ]


def varying(x: jax.Array) -> frozenset[str]:
    """Returns the mapped axes along which `x` is known to differ; empty outside checked mode."""
    kind: Any = jax.typeof(x)
    return kind.mat.varying if hasattr(kind, "mat") else kind.vma  # jax 0.10, and others


def shaped_like(x: jax.Array, shape: Sequence[int], dtype: Any) -> jax.ShapeDtypeStruct:
    """Describes an array that differs along the mapped axes along which `x` does."""
    kind: Any = jax.typeof(x)
    if not varying(x):
        return jax.ShapeDtypeStruct(shape, dtype)
    marks = {"manual_axis_type": kind.mat} if hasattr(kind, "mat") else {"vma": kind.vma}
    whole = NamedSharding(kind.sharding.mesh, PartitionSpec())
    return jax.ShapeDtypeStruct(shape, dtype, sharding=whole, **marks)
