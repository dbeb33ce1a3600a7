"""The benchmark: its arithmetic on made-up measurements, and one look at the whole of it."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnjax import memory
from cnnjax.errors import InputError
from experiments.benchmarks import arrays, contest, contestants, learning, records, rounds, table
from experiments.benchmarks.child import Child, Failed
from experiments.benchmarks.works import MODES, works

ROOT = Path(__file__).parent.parent
COLUMNS = ("cnnjax", "PyTorch", "Keras 3", "plain Flax")


def command(*flags):
    return subprocess.run(
        (sys.executable, "-m", "experiments.benchmark", *flags),
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def record(measured=None, name="lenet5", device="2 cores"):
    run = {"device": device, "precision": "float32", "date": "2026-01-02", "rounds": 3,
           "versions": {"jax": "0.10"}, "peak": {"cnnjax": 8e9, "pytorch": 1e10}}  # fmt: skip
    work = {"name": name, "shape": [28, 28, 1], "batch": 100, "macs": 1_000_000}
    return {"run": run, "work": work, "contestants": measured or {}}


def row(stored, label):
    (cells,) = [row[2:] for row in table.rows(stored, COLUMNS) if row[1] == label]
    return cells


def test_ratios_are_taken_round_by_round_before_their_median():
    # The medians alone are equal; in most rounds the other was twice as slow.
    measured = {"cnnjax": {"train": [1.0, 2.0, 3.0]}, "flax": {"train": [2.0, 4.0, 1.5]}}
    cells = row(record(measured), "training step")
    assert cells == ["2,000 ms (1,500 to 2,500)", "", "", "2,000 ms (1,750 to 3,000)",
                     "", "", "2.00 (1.25 to 2.00)"]  # fmt: skip


def test_the_better_memory_layout_counts():
    measured = {
        "cnnjax": {"train": [0.2]},
        "pytorch": {"train": [0.1]},
        "pytorch_channels_last": {"train": [0.05]},
    }
    assert row(record(measured), "training step")[1:5] == ["50.0 ms", "", "", "0.250"]


def test_the_share_of_the_peak_counts_three_passes_of_a_step_and_the_larger_peak():
    stored = record({"cnnjax": {"train": [0.6], "forward": [0.1]}})
    assert records.peak_share(stored, "train", 0.6) == pytest.approx(0.1)
    steps, passes = [r for r in table.rows(stored, COLUMNS) if r[1].startswith("images/s")]
    assert steps[2] == "167/s, 10.0 %"
    assert passes[2] == "1,000/s, 20.0 %"


def test_other_quantities_have_their_units():
    measured = {"first": [4.25], "pipeline": [0.004], "memory": [300 * 2**20]}
    stored = record({"cnnjax": measured, "keras": {"memory": [450 * 2**20]}})
    assert row(stored, "process start to first step")[0] == "4.25 s"
    assert row(stored, "input pipeline alone, batches/s")[0] == "250/s"
    assert row(stored, "peak memory") == ["300 MiB", "", "450 MiB", "", "", "1.50", ""]


def test_an_accuracy_that_is_not_reached_has_no_time():
    stored = record(
        {
            "cnnjax": {"reached": [20.0, 10.0, 15.0]},
            "pytorch": {"reached": [30.0, None, 30.0]},
            "flax": {"reached": [30.0, 30.0, 30.0]},
            learning.BY_RECIPE: {"reached": [5.0, 5.0, 10.0]},
        }
    )
    plain, recipe = table.rows(stored, COLUMNS)
    assert plain[2:] == ["15.0 s (12.5 to 17.5)", "not reached", "", "30.0 s (30.0 to 30.0)",
                         "", "", "2.00 (1.75 to 2.50)"]  # fmt: skip
    assert recipe[2] == "5.00 s (5.00 to 7.50)" and recipe[-1] == "6.00 (4.50 to 6.00)"


def test_a_failure_is_shown_and_told():
    stored = record({"cnnjax": {"train": [0.1]}, "keras": {"failed": "keras ended: no memory"}})
    assert row(stored, "training step")[2] == "failed"
    assert table.failures([stored]) == ["lenet5: keras ended: no memory"]


def test_a_new_record_replaces_that_of_the_same_work_on_the_same_device():
    first = [record(device="A"), record(name="resnet20", device="A"), record(device="B")]
    again = record({"cnnjax": {"train": [1.0]}}, device="A")
    stored = records.add(first, [again])
    assert [records.identity(r)[::2] for r in stored] == [
        ("A", "lenet5"), ("A", "resnet20"), ("B", "lenet5"),
    ]  # fmt: skip
    assert stored[0] is again


def test_the_readme_gets_a_table_per_run_between_its_markers():
    text = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    stored = [record({"cnnjax": {"train": [0.1]}}, device=device) for device in "ABA"]
    page = table.written(text, stored)
    assert page.startswith("before\n") and page.endswith("\nafter\n") and "old" not in page
    assert "A, 2026-01-02, float32; jax 0.10." in page and "10.0 GFLOP/s" in page
    assert page.count("| lenet5, 100 of 28x28x1 | training step | 100 ms |") == 3
    assert page.count("Medians (and quartiles)") == 2  # one caption for each run
    assert table.written(page, stored) == page
    for half in (table.BEGIN, table.END):
        with pytest.raises(InputError, match="lacks the lines"):
            table.written(half, stored)


@pytest.mark.parametrize(("name", "brief"), [("README.md", True), ("docs/speed.md", False)])
def test_the_documents_show_what_is_stored(name, brief):
    page = (ROOT / name).read_text()
    assert table.written(page, records.read(ROOT / "docs" / "benchmark.json"), brief) == page


def test_the_short_table_has_a_row_for_each_work_of_the_newest_run():
    ours, theirs = {"train": [0.1, 0.3, 0.2]}, {"train": [0.4, 0.6, 0.2]}
    stored = [record({"cnnjax": ours, "flax": theirs}, device=device) for device in "AB"]
    text = table.short(stored)
    assert text.count("| lenet5, 100 of 28x28x1 | 200 ms | 2.00 |") == 1
    assert "B, " not in text and table.short([]) == ""  # of two runs of one day, the first


# Of a step of those that pretend.
STEP = {"cnnjax": 0.01, "flax": 0.02, "keras": 0.04}


class Pretended:
    """A process that says what it would have taken; Keras tires of its turns."""

    log: list[tuple[str, str, int]]

    def __init__(self, name, programs):
        self.name, self.turns, self.open = name, 0, True

    def ask(self, do, steps=0, **arguments):
        assert self.open
        self.log.append((self.name, do, steps))
        if do == "prepare":
            return {"parameters": 7}
        if do == "memory":
            return {"host": 5, "device": None}
        self.turns += do == "pipeline"
        if self.name == "keras" and self.turns == 5:
            raise Failed("keras is tired")
        return {"seconds": steps * STEP[self.name]}

    def close(self):
        self.open = False


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(rounds, "Child", Pretended)
    monkeypatch.setattr(Pretended, "log", [], raising=False)
    return Pretended.log


@pytest.mark.parametrize("together", (True, False))
def test_contestants_take_turns_and_one_that_fails_stops_nobody(pretended, tmp_path, together):
    settings = rounds.Settings(rounds=4, seconds=0.1, starts=2, together=together)
    advanced: list[int] = []
    names = ["cnnjax", "flax", "keras"]
    found = rounds.measure(works()["lenet5"], names, tmp_path, settings, lambda: advanced.append(1))
    assert found["keras"] == {"failed": "keras is tired"}
    for name in names[:2]:
        assert found[name]["train"] == pytest.approx([STEP[name]] * 4)
        assert len(found[name]["first"]) == len(found[name]["again"]) == 1
        assert (found[name]["parameters"], found[name]["memory"]) == (7, [5])
    assert len(advanced) == contest.turns(works()["lenet5"], names, settings)
    trained = [(name, steps) for name, do, steps in pretended if do == "train" and steps > 4]
    assert set(trained) == {("cnnjax", 10), ("flax", 5)}  # as many as fill a tenth of a second
    order = [name for name, _ in trained[2:]]
    if together:
        assert order == ["cnnjax", "flax", "flax", "cnnjax"] * 2
    else:
        assert order == sorted(order)


def test_our_own_recipe_is_timed_by_our_own_command(monkeypatch):
    monkeypatch.setattr(learning, "RECIPE", ("--config=configs/digits.py", "--config.epochs=1"))
    found = learning.by_recipe("", "float32", seed=1)
    assert found["epochs"] == 1 and 0 < found["accuracy"] < 0.99
    assert found["reached"] is None
    monkeypatch.setattr(learning, "RECIPE", ("--config=configs/digits.py", "--config.epochs=-1"))
    with pytest.raises(Failed, match="experiments.train: error: config.epochs"):
        learning.by_recipe("", "float32", seed=1)


class Learning(Pretended):
    """A process that needs as many epochs as its name has letters."""

    def ask(self, do, **arguments):
        self.turns += do == "epoch"
        return {"accuracy": 0.99 if self.turns >= len(self.name) else 0.9}


def test_learning_ends_with_the_evaluation_that_shows_it(monkeypatch, tmp_path):
    monkeypatch.setattr(learning, "Child", Learning)
    work, settings = works()["mnist_99"], rounds.Settings(repeats=2)
    work = dataclasses.replace(work, epochs=5)
    advanced: list[int] = []
    found = learning.measure(
        work, ["flax", "pytorch"], tmp_path, "", settings, lambda: advanced.append(1)
    )
    assert found["flax"]["epochs"] == [4, 4] and all(s > 0 for s in found["flax"]["reached"])
    assert found["pytorch"] == {"reached": [None] * 2, "epochs": [5, 5], "accuracy": [0.9] * 2}
    assert len(advanced) == contest.turns(work, ["flax", "pytorch"], settings)


def test_only_our_process_keeps_what_the_launcher_sets(monkeypatch, tmp_path):
    for name in contestants.LAUNCHED:
        monkeypatch.setenv(name, "of the launcher")
    ours = ":".join(memory.TUNABLES)
    monkeypatch.setenv("GLIBC_TUNABLES", f"glibc.malloc.check=0:{ours}")
    theirs = contestants.environment("pytorch", tmp_path)
    assert not set(theirs) & set(contestants.LAUNCHED) and theirs["PATH"] == os.environ["PATH"]
    assert theirs["GLIBC_TUNABLES"] == "glibc.malloc.check=0"
    mine = contestants.environment("cnnjax", tmp_path)
    assert mine["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path)
    asked = contestants.environment("pytorch_huge_pages", tmp_path)
    assert asked["GLIBC_TUNABLES"] == ours


def test_our_process_starts_as_the_launcher_starts_any(tmp_path):
    for name, expected in (("cnnjax", memory.wanted()), ("cnnjax_small_pages", False)):
        child = Child(name, tmp_path)
        try:
            with pytest.raises(Failed, match="not prepared"):
                child.ask("train", steps=1)
            started = Path(f"/proc/{child.process.pid}/environ").read_text()
            assert (memory.HUGE in started) is expected
        finally:
            child.close()


def test_who_is_not_installed_is_left_out_with_a_hint(monkeypatch, capsys):
    absent = contestants.Contestant("absent", "Absent", "absent", ("no_such_package",))
    monkeypatch.setitem(contestants.CONTESTANTS, "absent", absent)
    assert contest.present(["cnnjax", "absent"]) == ["cnnjax"]
    told = capsys.readouterr().out
    assert (
        told == "absent is left out: no_such_package is not installed; `make oracles` installs it\n"
    )
    with pytest.raises(InputError, match="no contestant is left"):
        contest.present(["absent"])


def test_all_read_the_same_arrays(tmp_path):
    work = works()["resnet20"]
    made = arrays.make(work, "")
    arrays.write(made, tmp_path / "arrays")
    back = arrays.read(tmp_path / "arrays")
    assert (back.images == arrays.make(work, "").images).all() and back.images.dtype == np.uint8
    assert len(back.images) % work.batch == 0 and set(back.labels) == set(range(10))
    floats, _ = arrays.normalised(back)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats.mean((0, 1, 2), np.float64), 0, atol=1e-4)
    np.testing.assert_allclose(floats.std((0, 1, 2), np.float64), 1, atol=1e-4)


def test_a_quick_run_of_ours_measures_everything(tmp_path):
    file = tmp_path / "benchmark.json"
    done = command("--quick", "--contestants=cnnjax", "--starts=2", "--steps=1", "--device=here",
                   f"--output={file}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "lenet5, 128 of 28x28x1" in done.stdout and "here, " in done.stdout
    (stored,) = json.loads(file.read_text())
    measured = stored["contestants"]["cnnjax"]
    assert measured["parameters"] == 61_706 and stored["work"]["macs"] == 416_520
    assert all(len(measured[mode]) == 2 and min(measured[mode]) > 0 for mode in MODES)
    # The second process found the programs of the first.
    assert 1 < measured["again"][0] < 0.8 * measured["first"][0] < 60
    assert 100 * 2**20 < measured["memory"][0] < 4 * 2**30
    assert stored["run"]["peak"]["cnnjax"] > 1e9 and stored["run"]["versions"]["jax"]
    assert str(ROOT) not in file.read_text()


@pytest.mark.parametrize(
    "flag, line",
    [
        ("--work=lenet4", "unknown work 'lenet4'; did you mean lenet5"),
        ("--contestants=pytorc", "unknown contestant 'pytorc'; did you mean pytorch"),
        ("--output=/nowhere/x.json", "the folder /nowhere does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(flag, line):
    done = command("--quick", flag)
    assert done.returncode == 2 and done.stdout == ""
    assert line in done.stderr and done.stderr.count("\n") == 1
