"""Paths as people write them, made such that they mean the same from every folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnjax.errors import InputError

# Fields of config.data that name a place on disk.
FIELDS = ("data_dir", "manual_dir", "path")


def expanded(path: str | os.PathLike[str]) -> Path:
    """Returns the path with ~ and ~user replaced, which a shell leaves in --flag=~/x.

    Raises InputError where there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path} is in a home, which this user does not have") from None


def located(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a checked config whose places on disk are absolute; links stay links.

    So a run finds its data from whatever folder it is evaluated or gone on with.
    """
    section = dict(config["data"])
    for name in FIELDS:
        place = section.get(name)
        if place and isinstance(place, str) and "://" not in place:
            section[name] = os.path.abspath(expanded(place))
    result = {**config, "data": section}
    if path := config.get("init", {}).get("path"):
        result["init"] = {**config["init"], "path": os.path.abspath(expanded(path))}
    return result
