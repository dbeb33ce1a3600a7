"""Weights alone, by name: safetensors with all that travels, and the names of PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy

from cnnjax import images, tree
from cnnjax.evaluation.trained import Trained
from cnnjax.images import description
from cnnjax.tasks import TASKS
from cnnjax.transfer import keras_model, record


def leaves(network: Trained) -> dict[str, np.ndarray]:
    """Returns leaf name -> array, float32."""
    return {
        name: np.ascontiguousarray(leaf, np.float32)
        for name, leaf in tree.flatten(network.variables).items()
    }


def about(network: Trained, outputs: str = "logits") -> images.Description:
    """Returns the description that travels with a network."""
    source = Path(network.source)
    known = description.digest(source) if source.is_file() else tree.digest(network.variables)
    return images.Description(
        preprocessing=network.preprocessing,
        classes=network.class_names,
        outputs=outputs,
        network=network.network.get("name", ""),
        source=source.name,
        digest=known,
        assumed=network.assumed,
    )


def task_of(network: Trained) -> str:
    """Returns the task's name; one whose classes do not exclude each other is classification."""
    return next((name for name, task in TASKS.items() if task is network.task), "classification")


def safetensors_file(network: Trained, path: Path) -> list[str]:
    """Writes our own names and layout, and in the metadata what `transfer.record` says."""
    outputs = "logits"
    if "keras" in network.network and keras_model.built(network.network, str(path)).probabilities:
        outputs = "probabilities"
    arrays = leaves(network)
    told = record.Record(
        network=network.network,
        input_shape=network.shape,
        task=task_of(network),
        description=about(network, outputs),
        weights=tree.digest(tree.unflatten(arrays)),
    )
    safetensors.numpy.save_file(arrays, path, {record.KEY: record.as_json(told)})
    size = "x".join(map(str, network.shape))
    return [
        f"{len(arrays)} tensors with the names of cnnjax, and the network, {size} images, "
        f"{len(network.class_names)} classes and the preprocessing in the metadata",
        f"transfer.load({path.name!r}) gives the module and its variables; experiments.predict, "
        f"evaluate and explain take --weights={path.name}",
    ]


def spoken(record: images.Preprocessing) -> str:
    """Returns what a network takes, for whoever prepares images elsewhere."""
    mean, std = (", ".join(f"{x:.6g}" for x in values) for values in (record.mean, record.std))
    size = "x".join(map(str, record.size))
    return (
        f"{record.order} images of {size} ({record.resize}), "
        f"(pixels * {record.scale:.6g} - [{mean}]) / [{std}]"
    )


def listed(names: tuple[str, ...]) -> str:
    """Returns names for people, of many the first few."""
    more = f", ... and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
