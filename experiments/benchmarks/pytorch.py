"""PyTorch, eager: the step of every tutorial, in one of two memory layouts.

In its favour: batches are float tensors on the device, cut and normalised beforehand, so that a
step has no loader behind it; no metric but the loss is computed, and that is read once per turn.
The pipeline alone is a shuffling DataLoader over those tensors in the same process. An epoch that
counts for accuracy gathers its batches by index, which is faster than the loader.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from experiments.benchmarks import prepared
from experiments.benchmarks.arrays import Arrays, normalised
from experiments.benchmarks.torch_networks import NETWORKS
from experiments.benchmarks.works import Work

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ACCURACY_BATCH = 1000


def facts() -> dict[str, Any]:
    if DEVICE == "cuda":
        return {"platform": "gpu", "kind": torch.cuda.get_device_name()}
    return {"platform": "cpu", "kind": "cpu"}


def use_the_device() -> None:
    """All cores; on a GPU, tensor cores for float32, as XLA has it by default, and the best of
    cuDNN's algorithms."""
    torch.set_num_threads(prepared.cores())
    if DEVICE == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True


def synchronise() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def product(size: int, precision: str) -> Callable[[], None]:
    """Returns a function that multiplies two square matrices of `size`."""
    use_the_device()
    a, b = torch.randn(2, size, size, device=DEVICE, dtype=getattr(torch, precision))

    def multiply() -> None:
        torch.matmul(a, b)
        synchronise()

    return multiply


def prepare(
    work: Work, arrays: Arrays, precision: str, seed: int = 0, channels_last: bool = False
) -> prepared.Prepared:
    use_the_device()
    torch.manual_seed(seed)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network: Any = NETWORKS[work.network]().to(DEVICE)
    network = network.to(memory_format=layout)
    optimizer = optimizer_of(work, network)
    images, test_images = (tensor(x, layout) for x in normalised(arrays))
    labels = torch.from_numpy(arrays.labels).long().to(DEVICE)
    whole = len(labels) // work.batch * work.batch
    batches = zip(images[:whole].split(work.batch), labels[:whole].split(work.batch), strict=True)
    batches = [(x.contiguous(memory_format=layout), y) for x, y in batches]
    turns = itertools.cycle(batches)
    loader = DataLoader(TensorDataset(images, labels), work.batch, shuffle=True, drop_last=True)

    def precise():
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(DEVICE, getattr(torch, precision))

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with precise():
            loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def train(steps: int) -> float:
        network.train()
        loss = torch.zeros(())
        for x, y in itertools.islice(turns, steps):
            loss = step(x, y)
        return loss.item()

    @torch.inference_mode()
    def forward(steps: int) -> None:
        network.eval()
        with precise():
            for x, _ in itertools.islice(turns, steps):
                network(x)
        synchronise()

    def pipeline(steps: int) -> None:
        epochs = itertools.chain.from_iterable(itertools.repeat(loader))
        for x, y in itertools.islice(epochs, steps):
            _ = x.to(DEVICE), y.to(DEVICE)
        synchronise()

    def epoch() -> float:
        network.train()
        for rows in torch.randperm(len(labels), device=labels.device).split(work.batch):
            step(images[rows], labels[rows])
        network.eval()
        right = 0
        with torch.inference_mode(), precise():
            for start in range(0, len(test_images), ACCURACY_BATCH):
                found = network(test_images[start : start + ACCURACY_BATCH]).argmax(1).cpu()
                expected = arrays.test_labels[start : start + ACCURACY_BATCH]
                right += int((found.numpy() == expected).sum())
        return right / len(test_images)

    count = sum(parameter.numel() for parameter in network.parameters())
    return prepared.Prepared(count, train, forward, pipeline, epoch, device_memory)


def tensor(images: Any, layout: torch.memory_format) -> torch.Tensor:
    """Returns images (n, height, width, channels) as (n, channels, height, width)."""
    turned = torch.from_numpy(images).permute(0, 3, 1, 2)
    return turned.to(DEVICE).contiguous(memory_format=layout)


def optimizer_of(work: Work, network: torch.nn.Module) -> torch.optim.Optimizer:
    if work.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), work.learning_rate)
    return torch.optim.SGD(
        network.parameters(), work.learning_rate, momentum=0.9, weight_decay=1e-4
    )


def device_memory() -> int | None:
    return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None
