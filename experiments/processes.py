"""The flags of a run over several devices or processes, on one machine or many."""

from __future__ import annotations

import os
import sys

from absl import flags

COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT of the first process of a run over several; not needed under SLURM, Open MPI, "
    "Kubernetes, or on a TPU pod.",
)
PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes the run has; 1 looks for no others.", 1
)
PROCESS = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.", 0)
FAKE_DEVICES = flags.DEFINE_integer(
    "fake_devices", 0, "Split the CPU into this many devices, to try data parallelism.", 0, 64
)
WAIT = flags.DEFINE_integer("join_timeout", 300, "Seconds to wait for the other processes.", 1)


def join() -> None:
    """Joins the other processes; from then on only the first prints, and only what is ours."""
    import jax

    from cnnjax.parallel import hosts

    if FAKE_DEVICES.value:
        jax.config.update("jax_num_cpu_devices", FAKE_DEVICES.value)
    hosts.start(COORDINATOR.value, PROCESSES.value, PROCESS.value, WAIT.value)
    if hosts.count() > 1:
        take_standard_output(hosts.first())


def take_standard_output(shown: bool) -> None:
    """Leaves standard output to Python; what libraries of C++ write there goes to standard error.

    Gloo writes a line for each connection, from several threads at once: it would stand in the
    JSON that somebody reads from here.
    """
    sys.stdout.flush()
    ours = os.dup(1) if shown else os.open(os.devnull, os.O_WRONLY)
    os.dup2(2, 1)
    sys.stdout = open(  # noqa: SIM115 - for as long as the process lives
        ours, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, buffering=1
    )
