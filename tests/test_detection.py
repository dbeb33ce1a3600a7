"""Several objects per image: what is learnt of them, and from scenes to pictures."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnnjax import data, models, parallel, tasks
from cnnjax.evaluation import predict, trained
from cnnjax.evaluation.evaluate import evaluator
from cnnjax.models import fcos
from cnnjax.tasks import detection
from cnnjax.train import run
from tests import box_files

# A detector of a few thousand weights.
SMALL = {
    "backbone": "resnet18", "backbone_stem_kernel": 3, "backbone_stem_pool": False,
    "backbone_width": 4, "backbone_blocks": (1, 1, 1), "finest": 4, "levels": 2, "features": 8,
    "depth": 1, "reach": 4.0,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("quick_compilation")
LOSS, PREDICT, KEEP = map(jax.jit, (detection.loss, detection.predict, detection.keep))


def outputs_of(boxes, labels, classes=3, stride=0.125):
    """Returns outputs that say just what is in a list of (boxes, labels), and are sure of it."""
    count = round(1 / stride)
    grid = fcos.where((count, count), 8, (8 * count, 8 * count), 0, np.inf)
    targets = objects(boxes, labels)
    assign = jax.jit(jax.vmap(lambda b, k: detection.assigned(grid, b, k)))
    chosen, distances = assign(targets["boxes"], targets["labels"] >= 0)
    found = np.take_along_axis(targets["labels"], np.maximum(chosen, 0), 1)
    right = (np.arange(classes) == found[..., None]) & (np.asarray(chosen) >= 0)[..., None]
    return grid | {
        "logits": jnp.where(right, 9.0, -9.0),
        "distances": jnp.maximum(distances, 1e-3),
        "centredness": jnp.where(chosen >= 0, 9.0, -9.0) * detection.centred(distances),
    }


def objects(boxes, labels):
    boxes = np.float32(boxes).reshape(len(boxes), -1, 4)
    labels = np.int32(labels).reshape(boxes.shape[:2])
    return {
        "boxes": boxes, "labels": labels, "crowd": np.zeros(labels.shape, bool),
        "areas": (boxes[..., 2:] - boxes[..., :2]).prod(-1) * 64**2,
        "size": np.full((len(boxes), 2), 64, np.float32),
    }  # fmt: skip


APART = [[0.0, 0.1, 0.4, 0.6], [0.5, 0.5, 0.9, 1.0]]


def test_the_places_of_the_middle_learn_the_smallest_box_around_them():
    grid = fcos.where((8, 8), 8, (64, 64), 0, np.inf)
    assert grid["places"][:2].tolist() == [[1 / 16, 1 / 16], [3 / 16, 1 / 16]]
    boxes = jnp.float32([[0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0.2]])
    chosen, distances = detection.assigned(grid, boxes, jnp.array([True, True, False]))
    chosen = np.asarray(chosen).reshape(8, 8)
    wanted = np.full((8, 8), -1)
    wanted[3:5, 3:5] = 1  # at half a stride from the middle; a stride and a half is the limit
    wanted[2:6, 2:6] = 1
    assert chosen.tolist() == wanted.tolist()
    assert distances.reshape(8, 8, 4)[3, 3].tolist() == [1.5, 1.5, 2.5, 2.5]


def test_each_level_learns_the_boxes_of_its_reach():
    boxes, taught = jnp.float32([[0.2, 0.2, 0.45, 0.45], [0, 0, 1, 1]]), jnp.array([True, True])
    for low, high, mine in ((0, 3, 0), (3, np.inf, 1)):
        chosen, _ = detection.assigned(fcos.where((8, 8), 8, (64, 64), low, high), boxes, taught)
        assert set(np.unique(chosen)) == {-1, mine}


def test_a_perfect_answer_costs_next_to_nothing_and_is_found_again():
    labels = [[2, 0]]
    outputs, targets = outputs_of([APART], labels), objects([APART], labels)
    found = PREDICT(outputs)
    assert found["labels"][0, :3].tolist() in ([2, 0, -1], [0, 2, -1])
    order = np.argsort(-np.asarray(found["labels"][0, :2]))
    np.testing.assert_allclose(found["boxes"][0][order], APART, atol=1e-5)
    kept = jax.tree.map(np.asarray, dict(KEEP(outputs, targets)))
    values = detection.values(kept)
    found = tasks.report(detection.TASK, {"loss": 0, "count": 1, **values}, gathered=True)
    perfect = dict.fromkeys(("map", "map50", "map75", "map_small"), 1)
    none = dict.fromkeys(("map_medium", "map_large"), np.nan)
    assert found == pytest.approx({"loss": 0} | perfect | none, nan_ok=True)
    classes = tasks.of_classes(detection.TASK, values, data.Facts((64, 64, 1), ("a", "b", "c")))
    assert classes["a"] == pytest.approx({"ap": 1, "ap50": 1}) and np.isnan(classes["b"]["ap"])
    wrong = outputs | {"logits": outputs["logits"][..., ::-1]}
    assert LOSS(outputs, targets)[0] + 3 < LOSS(wrong, targets)[0]


def test_crowds_teach_nothing_and_what_is_no_number_shows():
    outputs = outputs_of([APART], [[2, 0]])
    targets = objects([APART], [[2, 0]])
    crowd = targets | {"crowd": np.array([[False, True]])}
    slope = jax.jit(jax.grad(lambda o, t: detection.loss(o, t).sum()))
    places = np.asarray(outputs["places"])
    low, high = APART[1][:2], APART[1][2:]
    within = ((places > low) & (places < high)).all(-1)
    logits = slope(outputs, crowd)["logits"][0]
    assert not logits[within].any() and logits[~within].any(-1).all()
    assert slope(outputs, targets)["logits"][0][within].any()
    broken = targets | {"boxes": np.full((1, 2, 4), np.nan, np.float32)}
    assert np.isnan(LOSS(outputs, broken)).all()
    none = objects([np.zeros((2, 4))], [[-1, -1]])
    assert np.isfinite(LOSS(outputs, none)).all()


def test_a_detector_says_its_levels_for_any_size_and_type():
    module = models.build("fcos", 5, **SMALL).clone(dtype=jnp.bfloat16)
    images = jnp.zeros((1, 50, 34, 3))
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), images))
    found = jax.eval_shape(module.apply, variables, images)
    places = 13 * 9 + 7 * 5
    assert found["logits"].shape == (1, places, 5) and found["places"].shape == (places, 2)
    assert {x.dtype for x in found.values()} == {jnp.dtype("float32")}
    grid = fcos.where((13, 9), 4, (50, 34), 0, 4)
    assert grid["places"][-1].tolist() == pytest.approx([34 / 34, 50 / 50])


@pytest.mark.slow
def test_boxes_of_ones_own_are_trained_and_tested_on_any_number_of_devices(tmp_path):
    from configs import detection as own

    config = own.get_config()
    config.data.path = str(box_files.write_coco(tmp_path / "set"))
    config.data.image_size, config.data.validation, config.batch_size = 32, 0.34, 2
    config.epochs, config.schedule.warmup_epochs, config.parallel.devices = 3.0, 0.0, 1
    for name, value in SMALL.items():
        config.model[name] = value
    workdir = tmp_path / "run"
    result = run.run(config, workdir)
    assert {"test_map", "test_map50", "test_map75", "test_loss"} <= result.keys()
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert any("map" in line for line in lines if line["split"] == "validation")
    assert not any("map" in line for line in lines if line["split"] == "train")
    network = trained.load(workdir)
    assert network.class_names == box_files.NAMES
    mapper = parallel.mapper("pmap", 2)
    evaluate = evaluator(network.task, network.module, network.preprocess, mapper, 5)
    found = evaluate(mapper.replicate(network.variables), trained.load_data(network.config).test)
    for name in network.task.figures:
        assert found[name] == pytest.approx(result[f"test_{name}"], abs=1e-6, nan_ok=True)


def test_objects_are_in_the_pixels_of_the_picture_and_drawn_there(tmp_path):
    facts = data.Facts((48, 96, 3), ("cat", "dog", "cow"))
    found = {name: np.asarray(x[0]) for name, x in PREDICT(
        outputs_of([APART], [[2, 0]])).items()}  # fmt: skip
    # Of a picture twice as wide as high, a network that crops sees columns 24 to 72.
    placed = detection.place(found, (0.25, 0, 0.75, 1))
    findings = sorted(detection.findings(placed, facts), key=lambda f: f["class"])
    assert [f["class"] for f in findings] == ["cat", "cow"]
    assert findings[0]["box"] == [48, 24, 67.2, 48] and findings[1]["box"] == [24, 4.8, 43.2, 28.8]
    json.dumps(findings)
    # Another class at the same place is less sure, and not told; nor is what is hardly likely.
    again = {name: np.concatenate([x[:2], x[:2], x[2:]]) for name, x in placed.items()}
    again["labels"][2:4], again["scores"][2:4] = 1, 0.6
    assert len(detection.findings(again, facts)) == 2
    assert not detection.findings({**placed, "scores": placed["scores"] * 0.5}, facts)
    picture = Image.new("RGB", (96, 48), "gray")
    seen = predict.Seen(np.asarray(picture), placed, facts)
    predict.write_pictures(tmp_path, ["wide.png"], [seen], detection.TASK)
    drawn = np.asarray(Image.open(tmp_path / "wide.png"))
    changed = (drawn != 128).any(-1)
    assert changed[28, 24] and changed[28, 43] and changed[47, 60] and not changed[:, :23].any()
    assert not changed[15:28, 27:40].any()
