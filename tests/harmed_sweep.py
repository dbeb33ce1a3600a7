"""A sweep whose workers are killed at random, beside the same sweep left alone.

    python -m tests.harmed_sweep --workers=2
    python -m tests.harmed_sweep --workers=4 --postgresql

prints what became of 24 trials of LeNet-5 on the digits.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests import postgres_server

ROOT = Path(__file__).parent.parent
LENET5 = (
    "--config=configs/digits.py", "--config.checkpoint.every_epochs=4.0",
    "--space=optimizer.learning_rate=log(1e-3,1e-2) label_smoothing=uniform(0,0.2) "
    "model.kernel=3|5",
)  # fmt: skip


def command(*arguments):
    return (sys.executable, "-m", "experiments.sweep", *map(str, arguments))


def started(*arguments, **options):
    return subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **options,
    )  # fmt: skip


def finished(*arguments, seconds=500):
    process = started(*arguments)
    return process.communicate(timeout=seconds)[0], process.returncode


def rows(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def digests(folder):
    return [(r["number"], r["state"], r["params_sha256"], r["value"]) for r in rows(folder)]


def reports(folder):
    """Returns how many lines the runs of a sweep have reported."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("trials/*/metrics.jsonl"))


def children(pid):
    tasks = Path(f"/proc/{pid}/task")
    return [int(c) for task in tasks.glob("*/children") for c in task.read_text().split()]


def until_reported(process, folder, count, seconds=300):
    """Waits for so many more lines of a sweep's runs, or its end."""
    goal, deadline = reports(folder) + count, time.monotonic() + seconds
    while process.poll() is None and reports(folder) < goal:
        assert time.monotonic() < deadline, "the runs of the sweep report nothing"
        time.sleep(0.05)


def kill_workers(process, folder, kills, lines, draw, after=lambda number: None):
    """Kills workers at random times of a sweep whose runs report `lines`; returns how many.

    `after` is called with the number of each kill.
    """
    killed = 0
    while killed < kills:
        until_reported(process, folder, draw.randint(1, max(lines // (kills + 2), 1)))
        if process.poll() is not None:
            break
        if workers := children(process.pid):
            os.kill(draw.choice(workers), signal.SIGKILL)
            killed += 1
            after(killed)
    return killed


def restart(server, seconds=2.0):
    """Stops a PostgreSQL server as a power cut does, and starts it after a while."""
    server.stop()
    time.sleep(seconds)
    server.start()


def ended_twice(folder):
    """Returns the numbers of the trials that workers have brought to an end more than once."""
    said = "".join(path.read_text() for path in (folder / "workers").iterdir())
    ends = Counter(re.findall(r"^Trial (\d+): done", said, re.MULTILINE))
    return [number for number, count in ends.items() if count > 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("trials", 24), ("workers", 2), ("kills", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the sweep left alone lies, or will")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="harmed-sweep-"))
    asked = (*LENET5, f"--trials={given.trials}", "--sampler=random")
    said, status = finished(*asked, f"--workdir={folder / 'alone'}", "--workers=2", seconds=3000)
    assert status == 0, said
    place, draw = folder / f"harmed-{given.workers}-{given.seed}", random.Random(given.seed)
    started_at, begun, restarts = time.monotonic(), len(rows(folder / "alone")), 0
    with contextlib.ExitStack() as stack:
        more = [f"--workdir={place}", f"--workers={given.workers}"]
        server = None
        if given.postgresql:
            server = stack.enter_context(postgres_server.server())
            more.append(f"--storage={server.url}")

        def after(number):
            nonlocal restarts
            if server and number == given.kills // 2 + 1:
                restart(server)
                restarts += 1

        process = started(*asked, *more)
        lines = reports(folder / "alone")
        killed = kill_workers(process, place, given.kills, lines, draw, after)
        said = process.communicate(timeout=3000)[0]
        assert process.returncode == 0, said
    alone, harmed = digests(folder / "alone"), digests(place)
    found = rows(place)
    figures = {
        "trials": len(found),
        "workers": given.workers,
        "killed": killed,
        "server_restarted": restarts,
        "states": Counter(r["state"] for r in found),
        "ended_twice": ended_twice(place),
        "begun": sum(r["begun"] for r in found),
        "equal_digests": sum(a == b for a, b in zip(alone, harmed, strict=True)),
        "best_validation_accuracy": max(r["value"] for r in found),
        "seconds": round(time.monotonic() - started_at),
    }
    print(json.dumps(figures, indent=1))
    return 0 if alone == harmed and not figures["ended_twice"] and begun == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
