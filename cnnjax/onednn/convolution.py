"""Convolutions of oneDNN: what one computes, and the calls that do.

A convolution has three arrays, x, weights and y, and each can be computed from the others: the
result y, and the gradients of x and of the weights. What is done to the products afterwards, a bias
first, is done while they are still in registers. Images lie in memory as in JAX, channels last.
Weights are rearranged from and into the layout that the kernel wants, which depends on the
processor.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from cnnjax.onednn import native
from cnnjax.onednn.library import Handle, Library, Refused, library

# Of dnnl_types.h and dnnl_common_types.h.
FLOAT32, ANY_LAYOUT, TRAINING, DIRECT, OWN_SCRATCHPAD = 3, 1, 64, 1, 1
SRC, SECOND_SRC, DST, WEIGHTS, BIAS, SCRATCHPAD = 1, 2, 17, 33, 41, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS = 129, 145, 161
NAME_OF_KERNEL, LAYOUT_OF = 8, 255
ADD, MULTIPLY = 0x1FFF0, 0x1FFF1
# The first operation after the products has arguments from here on, the second from twice this.
AFTERWARDS = 32768
# Of the kernel that computes an array: its arguments for these.
ARGUMENTS = {
    "x": {"x": DIFF_SRC, "weights": WEIGHTS, "y": DIFF_DST},
    "weights": {"x": SRC, "weights": DIFF_WEIGHTS, "y": DIFF_DST},
    "y": {"x": SRC, "weights": WEIGHTS, "bias": BIAS, "y": DST},
}
# oneDNN's own ReLU makes zeros of nan; a slope of zero below zero does not, nor of minus infinity.
ZERO = ctypes.c_float(0)
# Bytes of weights below which one thread rearranges them sooner than two, or as soon.
LITTLE = 1 << 20
# Bytes to which every part of the scratch memory is aligned: a line of the cache.
LINE = 64

Shape = tuple[int, ...]


class Convolution(NamedTuple):
    """A convolution of float32, and which of its arrays is to be computed.

    Attributes:
      wanted: "y", or "x" or "weights" for a gradient, of which the other two are x, weights, or the
        gradient of y.
      x: (batch, *spatial, channels).
      weights: (*kernel, channels / groups, features).
      y: (batch, *outputs, features).
      stride, padding, dilation: per spatial dimension; padding as (before, after).
      then: what is done to y after the products, in this order: "bias", "scale", "shift", which add
        or multiply with (features,), "shortcut", which adds an array like y, and "relu". Empty for
        a gradient: that of a bias with it takes oneDNN longer than both take alone.
    """

    wanted: str
    x: Shape
    weights: Shape
    y: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int
    then: tuple[str, ...] = ()

    @property
    def operands(self) -> list[str]:
        """The names of the arrays that it is computed from, in order."""
        names = ("x", "weights", "y", *self.then)
        return [name for name in names if name not in (self.wanted, "relu")]

    def shape(self, name: str) -> Shape:
        """Returns the shape of an array."""
        if name in ("bias", "scale", "shift"):
            return self.y[-1:]
        return self.y if name == "shortcut" else getattr(self, name)


class Work(NamedTuple):
    """The description of a kernel, and of each of its arguments (number, layout, place).

    `alone` says that it is too little work for more than one thread.
    """

    description: Handle
    arguments: list[tuple[int, Handle, str | int]]
    alone: bool = False


class Program:
    """The kernels that compute arrays of a convolution, and its `number`, by which it is known.

    An argument's place is the name of an array, of which `names` are those that move, or an offset
    in the scratch memory, of which `scratch` bytes are needed.
    """

    def __init__(self, convolution: Convolution, found: Library) -> None:
        self.library = found
        self.names = [*convolution.operands, convolution.wanted]
        self.scratch = 0
        self.kept: list[ctypes.Array] = []
        self.number = int.from_bytes(hashlib.sha256(repr(convolution).encode()).digest()[:7])
        natural, free = self.filters(convolution)
        layouts = {"x": self.images(convolution.x), "y": self.images(convolution.y)}
        if "bias" in convolution.then:
            layouts["bias"] = self.strided(convolution.shape("bias"), (1,))
        attributes, rest = self.afterwards(convolution, layouts["y"])
        description = self.describe(convolution, layouts | {"weights": free}, attributes)
        numbers = ARGUMENTS[convolution.wanted]
        chosen = self.layout(description, numbers["weights"])
        same = found.functions.dnnl_memory_desc_equal(natural, chosen)
        weights = (natural, "weights") if same else (chosen, self.reserve(chosen))
        sides = {name: (layout, name) for name, layout in layouts.items()} | {"weights": weights}
        arguments = [(numbers[name], *side) for name, side in sides.items()]
        self.steps = [self.step(description, arguments + rest)]
        if not same:
            change = (natural, "weights"), weights
            if convolution.wanted == "weights":
                self.steps.append(self.rearrange(*reversed(change)))
            else:
                self.steps.insert(0, self.rearrange(*change))

    def images(self, shape: Shape) -> Handle:
        """Returns the layout of (batch, *spatial, channels)."""
        batch, *sizes, channels = shape
        batch_stride, *strides, channel_stride = row_major(shape)
        return self.strided((batch, channels, *sizes), (batch_stride, channel_stride, *strides))

    def filters(self, convolution: Convolution) -> tuple[Handle, Handle]:
        """Returns the layout of (*kernel, channels / groups, features), and one left to oneDNN."""
        *kernel, channels, features = convolution.weights
        *strides, channel_stride, feature_stride = row_major(convolution.weights)
        each = features // convolution.groups
        sizes = (each, channels, *kernel)
        steps = (feature_stride, channel_stride, *strides)
        if convolution.groups > 1:
            sizes, steps = (convolution.groups, *sizes), (each, *steps)
        name = "dnnl_memory_desc_create_with_tag"
        free = self.library.create(name, len(sizes), dims(sizes), FLOAT32, ANY_LAYOUT)
        return self.strided(sizes, steps), free

    def strided(self, sizes: Shape, strides: Shape) -> Handle:
        name = "dnnl_memory_desc_create_with_strides"
        return self.library.create(name, len(sizes), dims(sizes), FLOAT32, dims(strides))

    def describe(
        self, convolution: Convolution, layouts: Mapping[str, Handle], attributes: Handle
    ) -> Handle:
        """Returns the description of the kernel; raises Refused where oneDNN has no quick one."""
        before, after = zip(*convolution.padding, strict=True)
        apart = [step - 1 for step in convolution.dilation]
        window = [dims(sizes) for sizes in (convolution.stride, apart, before, after)]
        sides = [layouts.get(name) for name in ("x", "weights", "bias", "y")]
        create, engine = self.library.create, self.library.engine
        name = "dnnl_convolution_forward_primitive_desc_create"
        description = create(name, engine, TRAINING, DIRECT, *sides, *window, attributes)
        if convolution.wanted == "x":
            name = "dnnl_convolution_backward_data_primitive_desc_create"
            sides = [layouts[name] for name in ("x", "weights", "y")]
            description = create(name, engine, DIRECT, *sides, *window, description, attributes)
        if convolution.wanted == "weights":
            name = "dnnl_convolution_backward_weights_primitive_desc_create"
            description = create(name, engine, DIRECT, *sides, *window, description, attributes)
        kernel = self.library.text("dnnl_primitive_desc_query", description, NAME_OF_KERNEL, 0)
        if "ref" in kernel:
            raise Refused(f"oneDNN has only {kernel} for {convolution}")
        return description

    def afterwards(
        self, convolution: Convolution, outputs: Handle
    ) -> tuple[Handle, list[tuple[int, Handle, str]]]:
        """Returns the attributes that say what follows the products of y, and its arguments."""
        operations = self.library.create("dnnl_post_ops_create")
        per_channel = self.images((*(1 for _ in convolution.y[:-1]), convolution.y[-1]))
        arguments = []
        for name in convolution.then:
            first = AFTERWARDS * (len(arguments) + 1)
            if name == "relu":
                self.library.call("dnnl_post_ops_append_prelu", operations, 0)
                arguments.append((first | WEIGHTS, self.strided((1,), (1,)), "zero"))
            elif name != "bias":
                layout = outputs if name == "shortcut" else per_channel
                kind = MULTIPLY if name == "scale" else ADD
                self.library.call("dnnl_post_ops_append_binary", operations, kind, layout)
                arguments.append((first | SECOND_SRC, layout, name))
        attributes = self.attributes()
        self.library.call("dnnl_primitive_attr_set_post_ops", attributes, operations)
        return attributes, arguments

    def attributes(self) -> Handle:
        attributes = self.library.create("dnnl_primitive_attr_create")
        self.library.call("dnnl_primitive_attr_set_scratchpad_mode", attributes, OWN_SCRATCHPAD)
        return attributes

    def layout(self, description: Handle, number: int) -> Handle:
        query = self.library.functions.dnnl_primitive_desc_query_md
        return Handle(query(description, LAYOUT_OF, number))

    def reserve(self, layout: Handle) -> int:
        """Returns the offset of so much scratch memory."""
        offset = self.scratch
        size = self.library.functions.dnnl_memory_desc_get_size(layout)
        self.scratch += -(-size // LINE) * LINE
        return offset

    def step(self, description: Handle, arguments: list[tuple]) -> Work:
        scratchpad = self.layout(description, SCRATCHPAD)
        if self.library.functions.dnnl_memory_desc_get_size(scratchpad):
            arguments = [*arguments, (SCRATCHPAD, scratchpad, self.reserve(scratchpad))]
        return Work(description, arguments)

    def rearrange(self, source: tuple[Handle, Any], target: tuple[Handle, Any]) -> Work:
        """Returns the copy from one layout and place into another."""
        engine = self.library.engine
        name, ends = "dnnl_reorder_primitive_desc_create", (source[0], engine, target[0], engine)
        description = self.library.create(name, *ends, self.attributes())
        step = self.step(description, [(SRC, *source), (DST, *target)])
        little = self.library.functions.dnnl_memory_desc_get_size(source[0]) < LITTLE
        return step._replace(alone=little)

    @functools.cached_property
    def plan(self) -> native.Plan:
        """What the handler needs to know, given to it once; its memory must stay."""
        steps = (native.Step * len(self.steps))(*map(self.prepared, self.steps))
        plan = native.Plan(self.number, len(steps), steps)
        self.library.keep(plan)
        return plan

    def prepared(self, work: Work) -> native.Step:
        """Returns a step of the plan. Its kernel is compiled when it is first run."""
        memories = [self.memory(layout, place) for _, layout, place in work.arguments]
        arguments = (native.Argument * len(memories))(
            *map(native.Argument, (number for number, *_ in work.arguments), memories)
        )
        moving = [
            native.Place(memory, *self.whereabouts(place))
            for memory, (*_, place) in zip(memories, work.arguments, strict=True)
            if place != "zero"
        ]
        self.kept += [arguments, places := (native.Place * len(moving))(*moving)]
        return native.Step(
            work.description,
            None,
            ctypes.addressof(arguments),
            places,
            len(arguments),
            len(places),
            work.alone,
        )

    def memory(self, layout: Handle, place: str | int) -> Handle:
        address = Handle(ctypes.addressof(ZERO)) if place == "zero" else None
        return self.library.create("dnnl_memory_create", layout, self.library.engine, address)

    def whereabouts(self, place: str | int) -> tuple[int, int]:
        """Returns the number of an array, the scratch memory being the last, and an offset."""
        if isinstance(place, int):
            return len(self.names), place
        return self.names.index(place), 0


def row_major(shape: Shape) -> Shape:
    """Returns the steps in memory between neighbours along each dimension."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def dims(sizes) -> ctypes.Array:
    return (ctypes.c_int64 * 12)(*sizes)


making = threading.Lock()


def program(convolution: Convolution) -> Program | None:
    """Returns what computes this, or None where there is no oneDNN or it has no quick kernel."""
    with making:
        return made(convolution)


def prepare(convolution: Convolution) -> Program:
    """Returns what computes this, its plan given to the handler."""
    with making:
        found = made(convolution)
        assert found is not None and found.plan
        return found


@functools.cache
def made(convolution: Convolution) -> Program | None:
    found = library()
    try:
        return found and Program(convolution, found)
    except Refused:
        return None
