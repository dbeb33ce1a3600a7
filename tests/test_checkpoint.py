"""Checkpoints are what was saved, to the bit, or they are not used."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import parallel
from cnnjax.errors import InputError
from cnnjax.train.state import TrainState, from_saved, none_skipped
from cnnjax.workdir import checkpoint, integrity
from cnnjax.workdir.checkpoint import Checkpoints


def state(step, devices=2):
    """Returns a state whose every value depends on the step, some of them awkward."""
    draw = np.random.default_rng(step)
    params = {
        "stem": {"kernel": draw.normal(size=(3, 3, 1, 4)), "bias": [0.0, -0.0, 1e-45, -1e38]},
        "head": {"kernel": draw.normal(size=(40, 50))},
    }
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params, is_leaf=is_list)
    statistics = {"norm": {"mean": jnp.float32([np.nan, np.inf]), "var": jnp.ones(2) * step}}
    moments = optax.chain(optax.scale_by_adam(), optax.trace(0.9)).init(params)
    moments = jax.tree.map(lambda x: x + step, moments)
    whole = TrainState(
        jnp.int32(step),
        params,
        statistics,
        moments,
        jax.random.key(step),
        {name: jnp.zeros(()) for name in ("loss", "correct", "count")},
        none_skipped(),
    )
    return parallel.mapper("jit", devices).replicate(whole)


def score(metrics):
    return metrics["accuracy"]


def is_list(x):
    return isinstance(x, list)


def save(checkpoints, step, accuracy=None, devices=2):
    saved = state(step, devices)
    metrics = None if accuracy is None else {"accuracy": accuracy, "loss": 1.0, "examples": 7}
    checkpoints.save(step, saved.variables, saved.saved(), metrics)


def restore(workdir):
    """Returns (step, state) as a run would that starts here; None without a checkpoint."""
    blank = jax.tree.map(jnp.zeros_like, state(0).replace(key=jnp.zeros(())))
    blank = blank.replace(key=jax.random.key(77))
    with Checkpoints(workdir, score) as checkpoints:
        found = checkpoints.restore(blank.variables, blank.saved())
    return found and (found[0], from_saved(found[1], found[2]))


def assert_same(found, expected):
    """Bits, dtypes, shapes and structure."""
    found, expected = (x.replace(key=jax.random.key_data(x.key)) for x in (found, expected))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with good checkpoints of steps 10 (the better) and 20."""
    workdir = tmp_path_factory.mktemp("saved")
    with Checkpoints(workdir, score) as checkpoints:
        save(checkpoints, 10, 0.9)
        save(checkpoints, 20, 0.8)
    return workdir


@pytest.fixture
def workdir(saved, tmp_path):
    """A copy of that workdir, to be damaged."""
    return shutil.copytree(saved, tmp_path / "run")


def test_a_state_comes_back_to_the_bit(saved):
    step, found = restore(saved)
    assert step == 20
    assert_same(found, state(20))
    assert len(found.params["head"]["kernel"].sharding.device_set) == 2


def test_a_workdir_without_checkpoints_restores_nothing(tmp_path):
    assert restore(tmp_path) is None
    assert checkpoint.steps(tmp_path / "missing") == []
    with pytest.raises(InputError, match="holds no checkpoint that can be read"):
        checkpoint.read_variables(tmp_path, state(0).variables)


def test_saving_a_step_again_changes_nothing(workdir):
    with Checkpoints(workdir, score) as checkpoints:
        other = state(21)
        checkpoints.save(20, other.variables, other.saved(), None)
    assert_same(restore(workdir)[1], state(20))


def files(workdir, step):
    return sorted(p for p in (workdir / "checkpoints" / str(step)).rglob("*") if p.is_file())


def arrays(workdir, step):
    """The files that hold the values: those in folders called d."""
    return [p for p in files(workdir, step) if p.parent.name == "d"]


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove(path):
    path.unlink()


def lines(capsys):
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("damage", [flip, truncate, remove])
def test_damage_to_any_file_leads_to_a_good_checkpoint(damage, workdir, capsys):
    noticed = set()
    for path in files(workdir, 20):
        backup = shutil.copytree(workdir, workdir.with_name("backup"))
        damage(path)
        step, found = restore(workdir)
        assert_same(found, state(step))
        said = lines(capsys)
        if step == 10:
            noticed.add(path.relative_to(workdir / "checkpoints" / "20"))
            assert len(said) == 1 and said[0].startswith("checkpoint 20 is damaged (")
            assert (workdir / "damaged" / "20").is_dir()
            assert checkpoint.steps(workdir) == [10]
        else:
            assert step == 20 and not said
        shutil.rmtree(workdir)
        backup.rename(workdir)
    # These hold nothing of the state, and a flip in the list of digests may fall on a space.
    missed = {p.relative_to(workdir / "checkpoints" / "20") for p in files(workdir, 20)} - noticed
    harmless = ("_CHECKPOINT_METADATA", "commit_success.txt", "record/files.json")
    assert missed <= {Path(name) for name in harmless}


@pytest.mark.parametrize("place", [0.0, 0.1, 0.35, 0.65, 0.9, 1.0])
def test_a_flipped_bit_is_found_anywhere_in_a_file(place, workdir):
    for path in arrays(workdir, 20):
        content = path.read_bytes()
        flip(path, place)
        with pytest.raises(integrity.Damaged, match=f"{path.name} does not have its digest"):
            integrity.check_seal(workdir / "checkpoints" / "20", {"variables", "training"})
        path.write_bytes(content)


