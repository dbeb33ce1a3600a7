"""Configs drawn at random end in a run or in a plain sentence; `tests.fuzz` draws thousands."""

import pytest

from tests import fuzz

pytestmark = [
    pytest.mark.usefixtures("quick_compilation"),
    # How ml_collections reads a config file.
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
]


@pytest.mark.parametrize("first", [0, 10, 20])
def test_any_override_ends_in_a_run_or_a_sentence(first, monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    found = {number: fuzz.outcome(fuzz.case(number)) for number in range(first, first + 10)}
    assert {n: text for n, text in found.items() if text not in ("run", "sentence")} == {}
    assert set(found.values()) == {"run", "sentence"}


def test_a_traceback_is_no_sentence(monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setattr(fuzz.run, "run", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in fuzz.outcome(fuzz.tiny.flags())
    monkeypatch.setattr(fuzz.run, "run", lambda *_: None)
    assert fuzz.outcome(fuzz.tiny.flags()).startswith("status 1")


def fail(error):
    def run(*unused):
        raise error

    return run


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 9 TiB"), RuntimeError("RESOURCE_EXHAUSTED: Out of")]
)
def test_too_little_memory_is_a_sentence(error, monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setattr(fuzz.run, "run", fail(error))
    assert fuzz.outcome(fuzz.tiny.flags()) == "sentence"
