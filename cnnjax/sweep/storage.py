"""Where trials are kept: Optuna's journal in the sweep's folder, or a database for many machines.

The journal is a file that is only appended to. SQLite would do in one process; its own makers and
Optuna's advise against it where several write.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cnnjax.errors import Failure, InputError
from cnnjax.sweep import locks, record
from cnnjax.sweep.record import Sweep

Value = TypeVar("Value")
# Seconds for which a server that does not answer is asked again: a restart, not a defeat.
PATIENCE = 300.0
DRIVER = "postgresql+psycopg://"


class Gone(Failure):
    """The storage does not answer: no trial's fault."""


def opened(folder: Path, url: str) -> Any:
    """Returns the storage of a sweep; raises InputError where it cannot be reached or used."""
    optuna = quiet()
    if not url:
        from optuna.storages import journal

        file = folder / record.JOURNAL
        try:
            lock: Any = locks.JournalLock(file)
            backend = journal.JournalFileBackend(str(file), lock_obj=lock)
            return optuna.storages.JournalStorage(backend)
        except (ValueError, KeyError) as error:
            raise InputError(f"{file} is no journal of trials, or is damaged: {error}") from None
    if url.startswith("sqlite"):
        raise InputError(
            "SQLite locks up under several writers: leave out --storage, which takes a journal in "
            "the sweep's folder, or give postgresql://USER@HOST/DATABASE"
        )
    from sqlalchemy import exc

    scheme, _, rest = url.partition("://")
    address = DRIVER + rest if scheme in ("postgres", "postgresql") else url
    try:
        # A connection is tried before it is used: the server may have been restarted meanwhile.
        options = {"pool_pre_ping": True}
        return sturdy(
            lambda: optuna.storages.get_storage(
                optuna.storages.RDBStorage(address, engine_kwargs=options)
            ),
            patience=10.0,
        )
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or error.name or "a driver"
        raise InputError(
            f"{missing} is missing for {record.without_password(url)}; for PostgreSQL: "
            "pip install 'cnnjax[postgresql]'"
        ) from None
    except (exc.ArgumentError, exc.NoSuchModuleError, RuntimeError,
            Gone) as error:  # fmt: skip
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the storage {record.without_password(url)} cannot be used: {reason}"
        ) from None


def quiet() -> Any:
    """Returns Optuna, which then says only what is wrong."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def study(sweep: Sweep, storage: Any, sampler: Any = None, create: bool = False) -> Any:
    """Returns the sweep's trials in their storage; to be created by one process, in turn."""
    optuna = quiet()
    if create:
        return optuna.create_study(
            study_name=sweep.study,
            storage=storage,
            direction=sweep.direction,
            sampler=sampler,
            load_if_exists=True,
        )
    try:
        return optuna.load_study(study_name=sweep.study, storage=storage, sampler=sampler)
    except KeyError:
        raise InputError(
            f"the storage does not know the sweep {sweep.study}: has it been moved, or is it "
            "another one?"
        ) from None


def sturdy(act: Callable[[], Value], patience: float | None = None) -> Value:
    """Returns `act()`, asked again for a while where a server does not answer.

    `act` must be one that may be done twice: the first may have arrived and only its answer not.
    Raises Gone in the end.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError

    end, pause = time.monotonic() + (PATIENCE if patience is None else patience), 0.1
    while True:
        try:
            return act()
        except (DBAPIError, StorageInternalError) as error:
            if time.monotonic() > end:
                first = str(error.__cause__ or error).strip().splitlines()[0]
                raise Gone(f"the storage of the sweep does not answer: {first}") from error
            if pause == 0.1:
                print("The storage does not answer; asking again.", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def widened(before: Sweep, after: Sweep, storage: Any) -> None:
    """Copies the trials of a sweep into the study of its wider self, with their numbers."""
    from cnnjax.sweep.plan import distributions

    optuna = quiet()
    old, new = study(before, storage), study(after, storage, create=True)
    present = len(new.get_trials(deepcopy=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for trial in old.get_trials()[present:]:
            trial.distributions = distributions(after.space)
            new.add_trial(trial)
