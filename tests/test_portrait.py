"""Portraits: the background blurred, in a colour, or gone."""

import numpy as np
import pytest

from cnnjax import tasks
from cnnjax.data import Facts
from cnnjax.errors import InputError
from cnnjax.evaluation import portrait
from cnnjax.evaluation.predict import Seen

TASK = tasks.TASKS["segmentation"]


@pytest.fixture
def seen():
    """Noise of 80 x 80 pixels, of which the network says that the right half is a person."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    classes = np.zeros((4, 4), np.uint8)
    classes[:, 2:] = 1
    prediction = {"class": classes, "probability": np.ones((4, 4), np.float32)}
    facts = Facts((80, 80, 3), ("ground", "person"))
    return Seen(pixels, TASK.place(prediction, (0.0, 0.0, 1.0, 1.0)), facts)


def test_a_person_stays_and_the_background_is_smooth(seen):
    found = np.asarray(portrait.portrait(TASK, seen))
    np.testing.assert_array_equal(found[:, 42:], seen.pixels[:, 42:])
    assert found[:, :38].std() < 0.25 * seen.pixels[:, :38].std()
    assert found[:, :38].mean() == pytest.approx(seen.pixels[:, :38].mean(), abs=2)


def test_objects_leave_no_shine_in_the_background(seen):
    """A white person in front of black: the blurred black stays black."""
    pixels = np.zeros_like(seen.pixels)
    pixels[:, 40:] = 255
    found = np.asarray(portrait.portrait(TASK, Seen(pixels, seen.prediction, seen.facts)))
    assert found[:, :39].max() < 30


def test_the_background_takes_a_colour_or_goes(seen):
    found = np.asarray(portrait.portrait(TASK, seen, "#ff0000"))
    assert (found[:, :38] == (255, 0, 0)).all() and (found[:, 42:] == seen.pixels[:, 42:]).all()
    gone = portrait.portrait(TASK, seen, "transparent")
    assert gone.mode == "RGBA"
    alpha = np.asarray(gone)[..., 3]
    assert not alpha[:, :38].any() and (alpha[:, 42:] == 255).all()


@pytest.mark.parametrize(
    ("name", "blur", "colour", "error"),
    [
        ("classification", "background", None, "does not say where objects are"),
        ("segmentation", "face", None, "what can be blurred is the background"),
        ("segmentation", None, "rde", "is no colour"),
        ("segmentation", "background", "red", "not both"),
    ],
)
def test_what_cannot_be_done_is_refused(name, blur, colour, error):
    with pytest.raises(InputError, match=error):
        portrait.check(tasks.TASKS[name], blur, colour)
    portrait.check(tasks.TASKS["segmentation"], "background", None)
    portrait.check(tasks.TASKS["segmentation"], None, "transparent")
