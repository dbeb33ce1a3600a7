"""Trains the network of a config, or goes on with a run: results land in --workdir.

python -m experiments.train --config=configs/mnist.py:lenet5 --workdir=runs/lenet5
python -m experiments.train --config=configs/folder.py --config.data.path=photos --workdir=runs/mine

Stopped or killed, the same command goes on from the last checkpoint, to the same bits. Exit status
75 where it was stopped on request.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments import configuration, faults, launch, processes

CONFIG = configuration.define()
WORKDIR = flags.DEFINE_string("workdir", None, "Directory of this run; resumes what is in it.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if not WORKDIR.value:
        return launch.refuse("--workdir=DIR is missing: where this run keeps its results")
    from cnnjax import compiler, paths
    from cnnjax.parallel import hosts
    from cnnjax.train import run, stop
    from cnnjax.workdir import files

    config = configuration.value(CONFIG)
    if config.get("deterministic") is True:
        compiler.be_deterministic()
    workdir = paths.expanded(WORKDIR.value)
    processes.join()
    finished = (workdir / files.RESULT).exists()
    try:
        run.run(config, workdir, launch.seconds(), ignore_platform=faults.IGNORE.value)
    except stop.Stopped as stopped:
        print(stopped)
        return stop.STOPPED
    if config.report.pictures and not finished and hosts.first():
        from cnnjax.report import tensorboard

        tensorboard.write(workdir)
    return 0


if __name__ == "__main__":
    launch.run(main)
