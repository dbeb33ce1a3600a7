"""How old a face is: a task with its data, as somebody would add them. Older hair is whiter."""

import jax.numpy as jnp
import numpy as np

from cnnjax.data import DATASETS, Split
from cnnjax.data.sources import Source
from cnnjax.tasks import TASKS, Figure, Target, Task

CENTURY = 100


def loss(outputs, targets):
    return jnp.square(outputs[:, 0] - targets["age"] / CENTURY)


def measures(outputs, targets):
    return {"error": jnp.abs(predict(outputs) - targets["age"])}


def predict(outputs):
    return outputs[:, 0] * CENTURY


TASK = Task(
    targets=lambda facts: {"age": Target((), np.float32)},
    outputs=lambda facts: 1,
    loss=loss,
    measures=measures,
    figures={"mean_error": Figure(lambda s: s["error"] / s["count"], "years", higher=False)},
    best="mean_error",
    predict=predict,
    findings=lambda age, facts: [{"age": float(age)}],
    finds="ages",
    columns={"age": "years"},
)


def drawn(examples, size, seed):
    generator = np.random.default_rng(seed)
    ages = generator.uniform(1, 99, examples).astype(np.float32)
    images = generator.normal(120, 10, (examples, size, size, 1))
    images[:, : size // 2] += ages[:, None, None, None] - 50
    return Split(images.clip(0, 255).astype(np.uint8), {"age": ages})


def faces(task: str = "age", examples: int = 60, size: int = 10) -> Source:
    """Noise, its upper half as bright as the face is old."""
    return Source(drawn(examples, size, 0), drawn(examples // 5, size, 1))


TASKS.merge({"age": TASK})
DATASETS.merge({"faces": faces})
