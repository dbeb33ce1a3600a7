"""The command `cnnjax NAME ...`: `python -m experiments.NAME ...` without a checkout."""

from __future__ import annotations

import os
import sys

from cnnjax import commands
from cnnjax.errors import nearest

UNUSABLE = 2


def main() -> int:
    known = commands.names()
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help", "help"):
        print(overview(known))
        return 0
    name, *words = sys.argv[1:]
    if name not in known:
        print(f"error: there is no command {name!r}{nearest(name, known)}", file=sys.stderr)
        return UNUSABLE
    # The folder at hand comes last: a package `experiments` of the user's own lies in many.
    places = [str(commands.HOME), *filter(None, [os.environ.get("PYTHONPATH")]), os.getcwd()]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(places),
        "PYTHONSAFEPATH": "1",
        commands.SWITCH: "1",
    }
    os.execve(sys.executable, [sys.executable, "-m", f"experiments.{name}", *words], environment)


def overview(known: dict[str, str]) -> str:
    width = max(map(len, known))
    lines = (f"  {name:{width}}  {text}" for name, text in known.items())
    return "\n".join(("Convolutional networks in JAX. Usage: cnnjax COMMAND --help", "", *lines))


if __name__ == "__main__":
    sys.exit(main())
