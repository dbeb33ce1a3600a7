"""The specification cannot pass by accident, and says honestly what it does not check.

That every check passes on ours is seen where tests/test_documents.py runs the whole command.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnnjax import verification
from cnnjax.errors import InputError
from cnnjax.verification import elsewhere
from cnnjax.verification.check import Check, Outcome, agree, show
from tests.wrong_rows import WRONG

ROOT = Path(__file__).parent.parent
CHECKS = {check.row: check for check in verification.CHECKS}


def cases():
    for row in CHECKS:
        for i, arguments in enumerate(WRONG.get(row, ())):
            yield pytest.param(row, arguments, id=f"{row}-{i}-{'-'.join(arguments)}")


@pytest.mark.parametrize(("row", "arguments"), list(cases()))
def test_a_check_fails_on_a_wrong_implementation(row, arguments):
    outcome = CHECKS[row].run(**arguments)
    assert not outcome.passed, outcome


@pytest.mark.parametrize("row", CHECKS)
def test_every_argument_of_every_check_has_been_replaced_by_a_wrong_one(row):
    replaced = {name for arguments in WRONG[row] for name in arguments}
    assert replaced == set(inspect.signature(CHECKS[row].run).parameters)


def test_every_row_of_the_four_sections_is_checked_here():
    rows = [f"C{i:02}" for i in range(1, 19)] + [f"P{i:02}" for i in range(1, 14)]
    rows += [f"N{i:02}" for i in range(1, 12)] + [f"L{i:02}" for i in range(1, 12)]
    rows += [f"E{i}" for i in range(1, 9)]
    assert [check.row for check in verification.CHECKS] == rows


def test_the_rows_are_those_of_the_requirements(shared):
    text = (shared / "requirements.md").read_text()
    known = set(re.findall(r"^\| ([CPNLTX]\d+) \|", text, re.MULTILINE))
    ours = {check.row for check in verification.CHECKS} | {row.row for row in elsewhere.ROWS}
    assert known <= ours


def test_what_raises_is_a_failure_of_its_check():
    def broken():
        raise ZeroDivisionError("by nothing")

    result = verification.judge(Check("Z1", "S0", "divides", broken))
    assert not result.passed and result.computed == "ZeroDivisionError: by nothing"


def test_comparisons_refuse_what_numpy_would_broadcast_or_lose():
    assert not agree([1.0, 1], 1.0, 1e-6)
    assert not agree([1.0], [float("nan")], 1e-6)
    assert not agree({"a": 1}, {"b": 1}, 1e-6)
    assert agree({"a": [1, 2]}, {"a": [1, 2.0000001]}, 1e-6)


def test_values_are_shown_on_one_line():
    assert show({"a": (1, 2000), "b": [0.123456, True]}) == "a: (1 2,000), b: (0.1235 yes)"


def test_rows_sections_and_letters_can_be_selected():
    assert [check.row for check in verification.select(["C02"])] == ["C02"]
    assert len(verification.select(["1.2"])) == len(verification.select(["P"])) == 13
    assert [check.row for check in verification.select(["E8", "C01"])] == ["C01", "E8"]
    with pytest.raises(InputError, match="'C99' is checked here; did you mean"):
        verification.select(["C99"])


def existing(evidence: str) -> bool:
    """Whether a named test, the module and config of a named command, or a page is there."""
    if evidence.startswith("experiments.study "):
        return (ROOT / "docs" / "studies" / f"{evidence.split()[1]}.md").is_file()
    if "::" not in evidence:
        module, *options = evidence.split()
        configs = [option.partition("=")[2].partition(":")[0] for option in options]
        return importlib.util.find_spec(module) is not None and all(
            (ROOT / config).is_file() for config in configs
        )
    file, name = evidence.split("::")
    path = ROOT / file
    text = path.read_text() if path.is_file() else ""
    return re.search(rf"^def {name}\(", text, re.MULTILINE) is not None


@pytest.mark.parametrize("row", elsewhere.ROWS, ids=lambda row: row.row)
def test_evidence_named_for_a_row_exists(row):
    missing = [evidence for evidence in row.evidence if not existing(evidence)]
    assert not missing


def test_evidence_that_does_not_exist_is_noticed():
    assert existing("experiments.verify") and not existing("experiments.verity")
    assert not existing("experiments.train --config=configs/nothing.py:lenet5")
    assert existing("experiments.study pooling") and not existing("experiments.study poling")
    assert not existing("tests/test_verify.py::test_of_nothing")
    assert existing("tests/test_verify.py::test_evidence_that_does_not_exist_is_noticed")


def test_no_row_is_listed_twice():
    rows = [check.row for check in verification.CHECKS] + [row.row for row in elsewhere.ROWS]
    assert len(rows) == len(set(rows))


def command(*arguments):
    return subprocess.run(
        (sys.executable, "-m", "experiments.verify", *arguments),
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_prints_a_table_and_json():
    table = command("--only=P01,N02")
    assert table.returncode == 0 and table.stderr == ""
    assert table.stdout.count("PASS") == 2 and "2 rows checked here, 0 FAIL" in table.stdout
    answer = command("--only=P01,N02", "--json")
    found = json.loads(answer.stdout)
    assert [check["row"] for check in found["checks"]] == ["P01", "N02"]
    assert found["failed"] == [] and all(check["passed"] for check in found["checks"])
    assert len(found["not_proven"]) == len(elsewhere.unproven())


def test_the_command_refuses_an_unknown_row():
    refused = command("--only=C77")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no row or section 'C77'")
    assert len(refused.stderr.splitlines()) == 1


def test_the_command_fails_where_a_check_fails(monkeypatch, capsys):
    from absl import flags
    from absl.testing import flagsaver

    from experiments import verify

    wrong = Check("Z1", "S0", "one is two", lambda: Outcome(1, 2, False))
    monkeypatch.setattr(verification, "select", lambda words: (wrong,))
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(only=["Z1"]):
        assert verify.main([]) == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed and "failed: Z1" in printed
