"""The methods that colour an image by what a class's score depends on, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax import compiler
from cnnjax.explain import activation, attribution
from cnnjax.registry import Table
from cnnjax.structure import graph as graphs
from cnnjax.structure.graph import Graph

GRAY = 127.5


@dataclasses.dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a network: of one image, one class.

    Attributes:
      graph: of the module, for one image.
      preprocess: from pixels in [0, 255], (1, height, width, channels), to the module's input.
      layer: for methods that look at one.
    """

    module: nn.Module
    graph: Graph
    preprocess: Callable[[jax.Array], jax.Array]
    layer: str

    def score(self, variables: Any, label: jax.Array, probability: bool = False) -> Any:
        """Returns the function from inputs to the class's logit, or its probability, (batch,)."""

        def of(inputs: jax.Array) -> jax.Array:
            outputs: Any = self.module.apply(variables, inputs, train=False)
            return (jax.nn.softmax(outputs) if probability else outputs)[:, label]

        return of


# Takes the question, the variables, the pixels (1, height, width, channels), the class and a key;
# returns the heat of each pixel, (height, width), and figures to be printed.
Answer = tuple[jax.Array, dict[str, jax.Array]]
Ask = Callable[[Question, Any, jax.Array, jax.Array, jax.Array], Answer]


@dataclasses.dataclass(frozen=True)
class Method:
    """How to ask, and how to show the answer.

    Attributes:
      title: with its source.
      ask: traced into one program.
      note: what a reader has to know; may name the figures.
      layered: whether it looks at a layer.
      signed: whether heat below zero speaks against the class; else it is cut off, last.
    """

    title: str
    ask: Ask
    note: str
    layered: bool = False
    signed: bool = False


def saliency(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    slope = attribution.gradient(q.score(variables, label), q.preprocess(pixels))
    return jnp.abs(slope).max(-1)[0], {}


def smooth_grad(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    slope = attribution.smooth_grad(key, q.score(variables, label), q.preprocess(pixels))
    return jnp.abs(slope).max(-1)[0], {}


def integrated_gradients(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    inputs, black = q.preprocess(pixels), q.preprocess(jnp.zeros_like(pixels))
    score = q.score(variables, label)
    heat, miss = attribution.integrated_gradients(score, inputs, black)
    gap = score(inputs) - score(black)
    return heat.sum(-1)[0], {"above black": gap[0], "missed": miss[0]}


def guided_backpropagation(
    q: Question, variables: Any, pixels: Any, label: Any, key: Any
) -> Answer:
    slope = activation.guided_backpropagation(
        q.graph, variables, q.preprocess(pixels), lambda outputs: outputs[:, label]
    )
    return jnp.abs(slope).max(-1)[0], {}


def occlusion(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    window = max(min(pixels.shape[1:3]) // 6, 1)
    gray = q.preprocess(jnp.full_like(pixels, GRAY))
    heat = attribution.occlusion(
        q.score(variables, label), q.preprocess(pixels), window, max(window // 2, 1), gray
    )
    return heat[0, ..., 0], {"window in pixels": jnp.float32(window)}


def rise(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    score = q.score(variables, label, probability=True)
    heat = attribution.rise(key, score, q.preprocess(pixels))[0, ..., 0]
    return heat - heat.min(), {}


def grad_cam(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    return class_map(activation.grad_cam, q, variables, pixels, label)


def grad_cam_plus_plus(q: Question, variables: Any, pixels: Any, label: Any, key: Any) -> Answer:
    return class_map(activation.grad_cam_plus_plus, q, variables, pixels, label)


def class_map(method: Any, q: Question, variables: Any, pixels: Any, label: Any) -> Answer:
    heat = method(
        q.graph, variables, q.preprocess(pixels), q.layer, lambda outputs: outputs[:, label]
    )
    return activation.enlarged(heat, *pixels.shape[1:3])[0], {}


METHODS: Table[Method] = Table(
    "method",
    grad_cam=Method(
        "Grad-CAM (Selvaraju et al. 2016)",
        grad_cam,
        "Where the layer's maps speak for the class; coarse, as the layer is.",
        layered=True,
    ),
    grad_cam_plus_plus=Method(
        "Grad-CAM++ (Chattopadhyay et al. 2017)",
        grad_cam_plus_plus,
        "As Grad-CAM, with weights that favour every place of a class that is seen twice.",
        layered=True,
    ),
    saliency=Method(
        "Saliency (Simonyan et al. 2013)",
        saliency,
        "How fast the score changes with a pixel, in either direction.",
    ),
    smooth_grad=Method(
        "SmoothGrad (Smilkov et al. 2017)",
        smooth_grad,
        "The saliency of 32 noisy copies, averaged.",
    ),
    integrated_gradients=Method(
        "Integrated gradients (Sundararajan et al. 2017)",
        integrated_gradients,
        "What each pixel adds to the score on the way from black. Together they add up to how far "
        "the score lies above that of black, but for what the quadrature missed.",
        signed=True,
    ),
    guided_backpropagation=Method(
        "Guided backpropagation (Springenberg et al. 2014)",
        guided_backpropagation,
        "Known failure: it shows the edges of the image even with random weights "
        "(Adebayo et al. 2018); no evidence of what the network decides by.",
    ),
    occlusion=Method(
        "Occlusion (Zeiler and Fergus 2013)",
        occlusion,
        "How far the score falls while a gray square covers the place.",
        signed=True,
    ),
    rise=Method(
        "RISE (Petsiuk et al. 2018)",
        rise,
        "The mean probability under 1,000 random masks that keep the pixel, minus the least.",
    ),
)


def question(
    module: nn.Module,
    variables: Any,
    preprocess: Callable[[jax.Array], jax.Array],
    shape: tuple[int, ...],
    layer: str | None = None,
) -> Question:
    """Returns what is asked of images of `shape` (height, width, channels).

    Args:
      layer: one with places; None for the last of them.
    """
    graph = graphs.traced(module, variables, (1, *shape))
    return Question(module, graph, preprocess, graphs.find(graph, layer, graph.spatial))


def asked(method: Method, question: Question) -> Callable[..., tuple[np.ndarray, dict[str, float]]]:
    """Returns the compiled method: of variables, pixels (height, width, channels), class and key.

    What it returns is in numpy; heat below zero is gone unless the method is signed.
    """

    @compiler.jit
    def program(variables: Any, pixels: jax.Array, label: jax.Array, key: jax.Array) -> Answer:
        return method.ask(question, variables, pixels[None], label, key)

    def answer(variables: Any, pixels: np.ndarray, label: int, key: jax.Array):
        heat, figures = program(variables, jnp.asarray(pixels, jnp.float32), jnp.int32(label), key)
        heat = np.asarray(heat)
        heat = heat if method.signed else np.maximum(heat, 0)
        return heat, {name: float(value) for name, value in figures.items()}

    return answer
