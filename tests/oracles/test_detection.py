"""Average precision against pycocotools, on random images of random boxes."""

import contextlib
import io

import numpy as np
import pytest

from cnnjax.tasks.average_precision import Found, Wanted, average_precision

SIDE = 256  # so that small, medium and large boxes occur


def boxes(draw, count, whole):
    """Returns boxes, of whole pixels where agreements shall be equal often."""
    low = draw.uniform(0, SIDE * 0.8, (count, 2))
    size = SIDE * draw.choice([0.05, 0.2, 0.5, 0.8], (count, 1)) * draw.uniform(0.5, 1, (count, 2))
    found = np.concatenate([low, np.minimum(low + size, SIDE)], 1)
    return np.round(found / 8) * 8 + [0, 0, 8, 8] if whole else found


def image(draw, classes, whole):
    """Returns what is in an image, and what was found there: moved copies, and inventions."""
    count = draw.integers(0, 9)
    there = boxes(draw, count, whole)
    areas = (there[:, 2:] - there[:, :2]).prod(1) * draw.choice([1, 0.6], count)
    wanted = Wanted(there, draw.integers(0, classes, count), draw.random(count) < 0.15, areas)
    again = draw.integers(0, count, draw.integers(0, 12)) if count else np.zeros(0, int)
    moved = there[again] + draw.choice([0, 8, 16], (len(again), 4)) * [-1, -1, 1, 1]
    labels = np.where(draw.random(len(again)) < 0.8, wanted.labels[again], 0)
    invented = boxes(draw, draw.integers(0, 5), whole)
    labels = np.concatenate([labels, draw.integers(0, classes, len(invented))])
    scores = draw.random(len(labels))
    scores = np.round(scores * 4) / 4 if whole else scores
    return Found(np.concatenate([moved, invented]), labels, scores), wanted


def theirs(found, wanted, classes, most):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def sized(box):
        return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]

    truth = COCO()
    truth.dataset = {
        "images": [{"id": i} for i in range(len(wanted))],
        "categories": [{"id": c} for c in range(classes)],
        "annotations": [
            {"image_id": i, "category_id": int(label), "bbox": sized(box), "area": float(area),
             "iscrowd": int(crowd)}
            for i, one in enumerate(wanted)
            for box, label, crowd, area in zip(
                one.boxes, one.labels, one.crowd, one.areas, strict=True)
        ],
    }  # fmt: skip
    for number, annotation in enumerate(truth.dataset["annotations"]):
        annotation["id"] = number + 1  # an object with the number 0 would never be found
    results = [
        {"image_id": i, "category_id": int(label), "bbox": sized(box), "score": float(score)}
        for i, one in enumerate(found)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # thresholds, recalls, classes, areas
    return np.where(precision < 0, np.nan, precision).mean(1).transpose(2, 0, 1)


@pytest.mark.parametrize("seed", range(60))
def test_average_precision_is_that_of_pycocotools(seed):
    pytest.importorskip("pycocotools")
    draw = np.random.default_rng(seed)
    classes, most = int(draw.integers(1, 5)), int(draw.choice([2, 100]))
    pairs = [image(draw, classes, seed % 2) for _ in range(draw.integers(1, 12))]
    found, wanted = (list(part) for part in zip(*pairs, strict=True))
    if not any(len(one.labels) for one in found):
        pytest.skip("pycocotools takes no empty results")
    ours = average_precision(found, wanted, classes, most)
    np.testing.assert_allclose(ours, theirs(found, wanted, classes, most), atol=1e-6)
