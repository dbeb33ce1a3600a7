"""PyTorch's containers, written byte by byte."""

import pickle
import zipfile

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MARK, TUPLE, REDUCE, PERSISTENT, STOP = b"(", b"t", b"R", b"Q", b"."


def literal(value):
    """Returns the pickle of a plain value without its header and its stop."""
    return pickle.dumps(value, 2)[2:-1]


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def call(function, *arguments):
    return function + MARK + b"".join(arguments) + TUPLE + REDUCE


def storage(kind, key, count, view=b""):
    pid = literal("storage") + name("torch", kind) + literal(key) + literal("cuda:0")
    return MARK + pid + literal(count) + view + TUPLE + PERSISTENT


def tensor(kind, key, count, offset, size, stride, view=b""):
    arguments = storage(kind, key, count, view), *map(literal, (offset, size, stride, False, {}))
    return call(name("torch._utils", "_rebuild_tensor_v2"), *arguments)


def dictionary(**values):
    items = b"".join(literal(key) + value for key, value in values.items())
    return b"}" + MARK + items + b"u"


def write_zip(path, content, storages=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content + STOP)
        archive.writestr("archive/byteorder", "little")
        for key, values in dict(storages).items():
            archive.writestr(f"archive/data/{key}", values.tobytes())
    return path


def write_legacy(path, content, storages=()):
    storages = dict(storages)
    parts = [pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, {"little_endian": True})]
    parts += [b"\x80\x02" + content + STOP, pickle.dumps(list(storages), 2)]
    parts += [len(v).to_bytes(8, "little") + v.tobytes() for v in storages.values()]
    path.write_bytes(b"".join(parts))
    return path
