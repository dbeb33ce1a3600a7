"""What --help prints: of an entry point, of the fields of a config, of what can be named in one."""

from __future__ import annotations

import inspect
import math
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from cnnjax import commands
from cnnjax.errors import InputError, nearest

WIDTH, INDENT = 80, " " * 6


def wanted(arguments: Sequence[str]) -> str | None:
    """Returns what --help or -h asks for, "" for the entry point itself; None where neither is."""
    words = list(arguments[1:])
    words = words[: words.index("--")] if "--" in words else words
    for word in words:
        if word in ("-h", "--help", "-help", "--helpshort"):
            return ""
        if word.startswith("--help="):
            return word.partition("=")[2]
    return None


def show(topic: str) -> None:
    """Prints a topic. Raises InputError for one that is none."""
    if not topic:
        print(of_entry_point())
        return
    if topic not in TOPICS:
        raise InputError(f"no help on {topic!r}{nearest(topic, TOPICS)}")
    TOPICS[topic]()


def of_entry_point() -> str:
    """Returns the text of the file that was started, and its flags."""
    text = inspect.cleandoc(sys.modules["__main__"].__doc__ or "")
    text = re.sub(r"python -m experiments\.(\w+)", lambda name: commands.spelled(name[1]), text)
    parts = [text, "", "Flags:"]
    for flag in known(flags.FLAGS):
        parts += described(flag)
    parts.append("")
    if "config" in flags.FLAGS:
        parts.append("--config.SECTION.FIELD=VALUE changes a field: --help=config lists them.")
    parts.append(f"More: --help={'|'.join(TOPICS)}, and --helpfull for the flags of libraries.")
    return "\n".join(parts)


def known(values: flags.FlagValues) -> list[Any]:
    """Returns the flags of our own files, those of the entry point first."""
    theirs = values.flags_by_module_dict()
    ours = (name for name in theirs if not name.startswith("absl") and "ml_collections" not in name)
    first = sorted(ours, key=lambda name: name.startswith("experiments."))
    return [flag for name in first for flag in sorted(theirs[name], key=lambda f: f.name)]


def described(flag: Any) -> list[str]:
    """Returns the lines of a flag: how it is written, what it means, what holds without it."""
    if flag.boolean:
        head = f"  --no{flag.name}" if flag.default else f"  --{flag.name}"
    else:
        choices = getattr(flag.parser, "enum_values", None)
        head = f"  --{flag.name}={'|'.join(choices) if choices else kind(flag)}"
    text = re.sub(r"^<[^>]*>: ", "", " ".join(flag.help.split()))  # absl's, of the words above
    if not flag.boolean and isinstance(flag.default, str | int | float) and flag.default != "":
        text += f" [{flag.default}]"
    return [head, textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)]


def kind(flag: Any) -> str:
    """Returns what stands for the value of a flag."""
    word = flag.parser.flag_type().partition(" ")[0]
    return {"int": "N", "float": "X", "comma": "A,B,..."}.get(word, flag.name.upper())


def fields() -> None:
    """Prints every field of a config."""
    from rich.table import Table

    from cnnjax import config

    table = Table("field", "default", "range", "meaning", title="--config.FIELD=VALUE")
    for name, entry in config.FIELDS.items():
        for word, field in entry.items() if isinstance(entry, dict) else [("", entry)]:
            full = f"{name}.{word}" if word else name
            shown = repr(field.default) if isinstance(field.default, str) else f"{field.default}"
            table.add_row(full, shown, allowed(field), field.help)
    print_table(table)
    print(
        "The sections model, data and optimizer also take the fields of the constructor that their "
        "name chooses;\na field that it lacks is refused with the nearest."
    )


def allowed(field: Any) -> str:
    """Returns the range of a field, or its words."""
    if field.choices:
        return " | ".join(field.choices)
    if field.least == -math.inf:
        return ""
    if field.most == math.inf:
        return f"from {field.least:g}"
    # No {:g}: 2147483647 is not 2.14748e+09.
    return f"{field.least} to {field.most}"


def networks() -> None:
    """Prints the names of networks, by family."""
    from cnnjax import models

    for family in models.EVERY:
        print(f"{first_sentence(family)}\n    {', '.join(family.MODELS)}")


def data_sets() -> None:
    """Prints the data sets."""
    from cnnjax import data
    from cnnjax.data import prepare

    rows = {name: first_sentence(of) for name, of in data.DATASETS.items()}
    print_names(rows)
    print(f"fetched and prepared on first use: {', '.join(prepare.BUILDERS)}")
    print("any other image classification set of TFDS that lies prepared in data.data_dir")


def tasks() -> None:
    """Prints the tasks."""
    from cnnjax import tasks as known_tasks

    print_names(
        {
            name: first_sentence(sys.modules[task.loss.__module__])
            for name, task in known_tasks.TASKS.items()
        }
    )


def configs() -> None:
    """Prints the config files, and what each is for."""
    import ast

    rows = {}
    for path in sorted((commands.HOME / "configs").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows[f"configs/{path.name}"] = text.partition("\n\n")[0].replace("\n", " ")
    print_names(rows)
    print(
        "The text at the top of each says more: its variants (after a colon), and what they reach."
    )


def first_sentence(thing: Any) -> str:
    text = inspect.getdoc(thing) or ""
    return " ".join(text.partition("\n\n")[0].split())


def print_names(rows: dict[str, str]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows.items():
        table.add_row(*row)
    print_table(table)


def print_table(table: Any) -> None:
    from experiments import printed

    printed.console().print(table)


TOPICS: dict[str, Callable[[], None]] = {
    "config": fields,
    "configs": configs,
    "networks": networks,
    "data": data_sets,
    "tasks": tasks,
}
