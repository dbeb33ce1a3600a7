"""Operations one after the other, on a batch, in few passes over its pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cnnjax.augment import geometric, mixing, resample
from cnnjax.augment.draws import Draw, draw_batch
from cnnjax.augment.mixing import Targets
from cnnjax.augment.moving import KINDS, Moves
from cnnjax.augment.parse import AUGMENTATIONS, Term, check_shape, edge_of, parse, runs
from cnnjax.errors import InputError, nearest


def pipeline(text: str, shape: tuple[int, int, int] | None = None) -> Pipeline:
    """Returns the augmentation of `text`, checked: `crop(4)|flip|rotate(15)`; "" does nothing.

    Args:
      text: names of AUGMENTATIONS with their arguments.
      shape: height, width and channels of the images, if known: then that is checked, too.
    """
    terms = parse(text)
    if shape is not None:
        check_shape(terms, shape)
    values = {f"{t.label}.{argument}": t.numbers[argument] for t in terms for argument in t.numbers}
    return Pipeline(text, values, terms)


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A function of a key and a batch.

    Attributes:
      values: the numbers of `text` by name: "rotate.degrees", and "rotate2.degrees" of a second.
    """

    text: str
    values: dict[str, float] = dataclasses.field(hash=False)
    terms: tuple[Term, ...] = dataclasses.field(repr=False)

    @property
    def mixes(self) -> str:
        """The name of what makes one image of two examples; empty where nothing does."""
        return self.terms[-1].name if self.terms and self.terms[-1].mixing else ""

    def __call__(
        self,
        key: jax.Array,
        images: jax.Array,
        targets: Any,
        values: Mapping[str, ArrayLike] | None = None,
        first: ArrayLike = 0,
        moves: Mapping[str, Moves] | None = None,
    ) -> tuple[jax.Array, Targets]:
        """Returns images of the same shape, float32 in [0, 255], and what they show.

        Args:
          key: of the step.
          images: (batch, height, width, channels), uint8 or floating point, in [0, 255].
          targets: what is to be learnt of each, (batch, ...), or a pytree of such arrays.
          values: replaces `self.values`, all or some; scalars, which may be traced, so that
            another strength compiles nothing. They are not checked.
          first: place in the global batch of the first example, which may be traced. Each example
            draws from fold_in(key, place): how a batch is split over devices changes nothing, as
            long as parts have an even number if there is mixing.
          moves: which of the targets, then a mapping, go where the pixels of their image go.
        """
        check_shape(self.terms, images.shape[1:])
        values = self.complete(values or {})
        images = jnp.asarray(images, jnp.float32)
        if not self.terms:
            return images, mixing.unmixed(targets)
        draws = draw_batch(key, len(images), len(self.terms), first)
        moves = moves or {}
        moved = {name: targets[name] for name in moves}

        def change(image: jax.Array, moved: dict[str, jax.Array], draws: Draw) -> Any:
            return self.change(image, moved, draws, values, moves)

        images, moved = jax.vmap(change)(images, moved, draws)
        targets = {**targets, **moved} if moved else targets
        if not self.mixes:
            return images, mixing.unmixed(targets)
        last = self.terms[-1]
        draws, numbers = draws.at((slice(None), -1)), numbers_of(last, values)
        return mixing.mix(AUGMENTATIONS[last.name], draws, images, targets, numbers)

    def complete(self, values: Mapping[str, ArrayLike]) -> dict[str, jax.Array]:
        """Returns all values as float32, those given first."""
        for name in values:
            if name not in self.values:
                raise InputError(
                    f"the augmentation {self.text!r} has no {name!r}{nearest(name, self.values)}"
                )
        return {
            name: jnp.asarray(value, jnp.float32)
            for name, value in (self.values | dict(values)).items()
        }

    def change(
        self,
        image: jax.Array,
        targets: dict[str, jax.Array],
        draws: Draw,
        values: Mapping[str, jax.Array],
        moves: Mapping[str, Moves],
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns one image, and the targets that move with it, after all that concerns it alone.

        `draws` are those of the terms.
        """
        for run in runs(self.terms):
            own = [(term, draws.at(i), numbers_of(term, values)) for i, term in run]
            term, draw, numbers = own[0]
            if term.geometric:
                matrix = resample.compose(
                    [AUGMENTATIONS[t.name](d, image.shape[:2], **n) for t, d, n in own]
                )
                exact = all(t.name in geometric.EXACT for t, *_ in own)
                look = resample.exact if exact else resample.bilinear
                edge, size = edge_of(run), (image.shape[0], image.shape[1])
                image = look(image, matrix, edge)
                targets = {
                    name: KINDS[moves[name].kind](x, moves[name], matrix, edge, size)
                    for name, x in targets.items()
                }
            elif not term.mixing:
                image = jnp.clip(AUGMENTATIONS[term.name](draw, image, **numbers), 0, 255)
        return image, targets


def numbers_of(term: Term, values: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns the numbers of one operation, argument -> value."""
    return {argument: values[f"{term.label}.{argument}"] for argument in term.numbers}
