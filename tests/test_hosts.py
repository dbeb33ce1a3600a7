"""Runs over several processes, on one machine: what they compute, who writes, how they end."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from cnnjax.errors import InputError
from cnnjax.parallel import hosts
from cnnjax.train import run
from cnnjax.workdir import checkpoint
from tests import tiny

ROOT = Path(__file__).parent.parent
LONG = {
    "parallel__devices": 0,
    "epochs": 50.0,
    "batch_size": 16,
    "report__every_steps": 20,
    "evaluate__every_epochs": 25.0,
    "checkpoint__every_epochs": 10.0,
}


class Processes:
    """The processes of one run, each with `devices` fake devices."""

    def __init__(self, entry, workdirs, devices, *words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.all = [
            subprocess.Popen(
                (sys.executable, "-m", f"experiments.{entry}", *words, f"--workdir={workdir}",
                 f"--fake_devices={devices}", f"--coordinator=127.0.0.1:{port}",
                 f"--num_processes={len(workdirs)}", f"--process_id={i}", "--join_timeout=120"),
                cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for i, workdir in enumerate(workdirs)
        ]  # fmt: skip
        self.workdir = Path(workdirs[0])

    def wait_for(self, step):
        """Returns once the run has reported `step`."""
        deadline, file = time.monotonic() + 240, self.workdir / "metrics.jsonl"
        while not (file.exists() and f'"step": {step}, ' in file.read_text()):
            ended = [p for p in self.all if p.poll() is not None]
            assert not ended and time.monotonic() < deadline, ended and ended[0].stderr.read()
            time.sleep(0.02)

    def end(self):
        """Returns (status, output, errors) of each."""
        ends = [process.communicate(timeout=300) for process in self.all]
        return [(p.returncode, *texts) for p, texts in zip(self.all, ends, strict=True)]


def train(workdir, processes=2, devices=2, **changes):
    words = tiny.flags(**LONG | changes)
    return Processes("train", [workdir] * processes, devices, *words)


def ending(workdir):
    result = json.loads((workdir / "result.json").read_text())
    return {**result, "seconds": 0, "programs": 0}, tiny.metrics(workdir)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of two processes with two devices each, and what they printed."""
    workdir = tmp_path_factory.mktemp("hosts") / "undisturbed"
    return workdir, train(workdir).end()


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_only_the_first_writes(undisturbed, tmp_path):
    workdir, ends = undisturbed
    (status, output, _), (other_status, other_output, _) = ends
    assert status == other_status == 0, ends[0][2] + ends[1][2]
    assert "150 steps on 4 x cpu" in output and "Test accuracy" in output
    assert other_output == ""
    result, metrics = ending(workdir)
    alone = run.run(tiny.config(**LONG | {"parallel__devices": 4}), tmp_path)
    assert [m["step"] for m in metrics] == [m["step"] for m in tiny.metrics(tmp_path)]
    for found, expected in zip(metrics, tiny.metrics(tmp_path), strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-3)
    assert result["test_examples"] == alone["test_examples"] == 12
    environment = json.loads((workdir / "env.json").read_text())
    assert environment["devices"]["processes"] == 2 and environment["devices"]["count"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("mapper", ["pmap", "jit"])
def test_two_processes_that_are_stopped_and_killed_end_the_same(mapper, undisturbed, tmp_path):
    workdir = tmp_path / "interrupted"
    stopped = train(workdir, parallel__mapper=mapper)
    stopped.wait_for(20)
    stopped.all[1].send_signal(signal.SIGTERM)
    ends = stopped.end()
    assert [status for status, _, _ in ends] == [75, 75], ends[0][2]
    step = checkpoint.steps(workdir)[-1]
    assert f"Stopped at step {step} of 150" in ends[0][1]

    one = train(workdir, parallel__mapper=mapper)
    one.wait_for(60)
    one.all[1].kill()
    # JAX ends the other when it misses its partner: it must not go on, nor end well.
    assert all(status not in (0, 75) for status, _, _ in one.end())

    both = train(workdir, parallel__mapper=mapper)
    both.wait_for(100)
    for process in both.all:
        process.kill()
    both.end()
    assert not (workdir / "result.json").exists()

    ends = train(workdir, parallel__mapper=mapper).end()
    assert [status for status, _, _ in ends] == [0, 0], ends[0][2]
    assert "Resuming" in ends[0][1] and "of 150." in ends[0][1]
    expected = undisturbed[0]
    if mapper == "jit":  # rounds otherwise than pmap, so it needs an undisturbed run of its own
        expected = tmp_path / "left alone"
        train(expected, parallel__mapper=mapper).end()
    assert ending(workdir) == ending(expected)


@pytest.mark.slow
def test_four_processes_are_killed_and_resume(tmp_path):
    left_alone, killed = tmp_path / "left alone", tmp_path / "killed"
    assert [end[0] for end in train(left_alone, 4, 1).end()] == [0] * 4
    first = train(killed, 4, 1)
    first.wait_for(40)
    for process in first.all:
        process.kill()
    first.end()
    second = train(killed, 4, 1)
    second.wait_for(100)
    second.all[2].send_signal(signal.SIGINT)
    assert [end[0] for end in second.end()] == [75] * 4
    assert [end[0] for end in train(killed, 4, 1).end()] == [0] * 4
    assert ending(killed) == ending(left_alone)


@pytest.mark.slow
def test_two_processes_evaluate_what_they_trained(undisturbed):
    workdir, _ = undisturbed
    (status, output, errors), (_, other, _) = Processes(
        "evaluate", [workdir] * 2, 2, "--json", "--batch_size=5"
    ).end()
    assert status == 0, errors
    found, result = json.loads(output), ending(workdir)[0]
    assert found["accuracy"] == result["test_accuracy"] and found["examples"] == 12
    assert found["loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    assert other == ""


@pytest.mark.slow
def test_what_one_process_cannot_do_ends_all_of_them_with_its_sentence(tmp_path):
    ends = Processes(
        "train", [tmp_path / "here", tmp_path / "there"], 1, *tiny.flags(parallel__devices=0)
    ).end()
    assert [status for status, _, _ in ends] == [2, 2]
    for _, _, errors in ends:
        assert "process 1 does not see" in errors and "Traceback" not in errors
    lock = (tmp_path / "lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ends = train(tmp_path).end()
    assert [status for status, _, _ in ends] == [2, 2]
    assert all("is in use by process" in errors for _, _, errors in ends)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("localhost:1234", None, None), "--num_processes is missing"),
        ((None, 2, 0), "--coordinator is missing"),
        (("localhost", 2, 0), "must be HOST:PORT; given 'localhost'"),
        (("localhost:99999", 2, 0), "must be HOST:PORT"),
        (("localhost:1234", 2, 2), "must lie in 0 to 1 of 2 processes; given 2"),
    ],
)
def test_arguments_that_do_not_name_a_process_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        hosts.start(*arguments, wait=1)


