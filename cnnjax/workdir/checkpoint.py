"""Checkpoints through Orbax, with digests that are verified when one is read.

A checkpoint has three items: `variables` (all that inference needs), `training` (the rest of the
state) and `record` (JSON: the metrics, and digests of all). Orbax itself restores a flipped bit
without a word, and a new manager of its knows nothing of the metrics of an older one.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from cnnjax.errors import InputError
from cnnjax.parallel import hosts, mapper
from cnnjax.workdir.files import CHECKPOINTS, DAMAGED
from cnnjax.workdir.fitness import check_shapes, refused
from cnnjax.workdir.integrity import Damaged, check_digests, check_seal, digests, seal

# On one process, and on the others where they read together.
DAMAGE = (Damaged, hosts.Elsewhere)

# From the metrics of a validation to what chooses the best checkpoint: more is better.
Score = Callable[[Mapping[str, float]], float]


@dataclasses.dataclass
class Retention:
    """Which checkpoints stay: the `latest` few, and the one with the best score.

    Attributes:
      scores: step -> score on validation, of the checkpoints that have one.
    """

    latest: int
    scores: dict[int, float]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Answers Orbax, which asks with the checkpoints in the order of their steps."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        best = ranked({step: self.scores[step] for step in steps if step in self.scores})[-1:]
        return [step in best or step in steps[-self.latest :] for step in steps]


class Checkpoints:
    """The checkpoints of one workdir, for the run that writes them; use as a context."""

    def __init__(self, workdir: Path, score: Score, keep: int = 2):
        self.workdir, self.score = workdir.resolve(), score
        self.scores, damaged = records(workdir, score)
        self.saving = 0
        hosts.from_first(partial(clear, workdir))
        self.manager = ocp.CheckpointManager(
            self.workdir / CHECKPOINTS,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=Retention(keep, self.scores),
                async_options=ocp.AsyncOptions(post_finalization_callback=self.seal),
            ),
        )

        for step, error in damaged.items():
            self.set_aside(step, error)

    def save(
        self,
        step: int,
        variables: Any,
        training: Any,
        metrics: Mapping[str, float] | None,
    ) -> None:
        """Writes a checkpoint in the background; an older save is finished first.

        `metrics`, those of the validation, make it a candidate for the best.
        """
        if step in self.manager.all_steps():
            return
        metrics = dict(metrics or {})
        parts = {"variables": variables, "training": training, "metrics": metrics}
        record = {"digests": {name: digests(part) for name, part in parts.items()}}
        self.wait()
        self.saving = step
        if metrics:
            self.scores[step] = self.score(metrics)
        saved = self.manager.save(
            step,
            args=ocp.args.Composite(
                variables=ocp.args.StandardSave(variables),
                training=ocp.args.StandardSave(training),
                record=ocp.args.JsonSave(record | {"metrics": metrics}),
            ),
        )
        if not saved:
            raise RuntimeError(f"Orbax refused to save step {step} after {self.latest()}")

    def seal(self) -> None:
        """Seals the checkpoint being saved; Orbax calls this before giving it its final name."""
        for folder in (self.workdir / CHECKPOINTS).iterdir() if hosts.first() else ():
            if folder.name.partition(".")[0] == str(self.saving):
                seal(folder)

    def latest(self) -> int | None:
        return self.manager.latest_step()

    def restore(
        self, variables: Any, training: Any, after: int = -1
    ) -> tuple[int, Any, Any] | None:
        """Returns (step, variables, training) of the newest good checkpoint; None without any.

        Those up to the step `after` are left alone: they hold another optimiser's state.
        A damaged one is named on standard error and set aside, and the next older one is used.
        Raises InputError, and moves nothing, where one is whole and cannot be used.
        """
        self.wait()
        templates = {"variables": variables, "training": training}
        for step in reversed(hosts.from_first(partial(steps, self.workdir))):
            if step <= after:
                break
            try:
                items = read(self.workdir, step, templates)
            except DAMAGE as error:
                self.set_aside(step, error)
            else:
                return step, items["variables"], items["training"]
        return None

    def set_aside(self, step: int, error: Exception) -> None:
        """Moves a damaged checkpoint to where no run looks for one, in case it is wanted."""
        place = self.workdir / DAMAGED / str(step)

        def move() -> None:
            print(f"{complaint(step, error)}; moved to {place}", file=sys.stderr)
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(exist_ok=True)
            shutil.move(self.workdir / CHECKPOINTS / str(step), place)

        hosts.from_first(move)
        self.scores.pop(step, None)
        self.manager.reload()

    def wait(self) -> None:
        """Returns when the last save is complete on disk."""
        self.manager.wait_until_finished()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *unused) -> None:
        """Waits for the last save."""
        self.wait()
        self.manager.close()


def clear(workdir: Path) -> None:
    """Removes what saves that were interrupted have left."""
    for begun in (workdir / CHECKPOINTS).glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(begun, ignore_errors=True)


def steps(workdir: Path) -> list[int]:
    """Returns the steps of the finished checkpoints, oldest first."""
    folder = workdir / CHECKPOINTS
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def records(workdir: Path, score: Score) -> tuple[dict[int, float], dict[int, Exception]]:
    """Returns step -> score on validation, and step -> error where the record cannot be read."""
    found, damaged = {}, {}
    for step in hosts.from_first(partial(steps, workdir)):
        try:
            metrics = read(workdir, step, {})["metrics"]
        except DAMAGE as error:
            damaged[step] = error
        else:
            if metrics:
                found[step] = score(metrics)
    return found, damaged


def scores(workdir: Path, score: Score) -> dict[int, float]:
    """Returns step -> score on validation; a line on standard error names damaged records."""
    found, damaged = records(workdir, score)
    for step, error in damaged.items():
        print(complaint(step, error), file=sys.stderr)
    return found


def ranked(scores: Mapping[int, float]) -> list[int]:
    """Returns the steps from the worst to the best, the later one after its equals."""
    return sorted(scores, key=lambda step: (scores[step], step))


def read_variables(workdir: Path, template: Any, best: Score | None = None) -> tuple[int, Any]:
    """Returns (step, variables) of the latest good checkpoint, or of the `best` on validation.

    Where one is damaged, or removed by a running run meanwhile, the next in that order is used and
    a line on standard error says so. Raises InputError when none can be read.
    """
    found = ranked(scores(workdir, best)) if best else hosts.from_first(partial(steps, workdir))
    for step in reversed(found):
        try:
            return step, read(workdir, step, {"variables": template})["variables"]
        except DAMAGE as error:
            print(complaint(step, error), file=sys.stderr)
    kind = "validated checkpoint" if best else "checkpoint"
    raise InputError(f"{workdir} holds no {kind} that can be read")


def read_step(workdir: Path, step: int, template: Any) -> Any:
    """Returns the variables of one checkpoint; InputError where it is damaged."""
    try:
        return read(workdir, step, {"variables": template})["variables"]
    except DAMAGE as error:
        raise InputError(complaint(step, error)) from None


def read(workdir: Path, step: int, templates: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `metrics` and the named items of a checkpoint, verified against its digests.

    `templates` hold arrays or `jax.ShapeDtypeStruct`s; arrays are placed by their sharding and,
    without one, on the first device, whatever devices they were saved from.
    """
    path = workdir.resolve() / CHECKPOINTS / str(step)
    with hosts.agreement(), refused(path):
        check_seal(path, {"record", *templates})
        for name, template in templates.items():
            check_shapes(path, name, template)
    items = {
        name: ocp.args.StandardRestore(jax.tree.map(placed, tree))
        for name, tree in templates.items()
    }
    with refused(path), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        restored = reader.restore(
            path, args=ocp.args.Composite(record=ocp.args.JsonRestore(), **items)
        )
    record = restored["record"]
    parts = {"metrics": record["metrics"]} | {name: restored[name] for name in templates}
    with hosts.agreement():
        for name, part in parts.items():
            check_digests(name, record["digests"][name], digests(part))
    return parts


def placed(leaf: Any) -> Any:
    if leaf.sharding is not None:
        return leaf
    if hosts.count() > 1:
        place = mapper("jit").replicated
    else:
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


def complaint(step: int, error: Exception) -> str:
    """Returns the line that says which checkpoint is damaged, and how it showed."""
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return f"checkpoint {step} is damaged ({reason[:120]})"
