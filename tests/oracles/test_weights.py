"""Weights that others trained on CIFAR-10 recognise as many of its test images here as there.

The counts are those of ../shared/weights/README.md, by the network in PyTorch on the same images.
"""

import numpy as np
import pytest

from cnnjax import data, transfer
from tests.test_transfer import correct


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [("resnet20", "resnet20-12fca82f.th", 8103), ("resnet56", "resnet56-4bfd9763.th", 8320)],
)
def test_real_weights_recognise_as_many_objects_as_at_home(shared, name, file, count):
    network, variables = transfer.load(name, shared / "weights" / file)
    cifar = data.load("cifar10", data_dir=str(shared / "tfds")).test
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    images = (cifar.images / np.float32(255) - mean) / std
    assert correct(network, variables, images, cifar.targets["label"]) == count
