"""The --config flag of the entry points that start from a config file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from cnnjax import commands
from cnnjax.errors import InputError

DEFAULT = "configs/digits.py"


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagHolder:
    """Defines --config=FILE[:VARIANT] and --config.FIELD=VALUE."""
    return config_flags.DEFINE_config_file(
        "config",
        commands.config_file(DEFAULT),
        "Config file, with an optional variant: configs/mnist.py:lenet5, or mnist:lenet5 for one "
        "that comes with cnnjax.",
        # Fields of the chosen network, data set or optimiser are not in the defaults; what no
        # constructor knows either is refused by cnnjax.config.check.
        lock_config=False,
        accept_new_attributes=True,
        flag_values=flag_values,
    )


def value(flag: flags.FlagHolder, flag_values: flags.FlagValues = flags.FLAGS) -> ConfigDict:
    """Returns the config with its overrides."""
    file = Path(flag_values["config"].config_filename.partition(":")[0])  # pyright: ignore
    if not file.is_file():
        raise InputError(f"config file {file} does not exist")
    found = flag_values["config"].value
    if not isinstance(found, ConfigDict):
        raise InputError(f"get_config in {file} returns {type(found).__name__}, no ConfigDict")
    return flag.value


def found(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with the path of the config file that --config=NAME means."""
    result = list(arguments)
    for i, word in enumerate(result):
        if word == "--":
            break
        if word.startswith(("--config=", "-config=")):
            flag, _, name = word.partition("=")
            result[i] = f"{flag}={commands.config_file(name)}"
        elif word in ("--config", "-config") and i + 1 < len(result):
            result[i + 1] = commands.config_file(result[i + 1])
    return result
