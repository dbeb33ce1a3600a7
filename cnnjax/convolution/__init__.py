"""The mathematics of convolution, as plain functions of arrays.

All but the counting works under `jit`, `grad` and `vmap`; sizes and words are static.
"""

from cnnjax.convolution.boundary import BOUNDARIES, pad
from cnnjax.convolution.channels import channels_last, feature_maps, layer_filters
from cnnjax.convolution.filters import (
    EDGE,
    HORIZONTAL_LINE,
    SOBEL_X,
    SOBEL_Y,
    VERTICAL_LINE,
    Gradient,
    arc,
    box,
    curve,
    sobel,
)
from cnnjax.convolution.fourier import Operations, circular_convolve, fft_convolve, operations
from cnnjax.convolution.geometry import (
    ReceptiveField,
    Window,
    flop_count,
    multiply_adds,
    output_shape,
    output_size,
    padding_widths,
    parameter_count,
    receptive_field,
)
from cnnjax.convolution.modes import MODES, convolve, correlate
from cnnjax.convolution.patches import patches

__all__ = [
    "BOUNDARIES",
    "EDGE",
    "HORIZONTAL_LINE",
    "MODES",
    "SOBEL_X",
    "SOBEL_Y",
    "VERTICAL_LINE",
    "Gradient",
    "Operations",
    "ReceptiveField",
    "Window",
    "arc",
    "box",
    "channels_last",
    "circular_convolve",
    "convolve",
    "correlate",
    "curve",
    "feature_maps",
    "fft_convolve",
    "flop_count",
    "layer_filters",
    "multiply_adds",
    "operations",
    "output_shape",
    "output_size",
    "pad",
    "padding_widths",
    "parameter_count",
    "patches",
    "receptive_field",
    "sobel",
]