def test_a_process_that_is_alone_joins_nobody(monkeypatch):
    asked = []

    def initialize(*arguments, **options):
        asked.append(arguments)
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr("jax.distributed.initialize", initialize)
    hosts.start(None, None, None, wait=1)
    assert asked == [(None, None, None)]
    hosts.start(None, 1, None, wait=1)
    monkeypatch.setenv("SLURM_NTASKS", "1")
    hosts.start(None, None, None, wait=1)
    assert len(asked) == 1
    assert hosts.count() == 1 and hosts.first()
    assert hosts.from_first(lambda: {"a": (1,)}) == {"a": (1,)}


@pytest.mark.slow
def test_the_tasks_of_a_slurm_job_find_each_other_without_flags(undisturbed):
    job = {"JOB_ID": str(os.getpid()), "STEP_NODELIST": "localhost", "NTASKS": "2",
           "STEP_NUM_NODES": "1"}  # fmt: skip
    tasks = [
        subprocess.Popen(
            (sys.executable, "-m", "experiments.evaluate", "--json", "--fake_devices=1",
             f"--workdir={undisturbed[0]}"),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {f"SLURM_{name}": value for name, value in job.items()}
            | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)},
        )
        for i in range(2)
    ]  # fmt: skip
    (output, errors), (other, _) = [task.communicate(timeout=120) for task in tasks]
    assert json.loads(output)["examples"] == 12, errors
    assert other == ""


def test_a_process_whose_partners_do_not_come_says_so(tmp_path):
    words = ("--coordinator=127.0.0.1:9", "--num_processes=2", "--process_id=1", "--join_timeout=2")
    done = subprocess.run(
        (sys.executable, "-m", "experiments.train", *tiny.flags(), f"--workdir={tmp_path / 'w'}",
         *words), cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 2 and not (tmp_path / "w").exists()
    assert done.stderr.count("\n") == 1 and "did not find each other" in done.stderr


def answers(*texts):
    """What `gather` would return had the processes sent these."""
    return np.stack([np.frombuffer(t.encode().ljust(hosts.MESSAGE), np.uint8) for t in texts])


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        (("0", "1no such file"), InputError, "^no such file$"),
        (("0", "2it broke"), hosts.Elsewhere, "process 1: it broke"),
        (("0", "0"), None, ""),
    ],
)
def test_what_happens_elsewhere_is_learned(monkeypatch, texts, error, words):
    monkeypatch.setattr(hosts, "count", lambda: 2)
    monkeypatch.setattr(hosts, "gather", lambda value: answers(*texts))
    if error is None:
        with hosts.agreement():
            pass
        return
    with pytest.raises(error, match=words), hosts.agreement():
        pass


HOSTS = ROOT / "docs" / "hosts"


@pytest.mark.parametrize("name", ["slurm.sh", "two_machines.sh", "tpu_pod.sh", "kubernetes.yaml"])
def test_the_files_that_start_a_run_are_well_formed(name):
    text = (HOSTS / name).read_text()
    assert "python -m experiments.train" in text
    known = {"config", "workdir", "coordinator", "num_processes", "process_id"}
    command = text.partition("experiments.train")[2]
    assert set(re.findall(r"--([a-z_]+)=", command)) <= known
    if name.endswith(".sh"):
        assert os.access(HOSTS / name, os.X_OK)
        subprocess.run(("bash", "-n", HOSTS / name), check=True)
        return
    service, job = yaml.safe_load_all(text)
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert f"--num_processes={job['spec']['completions']}" in command
