"""Changes the source in small ways, one at a time, and tells which no test notices.

    make mutants                               50 drawn at random, in under half an hour
    python -m tests.mutants --count=600        as many as a judgement takes
    python -m tests.mutants --only=cnnjax/train/optim.py --count=0     all of one file

cosmic-ray finds and makes the changes, of which one at each place is drawn. Each is made in a copy
of what git knows, and judged by the tests that `TESTS` gives its file. Exits with 1 where
more than a tenth survive.
"""

from __future__ import annotations

import argparse
import ast
import functools
import os
import queue
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
# By the longest beginning of a file's path under cnnjax/; quick tests of just that first.
TESTS = {
    "augment/": ("augment", "augment_geometric", "augment_colour", "augment_step"),
    "augment/mixing": ("augment_mixing", "augment_step"),
    "augment/colour": ("augment_colour", "augment"),
    "augment/geometric": ("augment_geometric", "augment"),
    "caches": ("caches",),
    "compiler": ("compiler", "platform"),
    "data/": ("data", "folders", "check_data"),
    "data/archives": ("prepare", "prepare_failures"),
    "data/builder": ("prepare", "prepare_failures", "data"),
    "data/download": ("download", "prepare_failures"),
    "data/prepare": ("prepare", "prepare_failures", "caches"),
    "evaluation/": ("evaluate", "images_read", "images_preprocessing", "tasks"),
    "images/": ("images_read", "images_preprocessing"),
    "kernels/": ("kernels", "correlate", "conv_layers", "pool_layers"),
    "layers/": ("compose_layers", "conv_layers", "residual_units", "models"),
    "layers/activation": ("activation_layers",),
    "layers/adaptive": ("models", "build"),
    "layers/conv": ("conv_layers", "correlate", "residual_units"),
    "layers/correlate": ("correlate", "conv_layers"),
    "layers/dropout": ("dropout",),
    "layers/norm": ("norm_layers",),
    "layers/pool": ("pool_layers",),
    "layers/window": ("conv_layers", "pool_layers", "correlate"),
    "parallel/": ("parallel", "replicas", "feed", "train_step"),
    "parallel/hosts": ("hosts",),
    "platform": ("platform",),
    "tasks/": ("tasks", "loss", "evaluate"),
    "train/": ("run", "resume", "finite", "entry_points"),
    "train/experiment": ("run", "config", "augment_step"),
    "train/feed": ("feed", "run"),
    "train/finite": ("finite", "train_step"),
    "train/log": ("run", "disk"),
    "train/optim": ("optim",),
    "train/state": ("train_step", "checkpoint", "resume"),
    "train/step": ("train_step", "dropout", "augment_step", "finite"),
    "train/watch": ("finite", "run"),
    "transfer/": ("transfer", "transfer_keras", "pickles"),
    "transfer/pickles": ("pickles", "transfer"),
    "workdir/": ("checkpoint", "resume", "disk", "run"),
    "workdir/checkpoint": ("checkpoint", "resume"),
    "workdir/environment": ("run", "platform"),
}
ROOMS = (
    "train", "evaluation", "data", "augment", "kernels", "layers", "transfer", "workdir", "parallel"
)  # fmt: skip
LIMIT, PATIENCE = 0.1, 300  # what may survive; seconds that the tests of one mutant may take


def tests_of(path: str) -> list[str]:
    """Returns the test files for a source file, such as "cnnjax/train/optim.py"."""
    inner = path.removeprefix("cnnjax/")
    known = max((key for key in TESTS if inner.startswith(key)), key=len)
    files = [f"tests/test_{name}.py" for name in TESTS[known]]
    return [file for file in files if (ROOT / file).exists()]


