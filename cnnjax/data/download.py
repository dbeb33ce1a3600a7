"""Fetches one file: taken up where it broke off, checked by its sha256, tried at every mirror.

The bytes go to NAME.part, which survives an interruption; only a file whose sha256 is right gets
its name, by an atomic rename.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import queue
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

# Seconds. Connecting covers the look-up of the name and all addresses of the host together: the
# timeout of a socket counts for each address anew, and that of a look-up cannot be set at all.
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 1.0
TRIES = 5  # in a row without a single new byte
CHUNK = 1 << 18
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers worth asking again


@dataclasses.dataclass(frozen=True)
class Archive:
    """An original file: its name, its size in bytes, its sha256, the addresses that serve it."""

    name: str
    size: int
    sha256: str
    addresses: tuple[str, ...]


class Unavailable(Exception):
    """No address gave the file; the text says why, address by address."""


class _Broken(Exception):
    """The connection stood and then failed: another attempt may go on from there."""


def sha256(path: Path) -> str:
    """Returns the sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(archive: Archive, folder: Path, report: Callable[[int], object]) -> Path:
    """Returns the path of the archive in `folder`, fetching what is missing of it.

    `report` is told the number of bytes held so far. Raises `Unavailable`; a file with a wrong
    sha256 is left aside as NAME.wrong, so that the next attempt starts afresh.
    """
    path, part = folder / archive.name, folder / f"{archive.name}.part"
    if path.exists() and sha256(path) == archive.sha256:
        return path
    reasons = []
    for address in archive.addresses:
        host = urllib.parse.urlsplit(address).netloc
        try:
            _transfer(address, part, archive.size, report)
        except urllib.error.HTTPError as error:
            reasons.append(f"{host} answers {error.code} {error.reason}")
        except urllib.error.URLError as error:
            reasons.append(f"{host}: {getattr(error.reason, 'strerror', None) or error.reason}")
        except _Broken as error:
            reasons.append(f"{host}: {error}")
        else:
            found = sha256(part)
            if found == archive.sha256:
                os.replace(part, path)
                return path
            aside = folder / f"{archive.name}.wrong"
            os.replace(part, aside)
            reasons.append(
                f"{host} sent a file whose sha256 is {found}, expected {archive.sha256}"
                f" (left aside as {aside})"
            )
    raise Unavailable(f"{archive.name}: {'; '.join(reasons)}")


def _transfer(address: str, part: Path, size: int, report: Callable[[int], object]) -> None:
    """Appends to `part` until it holds all that the server has, or more than `size` bytes."""
    best = start = _length(part)
    failures = 0
    while True:
        try:
            if _receive(address, part, size, report):
                return
            raise _Broken(f"broke off after {_length(part):,} of {size:,} bytes")
        except (_Broken, urllib.error.URLError) as error:
            failures = 1 if _length(part) > best else failures + 1
            best = max(best, _length(part))
            # A host that was never reached, or that refuses the file, will not change its mind in
            # seconds; one that already sent something may.
            if best == start and not _passing(error):
                raise
            if failures >= TRIES:
                raise
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (failures - 1))


def _receive(address: str, part: Path, size: int, report: Callable[[int], object]) -> bool:
    """Makes one request for what is missing; returns whether `part` is complete afterwards."""
    start = _length(part)
    if start == size:
        return True
    if start > size:
        part.unlink()
        start = 0
    request = urllib.request.Request(address, headers={"User-Agent": "cnnjax"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = _open(request)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise _Broken("the server holds a shorter file than the part on disk") from error
        raise
    with response:
        total = response.headers.get("Content-Length")
        resumed = response.status == http.client.PARTIAL_CONTENT
        if resumed:
            given = re.fullmatch(
                r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
            )
            if given is None or int(given[1]) != start:
                part.unlink(missing_ok=True)
                raise _Broken("the server sent another range than the one asked for")
            total = given[2] if given[2] != "*" else None
        # A server that ignores Range answers 200 with the file from its first byte.
        with part.open("ab" if resumed else "wb") as sink:
            held = start if resumed else 0
            while held <= size and (chunk := _read(response)):
                sink.write(chunk)
                held += len(chunk)
                report(min(held, size))
    return held > size or held >= int(total or size)


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    """Opens a connection within CONNECT_SECONDS in all; raises URLError or `_Broken`."""
    answers: queue.SimpleQueue = queue.SimpleQueue()
    abandoned = threading.Event()

    def ask() -> None:
        try:
            response = urllib.request.urlopen(request, timeout=SILENCE_SECONDS)
            if abandoned.is_set():
                response.close()
            answers.put(response)
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        abandoned.set()
        raise urllib.error.URLError(f"no answer within {CONNECT_SECONDS:g} s") from None
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
    if isinstance(answer, urllib.error.URLError):
        raise answer
    if isinstance(answer, (OSError, http.client.HTTPException)):
        raise _Broken(f"the connection failed: {answer}") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection failed: {error}") from error


def _passing(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in PASSING
    return not isinstance(error, urllib.error.URLError)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
