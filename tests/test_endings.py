"""Every process that uses the library ends, whatever is still being computed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# Seconds after which a process is held to be one that never ends.
PATIENCE = 60

BUSY = """
import atexit, os, signal, sys, threading, time
import jax, jax.numpy as jnp
from cnnjax import layers

conv = layers.Conv(32, use_bias=False)
x = jnp.full((8, 32, 32, 32), 0.01)
kernel = {"params": {"kernel": jnp.full((3, 3, 32, 32), 0.003)}}

@jax.jit
def deep(x):
    for _ in range(20):
        x = conv.apply(kernel, x)
    return x

deep(x).block_until_ready()

def busy():
    y = x
    for _ in range(20):
        y = deep(y)
    return y

def busy_for_ever():
    while True:
        busy()

def shout(*_):
    print("ready", flush=True)
"""

# name -> (what it does at last, its exit status, or None where Python leaves it to chance: a daemon
# thread that is in a function of C++ at the end may take the process down with it).
QUICK = {
    "the script ends": ("busy()", 0),
    "an exception": ("y = busy()\n1 / 0", 1),
    "a daemon thread goes on for ever": (
        "threading.Thread(target=busy_for_ever, daemon=True).start(); time.sleep(0.2)", None),
}  # fmt: skip
SLOW = {
    "the result is held": ("y = busy()", 0),
    "sys.exit": ("busy()\nsys.exit(3)", 3),
    "sys.exit in a function that holds the result": (
        "def main():\n    y = busy()\n    sys.exit(3)\nmain()", 3),
    "os._exit": ("busy()\nos._exit(3)", 3),
    "a signal of its own": ("busy()\nos.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "a handler that exits": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\nbusy()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)", 4),
    "a thread of the user's ends later": (
        "threading.Thread(target=lambda: [busy() for _ in range(3)]).start()", 0),
    "a thread has ended, its result was dropped": (
        "t = threading.Thread(target=busy); t.start(); t.join()", 0),
    "a daemon thread waits for a result": (
        "t = threading.Thread(target=lambda: busy().block_until_ready(), daemon=True)\n"
        "t.start()", None),
    "several daemon threads": (
        "for _ in range(4): threading.Thread(target=busy_for_ever, daemon=True).start()\n"
        "time.sleep(0.2)", None),
    "an executor with work left": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(2); [pool.submit(busy) for _ in range(6)]", 0),
    "asyncio": (
        "import asyncio\nasync def main(): await asyncio.to_thread(busy)\nasyncio.run(main())", 0),
    "a child that exits at once": (
        "busy()\nif (child := os.fork()) == 0: os._exit(0)\nos.waitpid(child, 0)", 0),
    "a child becomes another program": (
        "import subprocess\nbusy()\nsubprocess.run(['true'], preexec_fn=lambda: None)", 0),
    "it becomes another program": ("busy()\nos.execv('/bin/true', ['true'])", 0),
    "atexit computes": ("atexit.register(busy)", 0),
    "atexit computes and waits": ("atexit.register(lambda: busy().block_until_ready())", 0),
    "a generator is left open": (
        "def rows():\n    try:\n        while True: yield busy()\n    finally: busy()\n"
        "found = rows(); next(found)", 0),
    "an object computes when it goes": (
        "class Last:\n    def __del__(self): self.y = deep(x)\nlast = Last()\nbusy()", 0),
    "a cycle of references": ("busy()\nring = [busy()]; ring.append(ring)", 0),
    "several devices": (
        "y = jax.pmap(deep)(jnp.stack([x] * jax.local_device_count()))", 0),
    "the caches are cleared": ("busy()\njax.clear_caches()", 0),
    "garbage is not collected": ("import gc; gc.disable()\ny = [busy() for _ in range(2)]", 0),
}  # fmt: skip
# name -> (code, signals sent when it says "ready", its exit status or None).
SIGNALLED = {
    "SIGINT": ("shout()\nbusy_for_ever()", [signal.SIGINT], -signal.SIGINT),
    "SIGINT while it waits": (
        "y = busy()\nshout()\ny.block_until_ready()\ntime.sleep(60)", [signal.SIGINT],
        -signal.SIGINT),
    "two SIGINTs": ("shout()\nbusy_for_ever()", [signal.SIGINT] * 2, -signal.SIGINT),
    "SIGINT while it ends": (
        "[busy() for _ in range(20)]\natexit.register(shout)", [signal.SIGINT], None),
    "SIGTERM": ("shout()\nbusy_for_ever()", [signal.SIGTERM], -signal.SIGTERM),
    "SIGHUP": ("shout()\nbusy_for_ever()", [signal.SIGHUP], -signal.SIGHUP),
    "an interrupt that is caught": (
        "shout()\ntry: busy_for_ever()\nexcept KeyboardInterrupt: sys.exit(5)", [signal.SIGINT],
        5),
}  # fmt: skip


def started(*command, **options):
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen((sys.executable, *command), text=True, **options)


def ended(process, given=None):
    """Returns the exit status of a process, and what it wrote; a test fails where it never ends."""
    try:
        out, errors = process.communicate(given, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail("the process never ends")
    return process.returncode, (out or "") + errors


def slow(cases):
    return [pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in cases.items()]


def quick(cases):
    return [pytest.param(*case, id=name) for name, case in cases.items()]


def test_the_example_of_the_readme_ends(tmp_path):
    example = README.split("```python\n")[2].split("```")[0]
    assert "resnet20" in example
    (tmp_path / "example.py").write_text(example)
    process = started(tmp_path / "example.py", env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert ended(process) == (0, "")


@pytest.mark.parametrize(("last", "status"), quick(QUICK) + slow(SLOW))
def test_a_process_ends(last, status, tmp_path):
    (tmp_path / "script.py").write_text(BUSY + last)
    process = started(tmp_path / "script.py", env=os.environ | {"PYTHONPATH": str(ROOT)})
    found, text = ended(process)
    assert status in (found, None), text


@pytest.mark.parametrize(("last", "signals", "status"), slow(SIGNALLED))
def test_a_process_ends_on_a_signal(last, signals, status):
    process = started("-c", BUSY + last)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    found, text = ended(process)
    assert status in (found, None), text


@pytest.mark.slow
@pytest.mark.parametrize("how", ["-c", "-m", "-", "-i", "no input"])
def test_however_python_is_started(how, tmp_path):
    environment, code = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}, BUSY + "y = busy()\n"
    (tmp_path / "busy_module.py").write_text(code)
    command = {
        "-c": ("-c", code), "-m": ("-m", "busy_module"), "-": ("-",),
        "-i": ("-i", tmp_path / "busy_module.py"), "no input": (tmp_path / "busy_module.py",),
    }[how]  # fmt: skip
    given = subprocess.DEVNULL if how == "no input" else subprocess.PIPE
    process = started(*command, env=environment, stdin=given)
    status, text = ended(process, {"-": code, "-i": "busy()\n"}.get(how))
    assert status == 0, text


SPAWN = f"""
import multiprocessing, sys
sys.path.insert(0, {str(ROOT)!r})

def work():
    import busy_module

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_child_of_multiprocessing_ends(method, tmp_path):
    (tmp_path / "busy_module.py").write_text(BUSY + "y = busy()\n")
    (tmp_path / "script.py").write_text(SPAWN)
    status, text = ended(started(tmp_path / "script.py", method))
    assert status == 0, text


@pytest.mark.slow
def test_a_process_whose_reader_has_gone_ends():
    process = started("-c", BUSY + "y = busy()\nwhile True: print('x' * 1000)")
    process.stdout.close()
    process.stdout = None
    assert ended(process)[0] == 1
