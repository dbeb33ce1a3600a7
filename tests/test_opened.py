"""One door to a trained network: workdir, checkpoint, our own export, files of others."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnjax import export, images, transfer
from cnnjax.errors import InputError
from cnnjax.evaluation import opened, predict
from cnnjax.train import run
from cnnjax.transfer import safetensors
from tests import tiny
from tests.test_entry_points import command


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    run.run(tiny.config(epochs=1.0), path)
    return path


@pytest.fixture(scope="module")
def own(workdir, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "tiny.safetensors"
    export.write(opened.network(workdir), "safetensors", path)
    return path


def answers(network, count=5):
    generator = np.random.default_rng(0)
    pictures = list(generator.integers(0, 256, (count, *network.shape), np.uint8))
    return predict.predictions(network, pictures)


def test_a_checkpoint_and_an_export_answer_as_the_run_does(workdir, own):
    of_run, of_file = opened.network(workdir), opened.network(own)
    step = opened.network(workdir / "checkpoints" / str(of_run.step))
    np.testing.assert_array_equal(answers(of_run), answers(of_file))
    np.testing.assert_array_equal(answers(of_run), answers(step))
    assert of_file.class_names == of_run.class_names and of_file.shape == of_run.shape
    assert of_file.preprocessing == of_run.preprocessing and not of_file.assumed
    assert of_file.network == of_run.network and of_file.task is of_run.task


def test_an_export_loads_by_its_path_with_another_head_too(own):
    module, variables = transfer.load(own)
    assert variables["params"]["head"]["kernel"].shape[1] == module.classes
    module, variables = transfer.load(own, classes=3)
    assert variables["params"]["head"]["kernel"].shape[1] == module.classes == 3
    assert transfer.read_network(own, classes=3).description.classes == ()


def test_weights_that_are_not_those_of_the_digest_are_refused(own, tmp_path):
    content = bytearray(own.read_bytes())
    content[-1] ^= 1
    (tmp_path / "harmed.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="do not have the digest"):
        transfer.load(tmp_path / "harmed.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "another version"),
        ({"network": {"name": "lenet6", "fields": {}}}, "did you mean lenet5"),
        ({"network": {"name": "lenet5", "fields": {"act": 3}}}, "act must be str"),
        ({"network": {"name": ["lenet5"]}}, "names no network"),
        ({"network": {"fields": {}}}, "names no network"),
        ({"network": None}, "must be a JSON object"),
        ({"input_shape": [28, 28]}, "shape"),
        ({"description": {"classes": ["a", "a"]}}, "two classes of one name"),
        ({"more": 1}, "no field 'more'"),
        ({"task": "dancing"}, "unknown task"),
    ],
    ids=str,
)
def test_a_damaged_record_is_a_sentence(own, tmp_path, change, said):
    import safetensors.numpy as library

    told = json.loads(safetensors.metadata(own)["cnnjax"]) | change
    path = tmp_path / "harmed.safetensors"
    library.save_file(library.load_file(own), path, {"cnnjax": json.dumps(told)})
    with pytest.raises(InputError, match=said):
        opened.network(path)


def test_names_and_preprocessing_can_be_given(own):
    names = tuple(f"class {i}" for i in range(len(opened.network(own).class_names)))
    found = opened.network(own, classes=names, preprocessing="mean=0.5 std=0.25")
    assert found.class_names == names
    assert found.preprocessing.mean == (0.5,) and found.preprocessing.std == (0.25,)
    assert opened.changed(found.preprocessing, "tf").scale == images.preset("tf").scale
    for text, said in [
        ("mean=0.5 grey", "no FIELD=VALUE"),
        ("torchvison", "did you mean torchvision"),
        ("mean='x'", "must be"),
        ("men=3", "did you mean mean"),
        ("size=20", "does not take images of 20x20"),
    ]:
        with pytest.raises(InputError, match=said):
            opened.network(own, preprocessing=text)
    with pytest.raises(InputError, match="given are 1 names"):
        opened.network(own, classes=("one",))


def test_commands_take_weights(workdir, own, tmp_path):
    Image.new("L", (9, 9), 80).save(tmp_path / "grey.png")
    said = [
        command("predict", flag, "--json", tmp_path / "grey.png")
        for flag in (f"--workdir={workdir}", f"--weights={own}")
    ]
    assert said[0].returncode == said[1].returncode == 0, said[1].stderr
    assert said[0].stdout == said[1].stdout and not said[1].stderr
    both = command("predict", f"--workdir={workdir}", f"--weights={own}", "x.png")
    assert both.returncode == 2 and "not both" in both.stderr
