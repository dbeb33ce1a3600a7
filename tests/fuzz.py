"""Overrides of a config, drawn at random: each must end in a run or in a plain sentence.

python -m tests.fuzz --cases=2000
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import app, flags

from cnnjax.config import FIELDS
from cnnjax.data import DATASETS
from cnnjax.errors import Failure
from cnnjax.fields import defaults
from cnnjax.models import MODELS
from cnnjax.train import run
from cnnjax.train.optim import OPTIMIZERS
from experiments import configuration, launch
from tests import tiny

CASES = flags.DEFINE_integer("cases", 200, "How many configs to try.", 1)
FIRST = flags.DEFINE_integer("first", 0, "The number of the first; each number is one config.", 0)

TEXTS = ("", "x", "None", "True", "1,2", "(3,)", "(1, 'a')", "{}", "ü", "-", "nan", "../..", "[]")
NUMBERS = ("0", "1", "-1", "3", "0.5", "2.5", "1e-8", "1e9", "inf", "nan", "10**6", "1e400")
# Values that make a run of hours, or of more memory than there is: allowed, and not for here.
ENDLESS = {
    "epochs": ("1e9", "10**6", "1e400"),
    "data.image_size": ("1e9", "10**6"),
    "data.examples": ("1e9", "10**6"),
    "data.size": ("1e9", "10**6"),
    "model.features": ("10**6",),
    "model.units": ("10**6",),
}
CONSTRUCTORS = {"model": MODELS, "data": DATASETS, "optimizer": OPTIMIZERS}
# Networks that compile in a second or two.
SMALL = ("lenet5", "lenet5", "lenet5", "first_convnet", "one_block_cnn")


def valid(draw: random.Random, name: str, field) -> str:
    """Returns a value that the field's own description allows."""
    if field.choices:
        return draw.choice(field.choices)
    if isinstance(field.default, bool):
        return str(draw.random() < 0.5)
    if isinstance(field.default, int | float):
        least, most = max(field.least, 0), min(field.most, 64)
        value = draw.uniform(least, most)
        return str(round(value)) if isinstance(field.default, int) else f"{value:.3g}"
    names = {"model.name": SMALL, "optimizer.name": tuple(OPTIMIZERS), "data.name": ("synthetic",)}
    return draw.choice(names[name]) if name in names else str(field.default)


def override(draw: random.Random) -> tuple[str, str]:
    """Returns a field and a value: right, of the wrong kind, out of range, or of no meaning."""
    section = draw.choice(list(FIELDS))
    name, field = section, FIELDS[section]
    if isinstance(field, dict):
        key = draw.choice(list(field))
        name, field = f"{section}.{key}", field[key]
    fate = draw.random()
    if section in CONSTRUCTORS and fate < 0.3:  # a field of some constructor, the right one or not
        constructor = draw.choice(list(CONSTRUCTORS[section].values()))
        name = f"{section}.{draw.choice([*defaults(constructor), 'none'])}"
        value = draw.choice((*TEXTS, *NUMBERS))
    elif fate < 0.6:
        value = valid(draw, name, field)
    elif fate < 0.65:
        name, value = name[:-1] + draw.choice("xyz"), "1"
    else:
        value = draw.choice((*TEXTS, *NUMBERS))
    if value in ENDLESS.get(name, ()):
        value = "3"
    return name, value


def case(number: int) -> list[str]:
    """Returns the arguments of one case."""
    draw = random.Random(number)
    overrides = dict(override(draw) for _ in range(draw.randint(1, 3)))
    arguments = tiny.flags(epochs=0.5, evaluate__every_epochs=0.5)
    return [*arguments, *(f"--config.{name}={value}" for name, value in overrides.items())]


def outcome(arguments: Sequence[str]) -> str:
    """Returns "run", "sentence", or what is neither: an exception, or more than two lines."""
    own, errors = flags.FlagValues(), io.StringIO()
    flag = configuration.define(own)

    def main(_: Sequence[str]) -> int:
        with tempfile.TemporaryDirectory() as workdir:
            try:
                return 0 if run.run(configuration.value(flag, own), Path(workdir) / "run") else 1
            except Failure as failure:  # as in experiments.train
                print(f"error: {failure}", file=sys.stderr)
                return 1

    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            sys.argv = ["train", *arguments]  # where config flags look for their overrides
            launch.parse(sys.argv, own)
            status = launch.guarded(main, ["train"])
        except SystemExit as refused:
            status = refused.code
        except Exception as error:  # what this looks for
            return f"{type(error).__name__}: {error}"
    lines = errors.getvalue().strip().splitlines()
    if status == 0:
        return "run"
    if status in (1, 2) and 1 <= len(lines) <= 2 and lines[0].startswith("error: "):
        return "sentence"
    return f"status {status}: {errors.getvalue()}"


def main(_: Sequence[str]) -> None:
    from rich.progress import track

    jax.config.update("jax_num_cpu_devices", 4)
    jax.config.update("jax_disable_most_optimizations", True)
    # Most cases compile what another has compiled.
    programs = tempfile.TemporaryDirectory()
    jax.config.update("jax_compilation_cache_dir", programs.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    counts = {"run": 0, "sentence": 0}
    numbers = range(FIRST.value, FIRST.value + CASES.value)
    for number in track(numbers, disable=not sys.stdout.isatty()):
        found = outcome(case(number))
        if found not in counts:
            print(f"case {number}: {' '.join(case(number)[-3:])}\n  {found}")
            found = "defect"
        counts[found] = counts.get(found, 0) + 1
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    sys.exit(1 if "defect" in counts else 0)


if __name__ == "__main__":
    app.run(main)
