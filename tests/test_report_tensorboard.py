"""The pictures of a report as TensorBoard reads them."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnjax.errors import InputError
from cnnjax.report import evidence
from cnnjax.train import run
from tests import tiny
from tests.test_report_page import CLASSES, ROOT


@pytest.mark.slow
def test_tensorboard_gets_the_pictures_where_they_are_asked_for(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    flags = tiny.flags(**CLASSES, report__tensorboard=True, report__pictures=True)
    for _ in range(2):  # the second finds the run complete
        done = subprocess.run(
            (sys.executable, "-m", "experiments.train", *flags, f"--workdir={tmp_path}"),
            cwd=ROOT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    wanted = {"seen/filters", "seen/through_the_network", "seen/feature_maps", "seen/grad-cam",
              "wrong/by_loss", "wrong/confusion"}  # fmt: skip
    assert set(events.Tags()["images"]) == wanted
    step = evidence.gather(tmp_path).result["step"]
    for tag in wanted:
        images = events.Images(tag)
        assert len(images) == (3 if tag == "seen/grad-cam" else 1)
        with Image.open(io.BytesIO(images[0].encoded_image_string)) as picture:
            assert images[0].step == step and np.asarray(picture.convert("RGB")).std() > 10


def test_pictures_need_event_files():
    config = tiny.config(report__pictures=True)
    with pytest.raises(InputError, match="report.pictures go into event files"):
        run.run(config, Path("/nowhere"))
