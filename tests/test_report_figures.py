"""The figures of a report against scikit-learn and scipy, and what is known by hand."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

from cnnjax.data import inspection
from cnnjax.report import calibration, duplicates, figures, slices, suspects

RANDOM = np.random.default_rng(0)
CLASSES = 5
LABELS = RANDOM.integers(0, CLASSES, 400)
LOGITS = RANDOM.normal(size=(400, CLASSES)) * 3 + 4 * np.eye(CLASSES)[LABELS]
PROBABILITIES = special.softmax(LOGITS, 1)
PREDICTED = PROBABILITIES.argmax(1)


def test_figures_of_every_class_are_scikit_learns():
    matrix = figures.confusion(LABELS, PREDICTED, CLASSES)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(LABELS, PREDICTED))
    ours = figures.per_class(matrix)
    wanted = metrics.precision_recall_fscore_support(LABELS, PREDICTED)
    np.testing.assert_allclose([ours.precision, ours.recall, ours.f1, ours.examples], wanted)


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (3, 10), (9_917, 10_000)])
def test_the_interval_of_a_share_is_wilsons(hits, count):
    wanted = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert figures.wilson(hits, count) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_the_interval_of_f1_is_that_of_the_shared_examples():
    ours = figures.per_class(np.array([[30, 10], [5, 55]]))
    ends = stats.binomtest(30, 45).proportion_ci(method="wilson")
    low, high = (2 * j / (1 + j) for j in (ends.low, ends.high))
    assert (ours.intervals["f1"][0][0], ours.intervals["f1"][1][0]) == pytest.approx((low, high))
    assert ours.f1[0] == pytest.approx(60 / 75) and low < 60 / 75 < high


def test_a_class_that_nobody_is_taken_for_has_no_precision():
    ours = figures.per_class(np.array([[3, 0], [2, 0]]))
    assert np.isnan(ours.precision[1]) and ours.recall[1] == ours.f1[1] == 0
    assert [end[1] for end in ours.intervals["precision"]] == [0, 1]


def test_top_five_is_scikit_learns():
    scores = RANDOM.normal(size=(300, 12))
    labels = RANDOM.integers(0, 12, 300)
    wanted = metrics.top_k_accuracy_score(labels, scores, k=5, normalize=False)
    assert figures.top(scores, labels, 5) == wanted


def test_the_most_confused_classes_are_kept():
    matrix = np.diag([50] * 30)
    matrix[3, 17], matrix[29, 0], matrix[4, 5] = 9, 8, 1
    assert figures.most_confused(matrix, 4).tolist() == [0, 3, 17, 29]
    assert len(figures.most_confused(matrix, 30)) == 30


def test_paired_networks_are_compared_by_mcnemar():
    one, other = np.zeros((2, 100), bool)
    one[:9], other[7:10] = True, True
    wanted = stats.binomtest(1, 8).pvalue
    assert figures.paired(one, other) == (7, 1, pytest.approx(wanted))
    assert figures.paired(one, one) == (0, 0, 1.0)


def test_the_bins_of_confidence_are_scikit_learns():
    correct, sure = PREDICTED == LABELS, PROBABILITIES.max(1)
    ours = calibration.reliability(sure, correct, bins=10)
    accuracy, confidence = calibration_curve(correct, sure, n_bins=10)
    some = ours.count > 0
    np.testing.assert_allclose(ours.accuracy[some], accuracy)
    np.testing.assert_allclose(ours.confidence[some], confidence)
    weights = ours.count[some] / 400
    assert ours.error == pytest.approx((weights * abs(accuracy - confidence)).sum())


def test_the_temperature_mends_what_was_made_too_sure():
    # Labels drawn from the probabilities: these are calibrated as they are.
    fair = RANDOM.normal(size=(20_000, 4)) * 2
    chances = special.softmax(fair, 1).cumsum(1)
    labels = (RANDOM.random((20_000, 1)) > chances).sum(1).clip(0, 3)
    for heat in (0.5, 1.0, 3.0):
        assert calibration.temperature(fair * heat, labels) == pytest.approx(heat, rel=0.05)


def test_labels_that_were_changed_are_suspected():
    random = np.random.default_rng(1)
    true = random.integers(0, CLASSES, 2000)
    logits = random.normal(size=(2000, CLASSES)) + 7 * np.eye(CLASSES)[true]
    labels, changed = true.copy(), random.choice(2000, 40, replace=False)
    labels[changed] = (labels[changed] + 1) % CLASSES
    found = suspects.suspects(special.softmax(logits, 1), labels)
    both = np.isin(found.suspected, changed)
    assert both.sum() >= 36 and found.count < 44
    assert (found.classes[: found.count][both] == true[found.suspected[both]]).all()
    assert (np.diff(found.margin[: found.count]) <= 0).all() and found.margin[0] > 0.9
    assert sorted(found.places) == list(range(2000))


def test_nothing_is_suspected_where_a_class_is_empty_or_all_are_right():
    certain = np.eye(3)[[0, 1, 0, 1]]
    assert suspects.suspects(certain, np.array([0, 1, 0, 1])).count == 0


def test_many_looks_at_once_are_those_of_the_check_of_data():
    images = RANDOM.integers(0, 256, (6, 37, 29, 3), np.uint8)
    ours = duplicates.looks(images)
    wanted = [inspection.look(image) for image in images]
    np.testing.assert_allclose(ours, wanted, atol=0.01)
    assert not duplicates.looks(np.full((1, 20, 20, 1), 7, np.uint8)).any()


def test_copies_between_train_and_test_are_found_and_nothing_else():
    train = RANDOM.integers(0, 256, (2500, 16, 16, 1), np.uint8)
    test = RANDOM.integers(0, 256, (1500, 16, 16, 1), np.uint8)
    test[1234], test[7] = train[2222], (0.8 * train[100] + 10).astype(np.uint8)
    found = duplicates.near_duplicates(train, test)
    assert [(p.train, p.test, p.equal) for p in found] == [(2222, 1234, True), (100, 7, False)]


def test_the_worst_slice_comes_first():
    values = np.arange(400.0)
    wrong = (values > 350) & (values % 2 == 0)
    found = slices.worst(wrong, {"brightness": values}, {"class": (LABELS, "abcde")})
    assert found[0].by == "brightness" and found[0].name.startswith("highest quarter, 30")
    assert found[0].mean == pytest.approx(wrong[300:].mean()) and found[0].rest == 0
    assert {s.by for s in found} == {"brightness", "class"}
    assert [s.low for s in found] == sorted((s.low for s in found), reverse=True)


def test_losses_make_slices_too_and_equal_numbers_stay_together():
    losses = np.r_[np.ones(50), np.full(50, 3.0)].astype(np.float32)
    found = slices.worst(losses, {"contrast": np.r_[np.zeros(50), np.full(50, 8.0)]}, {})
    assert [s.count for s in found] == [50, 50] and found[0].mean == 3 and found[0].rest == 1


def test_folders_are_named_below_what_they_share(tmp_path):
    files = [tmp_path / "a" / "x" / "1.png", tmp_path / "b" / "2.png", tmp_path / "b" / "3.png"]
    index, names = slices.folders(files)
    assert names == ["a/x", "b"] and index.tolist() == [0, 1, 1]
    assert slices.folders(files[1:])[1] == ["."]
