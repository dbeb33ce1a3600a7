"""Optimisers against those of PyTorch and Keras, over steps with the same gradients."""

import os

import numpy as np
import pytest

from tests.test_optim import leaves, ours

RATE = 0.05


def torchs(name, **options):
    torch = pytest.importorskip("torch")

    def follow(weights, gradients):
        values = {n: torch.nn.Parameter(torch.tensor(w)) for n, w in weights.items()}
        stepper = getattr(torch.optim, name)(values.values(), **options)
        for gradient in gradients:
            for n, value in values.items():
                value.grad = torch.tensor(gradient[n])
            stepper.step()
        return {n: value.detach().numpy() for n, value in values.items()}

    return follow


def kerass(name, **options):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")

    def follow(weights, gradients):
        values = {n: keras.Variable(w.astype(np.float32)) for n, w in weights.items()}
        stepper = getattr(keras.optimizers, name)(**options)
        for gradient in gradients:
            stepper.apply([gradient[n].astype(np.float32) for n in values], list(values.values()))
        return {n: np.asarray(value.value) for n, value in values.items()}

    return follow


@pytest.mark.parametrize(
    ("name", "decay", "theirs"),
    [
        ("sgd", 0.1, lambda: torchs("SGD", lr=RATE, weight_decay=0.1)),
        ("momentum", 0.1, lambda: torchs("SGD", lr=RATE, momentum=0.9, weight_decay=0.1)),
        (
            "nesterov",
            0.1,
            lambda: torchs("SGD", lr=RATE, momentum=0.9, nesterov=True, weight_decay=0.1),
        ),
        ("adam", 0.1, lambda: torchs("Adam", lr=RATE, weight_decay=0.1)),
        ("adamw", 0.1, lambda: torchs("AdamW", lr=RATE, weight_decay=0.1)),
        (
            "adadelta",
            0.1,
            lambda: torchs("Adadelta", lr=RATE, rho=0.95, eps=1e-7, weight_decay=0.1),
        ),
        ("sgd", 0.0, lambda: kerass("SGD", learning_rate=RATE)),
        ("momentum", 0.0, lambda: kerass("SGD", learning_rate=RATE, momentum=0.9)),
        ("nesterov", 0.0, lambda: kerass("SGD", learning_rate=RATE, momentum=0.9, nesterov=True)),
        ("adadelta", 0.0, lambda: kerass("Adadelta", learning_rate=RATE)),
        ("rmsprop", 0.0, lambda: kerass("RMSprop", learning_rate=RATE)),
        ("adamw", 0.1, lambda: kerass("AdamW", learning_rate=RATE, weight_decay=0.1, epsilon=1e-8)),
        ("lamb", 0.0, lambda: kerass("Lamb", learning_rate=RATE, epsilon=1e-8)),
    ],
)
def test_an_optimiser_is_that_of_another_framework(name, decay, theirs):
    weights, gradients = leaves(seed=11)
    expected = theirs()(weights, gradients)
    found = ours(weights, gradients, name, RATE, decay, ".*")
    for n, value in expected.items():
        np.testing.assert_allclose(found[n], value, rtol=1e-4, atol=2e-6, err_msg=n)
