"""Studies: what the numbers of their runs amount to, and that each can be run."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from scipy import stats

from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.sweep import measures, plots, study, study_page, worker
from cnnjax.train.experiment import check_parts, prepare
from experiments import study as entry
from tests import tiny

ROOT = Path(__file__).parent.parent
A_STUDY = study.Study(
    claim="b and c are worse than a.",
    source="A book.",
    question="Is a best?",
    base=tiny.config,
    points={"a": {}, "b": {"model.kernel": 1}, "c": {"model.act": "relu"}},
    expects={"b": -1, "c": -1},
    seeds=4,
)
FOUND = {"a": [90.0, 91.0, 92.0, 93.0], "b": [88.0, 89.5, 89.0, 91.5], "c": [91.0, 90, 93, 92.0]}


def test_differences_are_those_of_pairs():
    b, c = study.differences(A_STUDY, FOUND)
    pairs = [-2.0, -1.5, -3.0, -1.5]
    expected = stats.ttest_1samp(pairs, 0)
    low, high = expected.confidence_interval(0.95)
    assert b.mean == pytest.approx(-2.0) and b.p == pytest.approx(expected.pvalue)
    assert (b.mean - b.half, b.mean + b.half) == pytest.approx((low, high))
    assert b.effect == pytest.approx(-2 / math.sqrt(0.5)) and b.sign == -1
    assert c.mean == 0 and c.sign == 0
    alike = study.differences(A_STUDY, {"a": [1, 1, 1, 1], "b": [2, 2, 2, 2], "c": [1, 1, 1, 1]})
    assert [d.sign for d in alike] == [1, 0] and [d.p for d in alike] == [0.0, 1.0]


def test_a_point_can_be_compared_with_another_than_the_first():
    chained = dataclasses.replace(A_STUDY, against={"c": "b"})
    b, c = study.differences(chained, FOUND)
    assert (b.than, c.than) == ("a", "b")
    assert c.mean == pytest.approx(2.0) and c.p == pytest.approx(
        stats.ttest_rel(FOUND["c"], FOUND["b"]).pvalue
    )
    assert plots.drawn(study_page.drawing, chained, [b, c]).count("c - b") == 1


@pytest.mark.parametrize(
    ("signs", "words"),
    [((-1, -1), "supported"), ((1, 1), "not supported"), ((0, 1), "not supported"),
     ((-1, 1), "mixed"), ((-1, 0), "mixed"), ((0, 0), "undecided")],
)  # fmt: skip
def test_the_answer(signs, words):
    made = [
        study.Difference(n, "a", s * 2.0, 1.0, s, 0.01) for n, s in zip("bc", signs, strict=True)
    ]
    assert study.answer(A_STUDY, made) == words


def test_the_page_has_claim_answer_numbers_and_command():
    made = study.differences(A_STUDY, FOUND)
    verdict = study.answer(A_STUDY, made)
    shown = dataclasses.replace(A_STUDY, beside={"weights": lambda workdir: 0.0})
    beside = {"a": {"weights": 12345.0}, "b": {"weights": 0.01234}, "c": {"weights": 3.0}}
    page = study_page.markdown(
        "a_study", shown, FOUND, beside, made, verdict, "2 cores", "2026-01-01"
    )
    assert "> b and c are worse than a." in page and "> A book." in page
    assert "**Mixed**, by 4 seeds" in page
    assert "| a | 4 | 91.50 | 1.29 | 12,345 | 89.45 to 93.55 | as the base |" in page
    assert "| 0.0123 |" in page and "| 3 |" in page
    assert "| b | a | -2.00 | -3.13 to -0.87 | -2.83 | 0.011 | less |" in page
    assert "python -m experiments.study a_study" in page and "2 cores, 2026-01-01" in page
    assert plots.drawn(study_page.drawing, A_STUDY, made).startswith("<svg")


def test_a_curve_is_the_mean_of_the_seeds_and_all_they_span():
    curve = study.Curve("shift, pixels", "accuracy", lambda workdir: {})
    drawn = study_page.curve(
        dataclasses.replace(A_STUDY, curve=curve),
        {"a": {0.0: [1.0, 3.0], 1.0: [2.0, 4.0]}, "b": {0.0: [1.0, 1.0], 1.0: [0.0, 1.0]}},
    )
    (axes,) = drawn.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 3.0], [1.0, 0.5]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert study_page.curve(A_STUDY, {}) is None


def test_runs_share_their_seeds(tmp_path):
    every = list(study.runs(A_STUDY, tmp_path))
    assert [(point, seed) for point, seed, *_ in every[:4]] == [
        ("a", 3),
        ("b", 3),
        ("c", 3),
        ("a", 4),
    ]
    for point, seed, config, workdir in every:
        assert config["seed"] == seed and workdir == tmp_path / point / f"seed_{seed}"
        workdir.mkdir(parents=True)
        accuracy = FOUND[point][seed - 3] / 100
        (workdir / "result.json").write_text(
            json.dumps({"test_accuracy": accuracy, "params": len(point) + seed})
        )
    assert study.collected(A_STUDY, tmp_path) == {k: pytest.approx(v) for k, v in FOUND.items()}
    curve = study.Curve("", "", lambda workdir: {0.0: measures.parameters(workdir)})
    more = dataclasses.replace(A_STUDY, beside={"weights": measures.parameters}, curve=curve)
    assert study.beside(more, tmp_path)["b"] == {"weights": 5.5}
    assert study.curves(more, tmp_path)["b"] == {0.0: [4, 5, 6, 7]}


def test_a_study_without_a_question_is_refused():
    wrong = (
        {"expects": {}}, {"expects": {"a": 1}}, {"expects": {"d": 1}}, {"seeds": 1},
        {"against": {"d": "a"}}, {"against": {"b": "d"}},
    )  # fmt: skip
    for change in wrong:
        with pytest.raises(InputError, match="expects something of points"):
            study.check(dataclasses.replace(A_STUDY, **change))
    with pytest.raises(InputError, match="did you mean kernel"):
        study.check(dataclasses.replace(A_STUDY, points={"a": {}, "b": {"model.kernal": 3}},
                                        expects={"b": 1}))  # fmt: skip


@pytest.mark.parametrize("name", entry.known())
def test_every_study_can_be_run(name, tmp_path, request, monkeypatch):
    made = entry.load(name)
    study.check(made)
    if made.base()["data"]["name"] == "mnist":
        shared = request.getfixturevalue("shared")
        monkeypatch.setenv("TFDS_DATA_DIR", str(shared / "tfds"))
    for _, _, config, _ in list(study.runs(made, tmp_path))[: len(made.points)]:
        config = configuration.check(config)
        prepare(config, worker.data_of(config), check_parts(config))
    assert made.claim and made.source and made.question.endswith("?")


def test_the_pages_are_those_of_the_studies():
    pages = ROOT / "docs" / "studies"
    assert (pages / "index.md").read_text() == study_page.index(pages)
    names = {p.stem for p in pages.glob("*.md")} - {"index"}
    assert len(names) >= 10 and names <= {*entry.known()}
    for name in sorted(names):
        made, text = entry.load(name), (pages / f"{name}.md").read_text()
        assert text.startswith(f"# {made.question}\n\n> {made.claim}\n")
        assert all(f"\n| {point} | {made.seeds} |" in text for point in made.points)
        assert f"\n{study_page.described(made)}\n" in text
        assert (pages / f"{name}_curve.svg").exists() == bool(made.curve)


def test_an_unknown_study_is_refused():
    done = subprocess.run(
        (sys.executable, "-m", "experiments.study", "poling"), cwd=ROOT, capture_output=True,
        text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 2 and "did you mean pooling" in done.stderr


@pytest.mark.slow
def test_a_study_goes_on_where_it_was_and_writes_its_page(tmp_path):
    command = (
        sys.executable, "-m", "experiments.study", "padding", "--seeds=2",
        f"--workdir={tmp_path / 'runs'}", f"--pages={tmp_path}",
    )  # fmt: skip
    for seconds in (300, 100):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("is complete.") == 2 * len(entry.load("padding").points)
    assert "# Does padding help?" in (tmp_path / "padding.md").read_text()
    assert (tmp_path / "padding.svg").read_text().startswith("<svg")
