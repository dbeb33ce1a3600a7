"""Trains the network of a config, or resumes: results land in --workdir."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments import configuration, launch

CONFIG = configuration.define()
WORKDIR = flags.DEFINE_string("workdir", None, "Directory of this run; resumes what is in it.")
FAKE_DEVICES = flags.DEFINE_integer(
    "fake_devices", 0, "Split the CPU into this many devices, to try data parallelism.", 0, 64
)


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if not WORKDIR.value:
        return launch.refuse("--workdir=DIR is missing: where this run keeps its results")
    import jax

    from cnnjax.train import run, stop, watch

    if FAKE_DEVICES.value:
        jax.config.update("jax_num_cpu_devices", FAKE_DEVICES.value)
    try:
        run.run(configuration.value(CONFIG), Path(WORKDIR.value))
    except stop.Stopped as stopped:
        print(stopped)
        return stop.STOPPED
    except watch.NotFinite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    launch.run(main)