def test_values_that_were_wrong_before_they_reached_the_disk_never_pass(workdir, capsys):
    folder = workdir / "checkpoints"
    shutil.rmtree(folder / "20" / "variables")
    shutil.copytree(folder / "10" / "variables", folder / "20" / "variables")
    integrity.seal(folder / "20")
    step, found = restore(workdir)
    (line,) = lines(capsys)
    assert step == 10 and line.startswith("checkpoint 20 is damaged (variables['batch_stats']")
    assert_same(found, state(10))


def test_a_score_that_was_tampered_with_is_damage(workdir):
    record = workdir / "checkpoints" / "20" / "record" / "metadata"
    content = json.loads(record.read_text())
    content["metrics"]["accuracy"] = 0.99
    record.write_text(json.dumps(content))
    integrity.seal(workdir / "checkpoints" / "20")
    assert checkpoint.scores(workdir, score) == {10: 0.9}
    assert restore(workdir)[0] == 10


def test_a_run_goes_on_past_a_damaged_checkpoint(workdir, capsys):
    for path in arrays(workdir, 20):
        flip(path)
    with Checkpoints(workdir, score) as checkpoints:
        blank = state(0)
        assert checkpoints.restore(blank.variables, blank.saved())[0] == 10
        assert checkpoints.scores == {10: 0.9}
        save(checkpoints, 20, 0.95)
        save(checkpoints, 30, 0.1)
    assert checkpoint.steps(workdir) == [20, 30]
    assert_same(restore(workdir)[1], state(30))
    step, variables = checkpoint.read_variables(workdir, state(0).variables, best=score)
    assert step == 20
    assert_same(state(20).replace(**variables), state(20))


def test_without_any_good_checkpoint_nothing_is_restored_and_nothing_is_lost(workdir, capsys):
    for step in (10, 20):
        flip(arrays(workdir, step)[0])
    assert restore(workdir) is None
    assert [line[:24] for line in lines(capsys)] == [
        "checkpoint 20 is damaged",
        "checkpoint 10 is damaged",
    ]
    assert {p.name for p in (workdir / "damaged").iterdir()} == {"10", "20"}


def test_leftovers_of_an_interrupted_save_are_ignored_and_cleared_away(workdir):
    begun = workdir / "checkpoints" / "30.orbax-checkpoint-tmp"
    shutil.copytree(workdir / "checkpoints" / "20", begun)
    assert checkpoint.steps(workdir) == [10, 20]
    assert restore(workdir)[0] == 20
    assert not begun.exists()
    with Checkpoints(workdir, score) as checkpoints:
        save(checkpoints, 30)
    assert_same(restore(workdir)[1], state(30))


def test_the_latest_and_the_best_are_kept(tmp_path):
    kept = {}
    with Checkpoints(tmp_path, score, keep=2) as checkpoints:
        for step, accuracy in ((1, 0.5), (2, 0.7), (3, 0.6), (4, None), (5, 0.7), (6, 0.1)):
            save(checkpoints, step, accuracy)
            checkpoints.wait()
            kept[step] = checkpoint.steps(tmp_path)
    assert kept == {1: [1], 2: [1, 2], 3: [2, 3], 4: [2, 3, 4], 5: [4, 5], 6: [5, 6]}


def test_the_best_is_kept_by_later_sessions_of_the_run(tmp_path):
    for step, accuracy in ((1, 0.7), (2, 0.9), (3, 0.6), (4, 0.5), (5, None), (6, 0.2)):
        with Checkpoints(tmp_path, score, keep=1) as checkpoints:
            save(checkpoints, step, accuracy)
    assert checkpoint.steps(tmp_path) == [2, 6]
    assert checkpoint.scores(tmp_path, score) == {2: 0.9, 6: 0.2}


def test_variables_are_read_from_the_latest_or_the_best(saved):
    for best, expected in ((None, 20), (score, 10)):
        step, variables = checkpoint.read_variables(saved, state(0).variables, best)
        assert step == expected
        assert_same(state(step).replace(**variables), state(step))


def test_variables_are_read_on_other_devices_than_they_were_saved_from(tmp_path):
    with Checkpoints(tmp_path, score) as checkpoints:
        save(checkpoints, 5, devices=8)
    shapes = jax.eval_shape(lambda: state(0).variables)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), shapes)
    _, variables = checkpoint.read_variables(tmp_path, shapes)
    assert_same(state(5).replace(**variables), state(5))
    assert variables["params"]["head"]["kernel"].devices() == {jax.local_devices()[0]}


def test_reading_falls_back_to_the_next_and_says_so(workdir, capsys):
    for path in arrays(workdir, 20):
        if "training" in path.parts:
            truncate(path)
    assert checkpoint.read_variables(workdir, state(0).variables)[0] == 20
    for path in arrays(workdir, 20):
        truncate(path)
    step, _ = checkpoint.read_variables(workdir, state(0).variables)
    (line,) = lines(capsys)
    assert step == 10 and line.startswith("checkpoint 20 is damaged (")
    # A reader leaves things where they are: they are the run's.
    assert checkpoint.steps(workdir) == [10, 20]
    shutil.rmtree(workdir / "checkpoints" / "10")
    with pytest.raises(InputError, match="holds no validated checkpoint that can be read"):
        checkpoint.read_variables(workdir, state(0).variables, best=score)


def test_digests_tell_values_types_shapes_and_names_apart():
    trees = [
        {"a": np.zeros(2, np.float32)},
        {"a": np.zeros(2, np.int32)},
        {"a": np.zeros((1, 2), np.float32)},
        {"a": np.float32([0, -0.0])},
        {"b": np.zeros(2, np.float32)},
    ]
    assert len({str(integrity.digests(tree)) for tree in trees}) == len(trees)
    assert integrity.digests({"a": jnp.zeros(2)}) == checkpoint.digests(trees[0])
