"""Networks of torchvision, timm and plain torch.nn, with weights drawn here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from tests.oracles import draw

# Without its compiled part torchvision still imports, once these two operators are known by name.
OPERATORS = torch.library.Library("torchvision", "DEF")
OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def build(source: str, name: str, side: int) -> nn.Module:
    """Returns the network without the framework's own initialisation, which takes its time."""
    del side
    with torch.device("meta"):
        model = CONSTRUCTORS[source](name)
    return model.to_empty(device="cpu").eval()


def torchvision(name: str) -> nn.Module:
    from torchvision import models

    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return models.get_model(name, weights=None, **options)


def timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name)


def written(name: str) -> nn.Module:
    from tests.oracles.torch_written import NETWORKS

    return NETWORKS[name]()


CONSTRUCTORS = {"torchvision": torchvision, "timm": timm, "torch": written}


@torch.no_grad()
def randomise(model: nn.Module, generator: np.random.Generator, gain: float) -> None:
    for module in model.modules():
        tensors: list[Any] = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if isinstance(module, nn.BatchNorm2d):
            assert module.num_batches_tracked is not None
            values = draw.normalisation(generator, module.num_features, module.eps, gain, True)
            values.append(np.asarray(0))
        else:
            values = [weight(generator, tuple(tensor.shape)) for tensor in tensors]
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(torch.from_numpy(value))


def weight(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 1:
        return draw.bias(generator, shape)
    return draw.kernel(generator, shape, math.prod(shape[1:]))


@torch.no_grad()
def outputs(
    model: nn.Module, images: np.ndarray, stages: Mapping[str, str], double: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns logits and, under the names of our modules, the outputs of the model's modules.

    Maps come as (batch, height, width, channels). `double` computes in float64.
    """
    values: dict[str, np.ndarray] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            values[name] = np.moveaxis(output.numpy(), 1, -1).copy()  # ReLUs work in place

        return hook

    modules = dict(model.named_modules())
    hooks = [modules[theirs].register_forward_hook(note(ours)) for ours, theirs in stages.items()]
    x = torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    model = model.double() if double else model.float()
    logits = model(x.double() if double else x).numpy()
    for hook in hooks:
        hook.remove()
    return logits, values


def write(model: nn.Module, folder: Path, side: int) -> Path:
    """Writes the state dict: as safetensors where the side is even, with torch.save where odd."""
    if side % 2:
        torch.save(model.state_dict(), path := folder / "oracle.pth")
    else:
        safetensors.torch.save_file(model.state_dict(), path := folder / "oracle.safetensors")
    return path


@torch.no_grad()
def applied(model: nn.Module, name: str, maps: np.ndarray) -> np.ndarray:
    """Returns what the submodule `name` makes of maps (batch, height, width, channels)."""
    x = torch.from_numpy(np.moveaxis(maps, -1, 1).copy())
    return model.get_submodule(name)(x).numpy()
