"""A process of its own that reads one HDF5 file, or Keras archive, of somebody else.

    python hdf5_child.py FILE BYTES MEMORY SECONDS > RESULT

HDF5's library has had memory errors that no check before it can prevent, so it runs here, with
limits, and without anything of ours. The result is eight bytes, the length of a JSON object in
UTF-8; the object, {"config", "attributes", "datasets"}; and the values of the datasets one after
the other, little-endian. Whatever is refused ends the process with 3 and a sentence on stderr.

Refused: links that are not hard, virtual data sets, data in other files, more than BYTES of values,
anything that is not numbers. Optimisers' and metrics' values are not read.
"""

import io
import json
import sys
import zipfile

import h5py
import h5py.h5o
import numpy as np

OBJECTS, DEPTH, TEXT = 100_000, 64, 64 << 20
IGNORED = ("optimizer", "optimizer_weights", "metrics", "_metrics", "compile_metrics", "loss")
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
WANTED = ("model_config", "keras_version", "backend", "name", "dtype")


class Refused(Exception):
    pass


def contents(path: str, most: int) -> tuple[dict, list]:
    """Returns the JSON object and the datasets in its order."""
    with open(path, "rb") as file:
        archive = file.read(4) == b"PK\3\4"
    config, source = read_archive(path, most) if archive else (None, path)
    found = h5py.File(source, "r")
    attributes, datasets = {}, {}
    walk(found, "", attributes, datasets, {})
    total = sum(dataset.size * dataset.dtype.itemsize for dataset in datasets.values())
    if total > most:
        raise Refused(f"it declares {total >> 20} MiB of values, far more than it holds")
    described = [[name, d.dtype.newbyteorder("<").str, d.shape] for name, d in datasets.items()]
    header = {"config": config, "attributes": attributes, "datasets": described}
    return header, list(datasets.values())


def read_archive(path: str, most: int) -> tuple[str, io.BytesIO]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename.replace("\\", "/") for member in members]
        if len(set(names)) < len(names):
            raise Refused("two members of the archive have one name")
        if any(name.startswith("/") or ".." in name.split("/") for name in names):
            raise Refused("a member of the archive points outside of it")
        sizes = dict(zip(names, (member.file_size for member in members), strict=True))
        for name in (CONFIG, WEIGHTS):
            if name not in sizes:
                held = ", ".join(sorted(names)[:8])
                raise Refused(f"no {name} in the archive, which holds: {held}")
        if sizes[CONFIG] > TEXT or sizes[WEIGHTS] > most:
            raise Refused("a member of the archive is declared far larger than the file")
        return archive.read(CONFIG).decode(), io.BytesIO(archive.read(WEIGHTS))


def walk(group, place: str, attributes: dict, datasets: dict, seen: dict) -> None:
    """Adds what lies below `group`, looking at each link before it is followed."""
    if place.count("/") > DEPTH:
        raise Refused(f"groups lie deeper than {DEPTH} levels")
    if values := texts(group):
        attributes[place] = values
    for name in group:
        if len(seen) > OBJECTS:
            raise Refused(f"it holds more than {OBJECTS} objects")
        # Keras on Windows wrote "layers\conv2d" for a group in a group.
        inner = f"{place}/{name}".lstrip("/").replace("\\", "/")
        if inner.split("/")[0] in IGNORED:
            continue
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"{inner} is a {type(link).__name__}: what lies elsewhere is not read")
        child = group[name]
        address = h5py.h5o.get_info(child.id).addr
        if address in seen:
            raise Refused(f"{inner} and {seen[address]} are one object")
        seen[address] = inner
        if isinstance(child, h5py.Group):
            walk(child, inner, attributes, datasets, seen)
        elif isinstance(child, h5py.Dataset):
            check(child, inner)
            if inner in datasets:
                raise Refused(f"two data sets are called {inner}")
            datasets[inner] = child
            if values := texts(child):
                attributes[inner] = values


def check(dataset, name: str) -> None:
    if dataset.is_virtual or dataset.external:
        raise Refused(f"{name} keeps its values in another file, which is not read")
    if dataset.shape is None or dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
        raise Refused(f"{name} holds no plain numbers, but {dataset.dtype}")


def texts(item) -> dict:
    """Returns the attributes that Keras reads: a string, or a list of strings."""
    found = {}
    for name in item.attrs:
        if name not in WANTED and not name.startswith(("layer_names", "weight_names")):
            continue
        space = item.attrs.get_id(name).get_space()
        if space.get_simple_extent_npoints() > OBJECTS:
            raise Refused(f"the attribute {name} holds more than {OBJECTS} words")
        value = item.attrs[name]
        words = [word.decode() if isinstance(word, bytes) else word for word in listed(value)]
        if not all(isinstance(word, str) for word in words) or sum(map(len, words)) > TEXT:
            raise Refused(f"the attribute {name} is no text, or too long")
        found[name] = words if isinstance(value, np.ndarray) and value.ndim else words[0]
    return found


def listed(value) -> list:
    return list(value.ravel()) if isinstance(value, np.ndarray) else [value]


def limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent still limits the time
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: str, most: str, memory: str, seconds: str) -> int:
    limit(int(memory), int(seconds))
    try:
        header, datasets = contents(path, int(most))
        text = json.dumps(header).encode()
        out = sys.stdout.buffer
        out.write(len(text).to_bytes(8, "little") + text)
        for dataset in datasets:
            values = np.asarray(dataset[()])
            out.write(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
        out.flush()
    except Refused as error:
        print(error, file=sys.stderr)
        return 3
    except MemoryError:
        print("reading it takes more memory than its size allows", file=sys.stderr)
        return 3
    except Exception as error:  # h5py and zipfile raise nearly anything for damaged bytes
        print(f"it is damaged: {' '.join(str(error).split())[:200]}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
