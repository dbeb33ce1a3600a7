"""A PostgreSQL server of our own, for as long as a test takes."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

# Where Debian's packages put what is not on the path.
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Server:
    """A server with its data in a folder under /tmp; root hands it to Debian's user."""

    def __init__(self, binaries, folder, user):
        self.binaries, self.folder, self.user = binaries, folder, user
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if user:
            shutil.chown(folder, user)
        self.do("initdb", "-D", folder / "data", "-A", "trust", "-U", "tester", "--no-sync")
        self.start()

    def do(self, name, *words):
        prefix = ["runuser", "-u", self.user, "--"] if self.user else []
        command = [*prefix, str(self.binaries / name), *map(str, words)]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def start(self):
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self.folder}"
        log = self.folder / "log"
        self.do("pg_ctl", "-D", self.folder / "data", "-l", log, "-w", "-o", settings, "start")

    def stop(self):
        self.do("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    @property
    def url(self):
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"


@contextlib.contextmanager
def server():
    """Yields a running server; skips the test where PostgreSQL is not installed."""
    found = [place for place in PLACES if (place / "initdb").exists()]
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    user = ""
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="cnnjax-postgres-"))
    running = Server(found[-1], folder, user)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)
