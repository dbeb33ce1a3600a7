"""A network is not tested on images that it was trained on."""

import shutil

import pytest

from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.explain import pictures
from cnnjax.train import run
from tests.test_folder_data import folder_config, of_classes


def test_a_folder_that_has_got_an_image_more_is_refused(tmp_path):
    photos = of_classes(tmp_path / "photos", 12, 12)
    run.run(folder_config(photos, epochs=1.0), tmp_path / "run")
    network = trained.load(tmp_path / "run")
    trained.check_data(network, trained.load_data(network.config))
    assert len(pictures.subjects(network, [], 2, False)) == 2
    shutil.copy(photos / "class0" / "3.png", photos / "class0" / "12.png")
    with pytest.raises(InputError, match="not what the run was trained on.*images of the training"):
        trained.check_data(network, trained.load_data(network.config))
    with pytest.raises(InputError, match="not what the run was trained on"):
        pictures.subjects(network, [], 2, False)
    (photos / "class0" / "12.png").unlink()
    of_classes(tmp_path / "others", 12, 12, seed=5)
    shutil.copytree(tmp_path / "others", photos, dirs_exist_ok=True)
    with pytest.raises(InputError, match="mean: "):  # as many, and others
        trained.check_data(network, trained.load_data(network.config))


def test_a_run_goes_on_where_its_images_have_moved_to_and_not_with_others(tmp_path):
    photos = of_classes(tmp_path / "photos", 12, 12)
    run.run(folder_config(photos, epochs=0.0), tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    moved = photos.rename(tmp_path / "moved")
    run.run(folder_config(moved, epochs=0.0, data__stream="yes"), tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    others = of_classes(tmp_path / "others", 12, 12, seed=5)
    with pytest.raises(InputError, match="is not what the run in .* began with .*mean: "):
        run.run(folder_config(others, epochs=0.0), tmp_path / "run")


def test_a_folder_without_an_end_is_refused(tmp_path):
    (tmp_path / "itself").symlink_to(tmp_path)
    with pytest.raises(InputError, match="cannot be listed|no "):
        trained.load_data(folder_config(tmp_path).to_dict())
