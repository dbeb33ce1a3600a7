"""TFDS's own builders, fed with arrays, so that no TensorFlow is needed to write their files.

A builder of tensorflow-datasets states name, version and features and shuffles by a hash of the
example's index; all that is kept, so the files hold what TFDS with TensorFlow would have written,
in the same order. Replaced are its download, its unpacking, and its reading of the archives.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnjax.data.archives import Contents


def version(dataset: str) -> str:
    """Returns the version of the data set that the installed TFDS prepares."""
    return str(_stock(dataset).VERSION)


def write(
    dataset: str,
    contents: Contents,
    download_size: int,
    root: Path,
    advance: Callable[[], object],
) -> Path:
    """Writes ``root/dataset/version``: array_record files, dataset_info.json, features.json.

    `download_size` is noted in dataset_info.json, in bytes; `advance` is called after each example.
    """
    from PIL import Image

    class Builder(_stock(dataset), skip_registration=True):  # pyright: ignore
        # Its name stays that of the class it extends, which holds it in TFDS's registry.
        name = dataset

        def _make_download_manager(self, **_) -> Any:
            return types.SimpleNamespace(downloaded_size=download_size)

        def _split_generators(self, dl_manager) -> dict[str, Iterator]:
            for feature, names in contents.class_names.items():
                self.info.features[feature].names = names
            return {split: self._generate_examples(split) for split in contents.splits}

        def _generate_examples(self, split) -> Iterator:
            examples = contents.splits[split]
            for i, image in enumerate(examples.images):
                # TFDS encodes an image of Pillow's as PNG by itself, an array with TensorFlow only.
                example: dict[str, Any] = {"image": Image.fromarray(image.squeeze())}
                example |= {feature: int(values[i]) for feature, values in examples.labels.items()}
                if "id" in self.info.features:
                    example["id"] = f"{split}_{i:05d}"
                yield i, example
                advance()

        # TFDS announces its work on standard output, which is not ours to fill.
        def _log_download_bytes(self) -> None: ...

        def _log_download_done(self) -> None: ...

    builder = Builder(data_dir=root)
    with _without_bars():
        builder.download_and_prepare(file_format="array_record")
    return root / dataset / str(builder.version)


def _stock(dataset: str) -> Any:
    # Imported late: its import takes as long as the rest of cnnjax.data together.
    import tensorflow_datasets as tfds

    return tfds.builder_cls(dataset)


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Keeps TFDS from drawing its own bars across ours; afterwards it draws again by default."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()
