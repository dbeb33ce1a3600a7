"""Non-maximum suppression against one box after the other in numpy."""

import jax
import numpy as np
import pytest

from cnnjax.tasks.suppression import surest


def agreement(one, other):
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    both = max(wide, 0) * max(high, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return both / (sum(areas) - both) if both else 0


def one_by_one(scores, boxes, candidates, most, least, threshold):
    """Returns (place, class) of what stays, the surest first."""
    pairs = [(p, c) for p in range(scores.shape[0]) for c in range(scores.shape[1])]
    pairs.sort(key=lambda pair: -scores[pair])
    stays = []
    for place, label in pairs[:candidates]:
        if scores[place, label] >= least and not any(
            c == label and agreement(boxes[p], boxes[place]) > threshold for p, c in stays
        ):
            stays.append((place, label))
    return stays[:most]


@pytest.mark.parametrize("whole", [False, True], ids=["", "ties"])
def test_what_stays_is_what_stays_one_by_one(whole):
    draw = np.random.default_rng(0)
    options = {"candidates": 60, "most": 12, "least": 0.2, "threshold": 0.5}
    compiled = jax.jit(jax.vmap(lambda s, b: surest(s, b, **options)))
    scores = draw.random((40, 30, 3)).astype(np.float32)
    low = draw.random((40, 30, 2)) * 0.6
    boxes = np.concatenate([low, low + draw.uniform(0.1, 0.4, (40, 30, 2))], -1)
    if whole:
        scores, boxes = np.round(scores * 8) / 8, np.round(boxes * 8) / 8
    boxes = boxes.astype(np.float32)
    found = jax.tree.map(np.asarray, compiled(scores, boxes))
    for i in range(40):
        expected = one_by_one(scores[i], boxes[i], **options)
        count = len(expected)
        assert found["labels"][i].tolist() == [c for _, c in expected] + [-1] * (12 - count)
        np.testing.assert_array_equal(found["boxes"][i][:count], [boxes[i][p] for p, _ in expected])
        assert not found["boxes"][i][count:].any() and not found["scores"][i][count:].any()
        np.testing.assert_array_equal(
            found["scores"][i][:count], [scores[i][pair] for pair in expected]
        )


def test_what_is_no_number_is_not_found():
    scores = np.float32([[0.9], [np.nan], [0.8]])
    boxes = np.float32([[0, 0, np.nan, 1], [0, 0, 1, 1], [0, 0, 1, 1]])
    options = {"candidates": 9, "most": 9, "least": 0.1, "threshold": 0.5}
    found = jax.jit(lambda s, b: surest(s, b, **options))(scores, boxes)
    assert found["labels"].tolist() == [0, -1, -1] and found["boxes"][0].tolist() == [0, 0, 1, 1]
