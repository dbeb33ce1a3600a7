"""Prepares the MNIST family and CIFAR for TFDS without TensorFlow.

The builders are those of the installed tensorflow-datasets (names, versions, features, order of the
examples), whose writing of array_record files needs no TensorFlow; what does need it there, the
unpacking of the archives and the encoding of arrays as PNG, is done with numpy and Pillow here.
Afterwards ``tfds.data_source(name, data_dir=...)`` reads the set like any other.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich import console as rich_console
from rich import progress as rich_progress

from cnnjax import caches, paths
from cnnjax.data import archives, builder, download
from cnnjax.errors import InputError, nearest
from cnnjax.registry import Table

try:
    import fcntl
except ImportError:  # not on Windows: there two preparations at once fetch everything twice
    fcntl = None

NAME = re.compile(r"(?P<dataset>\w+)(/(?P<config>\w[\w.=,-]*))?(:(?P<version>\d+\.\d+\.\d+))?")
VERSION = re.compile(r"\d+\.\d+\.\d+")

BUILDERS = Table("preparable data set", archives.RECIPES)


def is_prepared(name: str, data_dir: str | os.PathLike | None) -> bool:
    """Says whether `find` finds the set; looks at the disk only, and not for long."""
    return bool(_candidates(name, data_directory(data_dir)))


def find(name: str, data_dir: str | os.PathLike | None) -> Path | None:
    """Returns the directory of the newest prepared version of any TFDS set, or None.

    `name` is as in TFDS: ``name[/config][:version]``. Prepared means array_record files with their
    dataset_info.json and features.json; other formats need TensorFlow and do not count. Several
    prepared configs and none named is an `InputError`.
    """
    found = _candidates(name, data_directory(data_dir))
    if len({path.parent for path in found}) > 1:
        configs = ", ".join(f"{name}/{path.parent.name}" for path in found)
        raise InputError(f"data set {name!r} is prepared in several configs: name one of {configs}")
    return max(found, key=_version, default=None)


def prepare(
    name: str,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None = None,
    progress: rich_progress.Progress | None = None,
) -> Path:
    """Returns the directory of the prepared version, preparing it first where that is needed.

    Archives are taken from `manual_dir` where it has them, under their original names and whatever
    their sha256, and are fetched into ``<data_dir>/downloads/<name>`` otherwise. Bars are drawn on
    `progress`, or on standard error if that is a terminal. May be interrupted at any time: the
    version directory appears last, complete, and the next call goes on with what was fetched.
    """
    root = data_directory(data_dir)
    if (found := find(name, root)) is not None:
        return found
    recipe, target = _recipe(name, root)
    manual = paths.expanded(manual_dir) if manual_dir else None
    if manual is not None and not manual.is_dir():
        raise InputError(f"manual_dir {manual} is no directory; it should hold {_files(recipe)}")
    folder = root / "downloads" / recipe.name
    with contextlib.ExitStack() as stack:
        progress = progress or stack.enter_context(_own_progress())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(folder, recipe.name, progress))
            if not _complete(target):
                if target.exists():
                    raise InputError(
                        f"{target} exists, but not as array_record files with dataset_info.json and"
                        " features.json; move it away or choose another --config.data.data_dir"
                    )
                files = _collect(recipe, folder, manual, root, progress)
                _build(recipe, files, folder, target, progress)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise InputError(
                f"{recipe.name} cannot be prepared in {root}: {error.strerror or error}{where};"
                " free it or choose another --config.data.data_dir"
            ) from error
    return target


def data_directory(data_dir: str | os.PathLike | None) -> Path:
    """Returns `data_dir`, or TFDS's own default: $TFDS_DATA_DIR or ~/tensorflow_datasets.

    Without a home directory it lies beside what else is cached.
    """
    asked = data_dir or os.environ.get("TFDS_DATA_DIR")
    try:
        return paths.expanded(asked or "~/tensorflow_datasets")
    except InputError:
        if asked:
            raise
        return caches.folder() / "tensorflow_datasets"


def _candidates(name: str, root: Path) -> list[Path]:
    """Lists the prepared version directories that `name` may mean."""
    asked = NAME.fullmatch(name)
    if asked is None:
        return []
    base, version = root / asked["dataset"], asked["version"] or "*"
    patterns = [f"{asked['config']}/{version}"] if asked["config"] else [version, f"*/{version}"]
    try:
        for pattern in patterns:
            if found := [path for path in sorted(base.glob(pattern)) if _complete(path)]:
                return found
    except PermissionError as error:
        raise InputError(f"data_dir {root} cannot be read: {error}") from error
    return []


def _complete(path: Path) -> bool:
    if not VERSION.fullmatch(path.name) or not (path / "features.json").is_file():
        return False
    try:
        info = json.loads((path / "dataset_info.json").read_text())
    except (OSError, ValueError):
        return False
    return info.get("fileFormat") == "array_record"


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.split("."))


def _recipe(name: str, root: Path) -> tuple[archives.Recipe, Path]:
    """Returns the recipe and the directory it will fill, or says what can be done instead."""
    asked = NAME.fullmatch(name)
    if asked is None or asked["config"] or asked["dataset"] not in BUILDERS:
        raise InputError(
            f"data set {name!r} is not prepared in {root} and is none of those that can be"
            f" prepared here{nearest(name, BUILDERS)}\nPrepare it where TensorFlow is, with `tfds"
            " build --file_format=array_record`, or give the --config.data.data_dir that holds it."
        )
    recipe = BUILDERS[asked["dataset"]]
    version = builder.version(recipe.name)
    if asked["version"] not in (None, version):
        raise InputError(f"{name}: only version {version} of {recipe.name} can be prepared")
    return recipe, root / recipe.name / version


def _collect(
    recipe: archives.Recipe,
    folder: Path,
    manual: Path | None,
    root: Path,
    progress: rich_progress.Progress,
) -> dict[str, Path]:
    """Returns the path of each archive by its name."""
    files = {}
    for archive in recipe.archives:
        path = manual / archive.name if manual else None
        if path is not None and path.is_file():
            if (found := download.sha256(path)) != archive.sha256:
                _say(
                    progress,
                    f"{path} has sha256 {found}, not the published {archive.sha256}; used as it is",
                )
            files[archive.name] = path
            continue
        host = urllib.parse.urlsplit(archive.addresses[0]).netloc
        _say(progress, f"{recipe.name}: {archive.name}, {archive.size:,} bytes, from {host}")
        task = progress.add_task(archive.name, total=archive.size)
        try:
            files[archive.name] = download.fetch(
                archive, folder, lambda held, task=task: progress.update(task, completed=held)
            )
        except download.Unavailable as error:
            raise InputError(
                f"{recipe.name} is not prepared in {root} and could not be downloaded ({error})."
                f"\nPut {_files(recipe)} into a directory and give it as --config.data.manual_dir,"
                f" or give the --config.data.data_dir that holds {recipe.name} prepared."
            ) from error
        finally:
            progress.remove_task(task)
    return files


def _build(
    recipe: archives.Recipe,
    files: Mapping[str, Path],
    folder: Path,
    target: Path,
    progress: rich_progress.Progress,
) -> None:
    """Reads the archives, writes the set into a staging directory, and moves that to `target`."""
    contents = recipe.read(files)
    counts = {split: len(examples) for split, examples in contents.splits.items()}
    size = sum(path.stat().st_size for path in files.values())
    task = progress.add_task(f"writing {recipe.name}", total=sum(counts.values()))
    staging = Path(tempfile.mkdtemp(prefix="staging-", dir=folder))
    try:
        written = builder.write(
            recipe.name, contents, size, staging, lambda: progress.advance(task)
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        written.rename(target)
    except OSError as error:
        # Where locks do not work, another process may have been first: its result is as good.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not _complete(target):
            raise
    finally:
        progress.remove_task(task)
        shutil.rmtree(staging, ignore_errors=True)
    examples = " and ".join(f"{count:,} {split}" for split, count in counts.items())
    _say(progress, f"{recipe.name}: {examples} examples in {target}")


@contextlib.contextmanager
def _alone(folder: Path, name: str, progress: rich_progress.Progress) -> Iterator[None]:
    """Waits until no other process prepares the same set, and clears away what a dead one left.

    The lock belongs to the open file, so it ends with the process, however that ends. Where the
    file system has no locks we go on without: the rename at the end still keeps the result whole.
    """
    with (folder / "lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say(progress, f"{name}: another process is preparing it; waiting for its result")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                yield
                return
            for left_over in folder.glob("staging-*"):
                shutil.rmtree(left_over, ignore_errors=True)
        yield


def _own_progress() -> rich_progress.Progress:
    console = rich_console.Console(stderr=True)
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    return rich_progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    )


def _say(progress: rich_progress.Progress, line: str) -> None:
    progress.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _files(recipe: archives.Recipe) -> str:
    *most, last = [archive.name for archive in recipe.archives]
    return f"{', '.join(most)} and {last}" if most else last
