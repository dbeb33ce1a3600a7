"""Fetching archives from a server on 127.0.0.1 that misbehaves in the ways servers do."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import re
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from cnnjax.data import download, prepare
from cnnjax.errors import InputError
from tests.original_archives import write_mnist

DATA = np.random.default_rng(0).bytes(1_000_003)
HALF = len(DATA) // 2


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by name; `behave(handler, data, start)` may take over a request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"file": DATA}
        self.ranges: list[str | None] = []  # the Range header of each request
        self.behave = plain

    def handle_error(self, *_):
        """A client that hangs up is no error here."""

    def address(self, name: str = "file") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        data = self.server.files.get(self.path[1:])
        if data is None:
            self.send_error(404)
        else:
            self.server.behave(self, data, start)

    def send(self, data: bytes, start: int = 0, until: int | None = None, ranges: bool = True):
        """Announces data[start:] and sends data[start:until]; without `ranges`, from byte 0."""
        if not ranges:
            start = 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:until])

    def log_message(self, *_):
        pass


def plain(handler: Handler, data: bytes, start: int) -> None:
    handler.send(data, start)


def cut_once(handler: Handler, data: bytes, start: int) -> None:
    first = len(handler.server.ranges) == 1
    handler.send(data, start, until=HALF if first else None)


def ignore_ranges(handler: Handler, data: bytes, start: int) -> None:
    first = len(handler.server.ranges) == 1
    handler.send(data, start, until=HALF if first else None, ranges=False)


def cut_always(handler: Handler, data: bytes, start: int) -> None:
    handler.send(data, start, until=HALF, ranges=False)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(*addresses: str, data: bytes = DATA, name: str = "file") -> download.Archive:
    return download.Archive(name, len(data), hashlib.sha256(data).hexdigest(), addresses)


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/file"


def test_a_broken_download_goes_on_where_it_broke_off(server, tmp_path):
    server.behave = cut_once
    held = []
    path = download.fetch(archive(server.address()), tmp_path, held.append)
    assert path.read_bytes() == DATA
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert held == sorted(held) and held[-1] == len(DATA)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_part_left_by_an_earlier_process_is_continued(server, tmp_path):
    (tmp_path / "file.part").write_bytes(DATA[:123_456])
    path = download.fetch(archive(server.address()), tmp_path, lambda held: None)
    assert path.read_bytes() == DATA
    assert server.ranges == ["bytes=123456-"]


def test_a_complete_part_and_a_file_already_fetched_need_no_request(server, tmp_path):
    (tmp_path / "file.part").write_bytes(DATA)
    for _ in range(2):
        path = download.fetch(archive(server.address()), tmp_path, lambda held: None)
        assert path.read_bytes() == DATA
    assert server.ranges == []


def test_a_server_that_ignores_range_sends_the_whole_file_anew(server, tmp_path):
    server.behave = ignore_ranges
    path = download.fetch(archive(server.address()), tmp_path, lambda held: None)
    assert path.read_bytes() == DATA
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "file.part").write_bytes(DATA + b"more")
    assert download.fetch(archive(server.address()), tmp_path, print).read_bytes() == DATA
    assert server.ranges == [None]


def test_a_server_that_answers_416_is_asked_for_the_whole_file(server, tmp_path):
    server.behave = lambda handler, data, start: (
        handler.send_error(416) if start else handler.send(data)
    )
    (tmp_path / "file.part").write_bytes(b"of another file")
    assert download.fetch(archive(server.address()), tmp_path, print).read_bytes() == DATA


def test_a_server_that_answers_with_another_range_is_not_believed(server, tmp_path):
    server.behave = lambda handler, data, start: handler.send(data, 1000 if start else 0)
    (tmp_path / "file.part").write_bytes(DATA[:5000])
    assert download.fetch(archive(server.address()), tmp_path, print).read_bytes() == DATA


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server, tmp_path):
    server.behave = lambda handler, data, start: (
        handler.send_error(503) if len(server.ranges) < 3 else handler.send(data)
    )
    assert download.fetch(archive(server.address()), tmp_path, print).read_bytes() == DATA
    (tmp_path / "file").unlink()
    server.ranges.clear()
    server.behave = lambda handler, data, start: handler.send_error(404)
    with pytest.raises(download.Unavailable, match=r"file: 127.0.0.1:\d+ answers 404 Not Found"):
        download.fetch(archive(server.address()), tmp_path, print)
    assert len(server.ranges) == 1


def test_a_download_that_never_gets_further_is_given_up(server, tmp_path):
    server.behave = cut_always
    with pytest.raises(download.Unavailable, match="broke off after 500,001 of 1,000,003 bytes"):
        download.fetch(archive(server.address()), tmp_path, print)
    assert len(server.ranges) == download.TRIES
    assert (tmp_path / "file.part").read_bytes() == DATA[:HALF]


def test_a_wrong_sha256_names_file_expected_and_found_and_leaves_it_aside(server, tmp_path):
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    server.files["file"] = other
    with pytest.raises(download.Unavailable) as caught:
        download.fetch(archive(server.address()), tmp_path, print)
    assert re.search(
        f"^file: .*sha256 is {hashlib.sha256(other).hexdigest()},"
        f" expected {hashlib.sha256(DATA).hexdigest()} .*file.wrong",
        str(caught.value),
    )
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"file.wrong": other}
    server.files["file"] = DATA
    assert download.fetch(archive(server.address()), tmp_path, print).read_bytes() == DATA
    assert server.ranges == [None, None]


def test_a_file_without_end_is_cut_off(server, tmp_path):
    server.files["file"] = DATA * 40
    with pytest.raises(download.Unavailable, match="sha256 is"):
        download.fetch(archive(server.address()), tmp_path, print)
    assert (tmp_path / "file.wrong").stat().st_size <= len(DATA) + download.CHUNK


def test_the_second_address_serves_where_the_first_does_not(server, tmp_path):
    for first in (closed_port(), "http://nowhere.invalid/file"):
        path = download.fetch(archive(first, server.address()), tmp_path, print)
        assert path.read_bytes() == DATA
        path.unlink()


def test_a_host_that_never_answers_is_left_after_the_connect_timeout(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/file"
        started = time.monotonic()
        with pytest.raises(download.Unavailable, match=r"no answer within 0\.2 s"):
            download.fetch(archive(address), tmp_path, print)
        assert time.monotonic() - started < 5
        time.sleep(0.3)


def served_mnist(server: Server, folder, monkeypatch) -> None:
    """Lets BUILDERS fetch a small mnist from the server."""
    write_mnist(folder)
    server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    small = tuple(
        archive(server.address(name), data=server.files[name], name=name)
        for name in (one.name for one in prepare.BUILDERS["mnist"].archives)
    )
    recipe = dataclasses.replace(prepare.BUILDERS["mnist"], archives=small)
    monkeypatch.setitem(prepare.BUILDERS, "mnist", recipe)


def silent() -> Progress:
    return Progress(console=Console(file=io.StringIO(), width=1000))


def test_a_set_is_prepared_from_the_network_and_never_fetched_twice(server, tmp_path, monkeypatch):
    served_mnist(server, tmp_path / "served", monkeypatch)
    path = prepare.prepare("mnist", tmp_path / "data", progress=silent())
    assert path == prepare.find("mnist", tmp_path / "data")
    assert len(server.ranges) == 4
    assert prepare.prepare("mnist", tmp_path / "data", progress=silent()) == path
    path.rename(tmp_path / "gone")
    assert prepare.prepare("mnist", tmp_path / "data", progress=silent()) == path
    assert len(server.ranges) == 4


def test_preparing_goes_on_with_what_an_interrupted_one_fetched(server, tmp_path, monkeypatch):
    served_mnist(server, tmp_path / "served", monkeypatch)
    first, second = (one.name for one in prepare.BUILDERS["mnist"].archives[2:])
    missing = {name: server.files.pop(name) for name in (first, second)}
    with pytest.raises(InputError, match=f"{first}: 127.0.0.1:.* answers 404"):
        prepare.prepare("mnist", tmp_path / "data", progress=silent())
    assert len(server.ranges) == 3
    server.files |= missing
    assert prepare.prepare("mnist", tmp_path / "data", progress=silent()).is_dir()
    assert len(server.ranges) == 5


@pytest.mark.parametrize("address", ["closed port", "http://nowhere.invalid/file"])
def test_without_network_the_sentence_comes_in_seconds_and_says_what_to_do(
    address, tmp_path, monkeypatch
):
    monkeypatch.setenv("no_proxy", "*")
    address = closed_port() if address == "closed port" else address
    unreachable = tuple(
        dataclasses.replace(one, addresses=(address, address))
        for one in prepare.BUILDERS["mnist"].archives
    )
    recipe = dataclasses.replace(prepare.BUILDERS["mnist"], archives=unreachable)
    monkeypatch.setitem(prepare.BUILDERS, "mnist", recipe)
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        prepare.prepare("mnist", tmp_path / "data", progress=silent())
    assert time.monotonic() - started < 30
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"mnist is not prepared in {tmp_path}/data and could not be downloaded")
    for name in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "data.manual_dir"):
        assert name in second
    assert "--config.data.data_dir" in second
    assert not prepare.is_prepared("mnist", tmp_path / "data")
