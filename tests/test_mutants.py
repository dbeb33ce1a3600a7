"""What `make mutants` is made of: which changes, and which tests judge them."""

import ast

import pytest

from tests import mutants

FILE = "cnnjax/train/optim.py"


def test_every_source_has_tests_that_exist():
    for path in mutants.sources():
        found = mutants.tests_of(path)
        assert found and all((mutants.ROOT / file).is_file() for file in found), path


def test_every_test_of_the_table_exists():
    named = {name for names in mutants.TESTS.values() for name in names}
    assert {n for n in named if not (mutants.ROOT / f"tests/test_{n}.py").is_file()} == set()


def test_changes_are_made_once_at_a_place_and_not_in_annotations():
    pytest.importorskip("cosmic_ray", reason="`make mutants` installs it")
    found = mutants.mutations([FILE])
    drawn = mutants.draw(found, 0)
    places = {mutation.start_pos for mutation in drawn}
    assert len(places) == len(drawn) > 50
    lines = (mutants.ROOT / FILE).read_text().splitlines()
    assert not any(" -> " in lines[line - 1] and column > 60 for line, column in places)
    assert [m.occurrence for m in mutants.draw(mutants.mutations([FILE]), 0)] == [
        m.occurrence for m in drawn
    ]
    spans = mutants.annotations(FILE)
    assert spans and all(start < end for start, end in spans)


def test_a_change_survives_only_tests_that_pass(tmp_path, monkeypatch):
    pytest.importorskip("cosmic_ray", reason="`make mutants` installs it")
    (tmp_path / "added.py").write_text("def added(a, b):\n    return a + b\n")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    change = mutants.draw(mutants.mutations(["added.py"]), 0)
    assert len(change) == 1 and ast.parse((tmp_path / "added.py").read_text())
    copies = mutants.queue.Queue()
    copies.put(tmp_path)
    monkeypatch.setattr(mutants, "tests_of", lambda name: ["test_it.py"])
    for judged, killed in (("added(2, 3) == 5", True), ("True", False)):
        text = f"from added import added\ndef test_it():\n    assert {judged}\n"
        (tmp_path / "test_it.py").write_text(text)
        _, found = mutants.judge(copies, change[0])
        assert found.is_killed == killed, found.output
    assert (tmp_path / "added.py").read_text() == "def added(a, b):\n    return a + b\n"
