"""Schedules against those of PyTorch, step by step."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.train import optim

torch = pytest.importorskip("torch")

FINAL = 0.01


def rates(make, steps):
    """Returns PyTorch's learning rate of each step, of a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def ours(name, steps, **fields):
    share = optim.schedule(name, steps, final=FINAL, **fields)
    return [float(share(jnp.int32(step))) for step in range(steps)]


@pytest.mark.parametrize("steps", [2, 20, 333])
def test_a_cosine_is_that_of_pytorch_over_one_period(steps):
    def cosine(optimizer):
        # eta_min is reached after T_max steps, which the first of the run is not one of.
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - 1, eta_min=FINAL)

    found = ours("cosine", steps)
    np.testing.assert_allclose(found, rates(cosine, steps), atol=1e-6)
    assert found[-1] == pytest.approx(FINAL)


@pytest.mark.parametrize(("steps", "warmup"), [(20, 6), (20, 0), (333, 33), (50, 49)])
def test_one_cycle_is_that_of_pytorch(steps, warmup):
    def one_cycle(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1.0, steps, pct_start=warmup / steps or 0.3, final_div_factor=0.04 / FINAL
        )

    found = ours("one_cycle", steps, warmup_steps=warmup)
    np.testing.assert_allclose(found, rates(one_cycle, steps), atol=1e-6)
    assert found[-1] == pytest.approx(FINAL)
