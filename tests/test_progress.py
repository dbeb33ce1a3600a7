"""The progress bar: one line at any width, of which the bar is the last to go."""

import io
import re
from functools import partial

import pytest
from rich.console import Console

from cnnjax.train import log

VALUES = {"loss": 0.0812, "accuracy": 0.9751, "images_per_second": 12345.6}


def line(tmp_path, monkeypatch, width):
    screen = io.StringIO()
    drawn = partial(Console, force_terminal=True, width=width)
    monkeypatch.setattr(log, "Console", lambda file, highlight: drawn(file=screen))
    units = {"loss": "nats", "accuracy": "%"}
    with log.Log(tmp_path, 0, 4690, tensorboard=False, units=units) as written:
        written.advance(1234, 12.3)
        written.write(1234, "train", VALUES)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    lines = text.rstrip("\n").replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= width
    return lines[-1]


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        (200, ["loss 0.0812", "accuracy 97.51 %", "12,346 images/s"], []),
        (100, ["loss 0.0812", "accuracy 97.51 %", "12,346 images/s"], []),
        (80, ["loss 0.0812", "accuracy 97.51 %"], ["images/s"]),
        (50, ["loss 0.0812"], ["accuracy", "images/s"]),
        (40, [], ["loss"]),
    ],
)
def test_what_is_least_needed_goes_first(tmp_path, monkeypatch, width, there, gone):
    found = line(tmp_path, monkeypatch, width)
    assert found.startswith("epoch 12.3 ") and " 1234/4690 " in found and found.endswith("-:--:--")
    assert len(re.findall("[━╸╺]", found)) >= 8
    assert all(word in found for word in there) and not any(word in found for word in gone)