def sources() -> list[str]:
    files = (path for room in ROOMS for path in (ROOT / "cnnjax" / room).rglob("*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in files)


@functools.cache
def annotations(path: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Returns where annotations begin and end: nobody evaluates them, so no test can notice."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        for name in ("annotation", "returns"):
            if isinstance(part := getattr(node, name, None), ast.expr):
                found.append(
                    ((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset))
                )
    return found


def mutations(paths: list[str]):
    """Returns every change that cosmic-ray knows to make to these files."""
    from cosmic_ray.commands import init
    from cosmic_ray.work_db import WorkDB, use_db

    with (
        tempfile.TemporaryDirectory() as folder,
        use_db(f"{folder}/all", WorkDB.Mode.create) as all_,
    ):
        init([ROOT / path for path in paths], all_, {})
        found = [mutation for item in all_.work_items for mutation in item.mutations]
    key = "module_path", "operator_name", "occurrence"
    found.sort(key=lambda mutation: [str(getattr(mutation, name)) for name in key])
    return [mutation for mutation in found if not is_annotation(mutation)]


def draw(found, seed: int):
    """Returns one of the changes at each place, in any order: a sum can be eleven other things."""
    random.Random(seed).shuffle(found)
    places = {(mutation.module_path, mutation.start_pos): mutation for mutation in found}
    return list(places.values())


def is_annotation(mutation) -> bool:
    path = str(mutation.module_path.relative_to(ROOT))
    spans = annotations(path)
    return any(start <= mutation.start_pos and mutation.end_pos <= end for start, end in spans)


def copied(folder: Path) -> Path:
    """Copies what git knows of the project, as it is now."""
    listed = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target)
    return folder


def command(copy: Path, files: list[str]) -> str:
    options = ["-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", "-m"]
    words = ["env", f"--chdir={copy}", sys.executable, "-m", "pytest", *options, "not slow"]
    # Of its own: pytest keeps three folders in the usual place, and removes those of others.
    words += [f"--basetemp={copy}-temporary", *files]
    return shlex.join(words)


def judge(copies: queue.Queue[Path], mutation):
    """Returns (the mutation, what cosmic-ray found) in the first copy that is free."""
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_item import MutationSpec

    copy, name = copies.get(), str(mutation.module_path.relative_to(ROOT))
    try:
        there = MutationSpec(
            copy / name, mutation.operator_name, mutation.occurrence, mutation.start_pos,
            mutation.end_pos, mutation.operator_args, mutation.definition_name,
        )  # fmt: skip
        return mutation, mutate_and_test([there], command(copy, tests_of(name)), PATIENCE)
    finally:
        copies.put(copy)


def refuse_failing(copy: Path, files: set[str]) -> None:
    """Ends where tests fail of themselves: they would seem to notice everything."""
    words = shlex.split(command(copy, sorted(files)))
    if subprocess.run(words).returncode:
        sys.exit("tests fail without any change; mend them first")


def main() -> int:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("--count", type=int, default=50, help="how many to draw; 0: all")
    asked.add_argument("--seed", type=int, default=int(time.time() // 86_400), help="of the draw")
    asked.add_argument("--only", action="append", help="a file or folder, more than once")
    asked.add_argument("--jobs", type=int, default=2, help="how many at a time")
    given, start = asked.parse_args(), time.monotonic()
    paths = [p for p in sources() if not given.only or p.startswith(tuple(given.only))]
    drawn = draw(mutations(paths), given.seed)[: given.count or None]
    if not drawn:
        sys.exit(f"there is nothing to change under {', '.join(given.only)}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.environ["CNNJAX_TEST_CACHE"] = f"{folder}/cache"  # what is not changed compiles once
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(given.jobs):
            copies.put(copied(Path(folder) / str(number)))
        names = {str(mutation.module_path.relative_to(ROOT)) for mutation in drawn}
        refuse_failing(copies.queue[0], {file for name in names for file in tests_of(name)})
        survivors, done = [], 0
        with ThreadPoolExecutor(given.jobs) as pool:
            for mutation, found in pool.map(functools.partial(judge, copies), drawn):
                done += 1
                if not found.is_killed:
                    survivors.append(mutation)
                    print(f"\n{found.diff}", flush=True)
                print(f"\r{done} of {len(drawn)}, {len(survivors)} survived", end="", flush=True)
    share = len(survivors) / max(len(drawn), 1)
    print(
        f"\n{len(drawn)} mutants (seed {given.seed}): {len(drawn) - len(survivors)} killed, "
        f"{len(survivors)} survived ({share:.1%}), in {time.monotonic() - start:.0f} s"
    )
    return int(share > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
