"""What a run ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from cnnjax import caches, compiler, onednn
from cnnjax import platform as faults
from cnnjax.config import flatten

PACKAGES = ("cnnjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy",
            "tensorflow-datasets", "ml_collections")  # fmt: skip

AFFINITY = hasattr(os, "sched_getaffinity")
# What decides how sums are split over threads, or which instructions take them.
BITS = ("packages.jax", "packages.jaxlib", "processor", "usable_cores", "devices.kind", "oneDNN",
        "OMP_NUM_THREADS", "XLA_FLAGS")  # fmt: skip


def describe() -> dict[str, Any]:
    """Returns versions, the git commit and whether files differ from it, and the devices."""
    devices = jax.devices()
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "git": git_state(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": caches.processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if AFFINITY else os.cpu_count(),
        "devices": {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
            "processes": jax.process_count(),
        },
        "faults": faults.describe(devices[0].platform),
        # Last bits depend on it.
        "oneDNN": onednn.version() if compiler.rewrites() else None,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", ""),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", ""),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns "fact: before, now after" for what the last bits of a run depend on.

    A fact that an older environment does not have is not held against it.
    """
    old, new = flatten(before), flatten(now)
    return [
        f"{name}: {old[name] or 'none'}, now {new[name] or 'none'}"
        for name in BITS
        if name in old and old[name] != new[name]
    ]


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Returns the commit of this source tree and whether it is dirty; None outside of git.

    An installed copy may lie in the folder of another project, which has commits of its own.
    """
    file = Path(__file__).resolve()

    def git(*words: str) -> str:
        return subprocess.run(
            ("git", "-C", str(file.parent), *words),
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(file))
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None
