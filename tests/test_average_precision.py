"""Average precision where it can be counted by hand; `make oracles` holds it to pycocotools."""

import numpy as np
import pytest

from cnnjax.tasks.average_precision import (
    ALL,
    LARGE,
    MEDIUM,
    SMALL,
    Found,
    Wanted,
    average_precision,
)  # fmt: skip

BOX = np.array([0.0, 0, 10, 10])
ELSEWHERE = np.array([50.0, 50, 60, 60])


def wanted(boxes, labels=None, crowd=None):
    boxes = np.array(boxes, float).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    crowd = np.zeros(len(boxes), bool) if crowd is None else np.array(crowd)
    return Wanted(boxes, labels, crowd, (boxes[:, 2:] - boxes[:, :2]).prod(1))


def found(boxes, scores, labels=None):
    boxes = np.array(boxes, float).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    return Found(boxes, labels, np.array(scores, float))


def test_precision_counts_what_is_found_wrongly_before_what_is_right():
    def of(boxes, scores):
        return average_precision([found(boxes, scores)], [wanted([BOX])], 1)[ALL, 0, 0]

    assert of([BOX], [0.9]) == pytest.approx(1)
    assert of([BOX, ELSEWHERE], [0.9, 0.8]) == pytest.approx(1)
    assert of([BOX, ELSEWHERE], [0.8, 0.9]) == pytest.approx(0.5)
    assert of([BOX, BOX], [0.8, 0.9]) == pytest.approx(1)  # the second is one too many, but later
    assert of([], []) == 0


def test_half_of_the_objects_give_the_recalls_up_to_a_half():
    two = wanted([BOX, ELSEWHERE])
    result = average_precision([found([BOX], [0.9])], [two], 1)
    assert result[ALL, 0, 0] == pytest.approx(51 / 101)


def test_a_box_counts_up_to_its_agreement():
    lower = found([[0, 0, 10, 7.6]], [0.9])
    result = average_precision([lower], [wanted([BOX])], 1)[ALL, :, 0]
    assert result.tolist() == pytest.approx([1] * 6 + [0] * 4)


def test_crowds_and_other_sizes_count_neither_way():
    crowded = wanted([BOX, ELSEWHERE], crowd=[False, True])
    within = [50, 50, 54, 54]
    guesses = found([within, within, BOX], [0.9, 0.8, 0.7])
    result = average_precision([guesses], [crowded], 1)
    assert result[ALL, 0, 0] == pytest.approx(1) and result[SMALL, 0, 0] == pytest.approx(1)
    assert np.isnan(result[[MEDIUM, LARGE]]).all()
    middle = average_precision(
        [found([BOX, [0, 0, 50, 50]], [0.9, 0.8])], [wanted([[0, 0, 50, 50]])], 1
    )
    assert middle[MEDIUM, 0, 0] == pytest.approx(1) and middle[ALL, 0, 0] == pytest.approx(0.5)


def test_classes_do_not_meet_and_no_more_count_than_asked_for():
    both = wanted([BOX, BOX], [0, 2])
    guesses = found([BOX, BOX, ELSEWHERE], [0.5, 0.9, 0.6], [0, 2, 0])
    result = average_precision([guesses], [both], 3)[ALL, 0]
    assert result[[0, 2]].tolist() == pytest.approx([0.5, 1]) and np.isnan(result[1])
    assert average_precision([guesses], [both], 3, most=1)[ALL, 0, 0] == 0
    nothing = found([BOX], [0.9], [-1])
    assert average_precision([nothing], [both], 3)[ALL, 0, [0, 2]].tolist() == [0, 0]
