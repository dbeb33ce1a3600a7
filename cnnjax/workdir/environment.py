"""What a run ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from cnnjax import caches, compiler, onednn
from cnnjax import platform as faults

PACKAGES = ("cnnjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy",
            "tensorflow-datasets", "ml_collections")  # fmt: skip


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
        "devices": {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
            "processes": jax.process_count(),
        },
        "faults": faults.describe(devices[0].platform),
        # Last bits depend on it.
        "oneDNN": onednn.version() if compiler.rewrites() else None,
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", ""),
    }


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
