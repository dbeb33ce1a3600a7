"""Backbones: what any classifier gives between its layers, without a change to it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax import models, tree
from cnnjax.errors import InputError
from cnnjax.models import backbones
from cnnjax.structure import graph
from tests import thin_networks
from tests.thin_networks import THIN

# Reductions and channels as timm 1.0.31 tells them of the same networks (`feature_info`, with
# features_only=True), but for a sixth of VGG, which is the last pooling.
TIMM = {
    "resnet18": ((2, 64), (4, 64), (8, 128), (16, 256), (32, 512)),
    "resnet50": ((2, 64), (4, 256), (8, 512), (16, 1024), (32, 2048)),
    "densenet121": ((2, 64), (4, 256), (8, 512), (16, 1024), (32, 1024)),
    "inception_v3": ((2, 64), (4, 192), (8, 288), (16, 768), (32, 2048)),
    "mobilenet_v2": ((2, 16), (4, 24), (8, 32), (16, 96), (32, 320)),
    "vgg16": ((1, 64), (2, 128), (4, 256), (8, 512), (16, 512)),
}
SLOW = ("densenet121", "inception_v3", "mobilenet_v2")
pytestmark = pytest.mark.usefixtures("quick_compilation")


class Maps(nn.Module):
    """The least network over a backbone: its maps are the outputs."""

    name_of: str
    fields: tuple = ()

    @nn.compact
    def __call__(self, x, train=False):
        return backbones.maps(self, backbones.backbone(self.name_of, **dict(self.fields)), x, train)


def shapes(module, images):
    return jax.eval_shape(module.init, jax.random.key(0), images)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in TIMM]
)
def test_stages_are_those_that_timm_tells(name):
    found = backbones.stages(backbones.backbone(name))
    assert tuple((stage.stride, stage.features) for stage in found) == TIMM[name]


@pytest.mark.parametrize("label", ["lenet5", "squeezenet", "resnet basic"])
def test_a_backbone_with_a_classifiers_weights_gives_its_maps(label):
    """The maps are what the classifier, traced, computes in the places of those names."""
    classifier = thin_networks.module(label)
    images = thin_networks.images(label, count=2)
    variables = thin_networks.variables(classifier, images)
    name, _, _, fields = THIN[label]
    module = Maps(name, tuple(fields.items()))
    fresh = shapes(module, images)
    assert not any("head" in leaf.split("/") for leaf in tree.flatten(fresh))
    found = jax.jit(module.apply)(backbones.fitted(fresh, variables), images)
    stages = backbones.stages(classifier, images.shape[-1])
    assert set(found) == {stage.name for stage in stages} and len(stages) > 1
    traced = graph.traced(classifier, variables, images.shape)
    _, wanted = jax.jit(partial(graph.run, traced, look=list(found)))(variables, images)
    for stage in stages:
        expected = wanted[stage.name]
        if label == "lenet5":  # whose maps are taken behind the activation
            expected = jnp.tanh(expected)
        np.testing.assert_allclose(found[stage.name], expected, rtol=1e-4, atol=1e-4)
        assert found[stage.name].shape[-1] == stage.features
        assert abs(images.shape[1] / stage.stride - found[stage.name].shape[1]) <= 4


def test_a_backbone_trains_as_the_classifier_does():
    """Statistics and gradients reach the weights below the last stage, under their names."""
    images = thin_networks.images("resnet_cifar A", count=2)
    module = Maps("resnet20", (("blocks", 1), ("width", 4)))
    variables = thin_networks.drawn(tree.shapes(shapes(module, images)))

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def gradients(params):
        found, updated = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return sum(jnp.sum(x**2) for x in found.values()), updated

    found, updated = gradients(variables["params"])
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(found))
    before, after = variables["batch_stats"], updated["batch_stats"]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, after)
    assert all(jax.tree.leaves(moved)) and "stem" in moved["backbone"]


def test_weights_of_another_network_do_not_fit():
    images = jnp.zeros((1, 32, 32, 3))
    wanted = shapes(Maps("resnet20"), images)
    other = models.check_input(models.build("resnet20", 10, width=8), (32, 32, 3))
    with pytest.raises(InputError, match="another backbone"):
        backbones.fitted(wanted, other)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"backbone": "resnet5"}, "did you mean"),
        ({"backbone_widht": 3}, "no field 'widht'"),
        ({"backbone": "googlenet", "backbone_auxiliary": True}, "auxiliary"),
        ({"backbone": 3}, "must be str"),
    ],
)
def test_a_wrong_backbone_is_refused(fields, error):
    with pytest.raises(InputError, match=error):
        backbones.gathered({"backbone": "resnet18", "backbone_fields": ()}, fields)


def test_fields_of_the_backbone_are_gathered():
    known = {"backbone": "resnet18", "backbone_fields": (), "features": 3}
    given = {"features": 4, "backbone": "resnet20", "backbone_width": 8, "backbone_blocks": 1}
    assert backbones.gathered(known, given) == {
        "features": 4,
        "backbone": "resnet20",
        "backbone_fields": (("blocks", 1), ("width", 8)),
    }
