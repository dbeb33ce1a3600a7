"""The workers of one machine: who is started again, and on which GPU."""

import sys
import time
from types import SimpleNamespace

import pytest

from cnnjax.sweep import crew, life


def waited(workers):
    """Replaces the dead until nobody lives."""
    deadline = time.monotonic() + 60
    while workers.replace_dead() and time.monotonic() < deadline:
        time.sleep(0.01)
    workers.stop()


def made(folder, script):
    return crew.Crew((sys.executable, "-S", "-c", script), folder, 1)


def test_a_worker_that_dies_before_any_trial_is_given_up(tmp_path, capsys):
    mark = tmp_path / "starts"
    script = f"import os; open({str(mark)!r}, 'a').write('x'); os.kill(os.getpid(), 9)"
    workers = made(tmp_path, script)
    waited(workers)
    assert len(mark.read_text()) == life.DEATHS
    (complaint,) = workers.complaints()
    assert "worker 0: ended by SIGKILL 10 times in a row before it began a trial" in complaint
    assert "is the memory too small?" in capsys.readouterr().err


def test_deaths_within_trials_are_not_counted(tmp_path):
    mark = tmp_path / "starts"
    script = (
        f"import os; file = open({str(mark)!r}, 'a+'); file.seek(0); n = len(file.read());"
        f"file.write('x'); file.close(); n > 14 and os._exit(0); n % 9 or print({life.BEGINS!r}, n,"
        "flush=True); os.kill(os.getpid(), 9)"
    )
    workers = made(tmp_path, script)
    waited(workers)
    assert len(mark.read_text()) == 16 and workers.complaints() == []


@pytest.mark.parametrize(
    ("status", "name"),
    [(None, None), (0, None), (75, None), (-9, "SIGKILL"), (137, "SIGKILL"), (143, "SIGTERM"),
     (255, None), (-99, "signal 99")],
)  # fmt: skip
def test_the_signal_of_a_status(status, name):
    assert crew.ended_by(status) == name


def test_parts_of_a_gpu_are_no_gpus(monkeypatch):
    listed = (
        "GPU 0: NVIDIA A100 (UUID: GPU-1)\n  MIG 3g.20gb Device  0: (UUID: MIG-2)\n"
        "GPU 1: NVIDIA A100 (UUID: GPU-3)\n"
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(crew.shutil, "which", lambda name: name)
    answer = SimpleNamespace(returncode=0, stdout=listed)
    monkeypatch.setattr(crew.subprocess, "run", lambda *_, **__: answer)
    assert crew.gpus() == ["0", "1"]


def test_workers_share_gpus_evenly():
    alone = crew.environments(2, ["0", "1", "2"])
    assert alone == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    shared = crew.environments(3, ["0", "5"])
    assert [own["CUDA_VISIBLE_DEVICES"] for own in shared] == ["0", "5", "0"]
    assert {own["XLA_PYTHON_CLIENT_PREALLOCATE"] for own in shared} == {"false"}
    assert crew.environments(2, []) == [{}, {}]
