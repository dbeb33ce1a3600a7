"""Schedules of the learning rate at their corners, as their formulas have them."""

import math

import jax
import jax.numpy as jnp
import pytest

from cnnjax.train import optim

# Of the way down, an eighth before its end.
SHORT = (1 - math.cos(math.pi / 8)) / 2


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({"name": "constant", "steps": 10}, {0: 1, 9: 1}),
        # Growth in equal parts that reaches the peak with the last step of the warm-up.
        (
            {"name": "constant", "steps": 10, "warmup_steps": 4},
            {0: 0.25, 1: 0.5, 2: 0.75, 3: 1, 4: 1, 9: 1},
        ),
        ({"name": "constant", "steps": 3, "warmup_steps": 4}, {0: 0.25, 2: 0.75}),
        (
            {"name": "cosine", "steps": 9},
            {0: 1, 2: (1 + math.sqrt(0.5)) / 2, 4: 0.5, 6: (1 - math.sqrt(0.5)) / 2, 8: 0, 9: 0},
        ),
        (
            {"name": "cosine", "steps": 11, "warmup_steps": 2, "final": 0.2},
            {0: 0.5, 1: 1, 2: 1, 6: 0.6, 10: 0.2, 50: 0.2},
        ),
        # As before there was the choice: the last step is not the end.
        ({"name": "cosine", "steps": 8, "final_at": "after"}, {0: 1, 4: 0.5, 7: SHORT, 8: 0}),
        ({"name": "cosine", "steps": 1}, {0: 1}),
        ({"name": "cosine", "steps": 3, "warmup_steps": 3}, {0: 1 / 3, 2: 1}),
        (
            {"name": "step", "steps": 20, "boundaries": (0.5, 0.75)},
            {0: 1, 9: 1, 10: 0.1, 14: 0.1, 15: 0.01, 19: 0.01},
        ),
        (
            {"name": "step", "steps": 20, "boundaries": (0.5,), "factor": 0.5, "warmup_steps": 2},
            {0: 0.5, 1: 1, 2: 1, 9: 1, 10: 0.5},
        ),
        # 2.4 and 6.6 steps: the nearest whole ones.
        (
            {"name": "step", "steps": 10, "boundaries": (0.24, 0.66)},
            {1: 1, 2: 0.1, 6: 0.1, 7: 0.01},
        ),
        ({"name": "step", "steps": 4, "boundaries": ()}, {0: 1, 3: 1}),
        ({"name": "step", "steps": 4, "boundaries": (0.5,), "factor": 0.0}, {1: 1, 2: 0}),
        # From 1/25 up and down to the final share, each along half a cosine.
        (
            {"name": "one_cycle", "steps": 13, "warmup_steps": 5, "final": 0.5},
            {0: 0.04, 2: 0.52, 4: 1, 8: 0.75, 12: 0.5, 20: 0.5},
        ),
        (
            {
                "name": "one_cycle",
                "steps": 12,
                "warmup_steps": 4,
                "final": 0.5,
                "final_at": "after",
            },
            {0: 0.04, 2: 0.52, 4: 1, 8: 0.75, 12: 0.5, 20: 0.5},
        ),
        (
            {"name": "one_cycle", "steps": 20, "final_at": "after"},
            {0: 0.04, 3: 0.52, 6: 1, 13: 0.5},
        ),
        # A warm-up of no whole step is none; 0 stands for 30 %.
        ({"name": "one_cycle", "steps": 21, "warmup_steps": 0.3}, {0: 1, 10: 0.5, 20: 0}),
        ({"name": "one_cycle", "steps": 23}, {0: 0.04, 3: 0.52, 6: 1, 14: 0.5, 22: 0}),
        (
            {"name": "one_cycle", "steps": 20, "warmup_steps": 0.3, "final_at": "after"},
            {0: 0.04, 6: 1},
        ),
        ({"name": "one_cycle", "steps": 1}, {0: 1}),
    ],
)
def test_a_schedule_passes_through_its_corners(fields, shares):
    share = optim.schedule(**fields)
    for step, expected in shares.items():
        assert float(share(jnp.int32(step))) == pytest.approx(expected, abs=1e-6), step
        assert float(jax.jit(share)(jnp.int32(step))) == pytest.approx(expected, abs=1e-6), step
