"""The config of a run that was trained, to train it again or to change it.

    python -m experiments.train --config=configs/stored.py:runs/digits --workdir=runs/again

After the colon stands a workdir, or a config.json out of one.
"""

import json
from pathlib import Path

from ml_collections import ConfigDict

from cnnjax import config as configuration
from cnnjax import history
from cnnjax.errors import InputError
from cnnjax.workdir.files import CONFIG


def get_config(text=None):
    if not text:
        raise InputError(
            "configs/stored.py wants a workdir: --config=configs/stored.py:runs/digits"
        )
    path = Path(text).expanduser()
    path = path / CONFIG if path.is_dir() else path
    try:
        stored = json.loads(path.read_text())
        return ConfigDict(configuration.check(history.completed(stored)))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} holds no config") from None
