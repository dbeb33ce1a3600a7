"""Tasks by name: what a network learns from images.

A task is one file with a `Task`, and one word here. Nothing else names what a data set holds
besides its images, what is minimised, or what is reported of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnjax import data
from cnnjax.registry import Table
from cnnjax.tasks import classification, detection, localization, segmentation
from cnnjax.tasks.task import (
    Figure,
    Gathers,
    Target,
    Task,
    View,
    check_targets,
    more_is_better,
    of_classes,
    report,
    score,
    shown,
    sums,
    units,
)

__all__ = [
    "TASKS", "Figure", "Gathers", "Target", "Task", "View", "check_targets", "more_is_better",
    "name_of", "of_classes", "report", "resolved", "score", "shown", "sums", "units",
]  # fmt: skip

TASKS: Table[Task] = Table(
    "task",
    classification=classification.TASK,
    detection=detection.TASK,
    localization=localization.TASK,
    segmentation=segmentation.TASK,
)


def name_of(config: Mapping[str, Any]) -> str:
    """Returns the task of a config, that of its data set where it names none."""
    return config["task"] or data.task_of(config["data"]["name"])


def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config that names its task."""
    return {**config, "task": name_of(config)}
