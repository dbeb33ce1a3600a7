"""For every row of the specification, calls of its check with arguments replaced by wrong ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cnnjax import convolution, layers
from cnnjax.verification.parameters import Perceptron
from tests import wrong_implementations as wrong

WRONG = {
    "C01": [{"convolve": wrong.shifted}],
    "C02": [{"convolve": wrong.shifted}],
    "C03": [{"convolve": wrong.shifted}],
    "C04": [{"convolve": wrong.zeros_beyond}],
    "C05": [{"convolve": wrong.shifted}],
    "C06": [
        {"convolve": wrong.unflipped},
        {"correlate": wrong.flipped},
        {"convolve": wrong.zeros_beyond},
    ],
    "C07": [{"sobel": wrong.half_sobel}],
    "C08": [{"feature_maps": wrong.flipped_maps}],
    "C09": [{"feature_maps": wrong.first_channel_only}],
    "C10": [{"feature_maps": wrong.mixed_maps}],
    "C11": [{"layer_filters": wrong.first_filter_of_transpose}],
    "C12": [{"circular": wrong.wrapped}, {"linear": wrong.shifted}, {"direct": wrong.shifted}],
    "C13": [{"sobel": wrong.half_sobel}, {"sobel": wrong.turned_sobel}],
    "C14": [
        {"vertical": convolution.HORIZONTAL_LINE},
        {"horizontal": convolution.VERTICAL_LINE},
    ],
    "C15": [{"curve": convolution.box}, {"correlate": wrong.flipped}],
    "C16": [{"patches": wrong.patches_backwards}],
    "C17": [{"convolve": wrong.one_dimension}],
    "C18": [{"convolve": wrong.unflipped}, {"correlate": wrong.flipped}],
    "P01": [{"output_size": wrong.no_plus_one}],
    "P02": [{"output_size": wrong.padded_once}, {"pad": lambda x, padding: x}],
    "P03": [{"output_size": wrong.rounded_up}],
    "P04": [{"output_size": wrong.padded_once}],
    "P05": [{"output_size": wrong.no_plus_one}, {"conv": wrong.always_padded}],
    "P06": [{"output_shape": wrong.transposed_shape}, {"conv": wrong.always_padded}],
    "P07": [{"pad": lambda x, padding, rule="constant": convolution.pad(x, padding)}],
    "P08": [
        {"conv": wrong.PaddedBefore},
        {"padding_widths": lambda *a: convolution.padding_widths(*a)[::-1]},
    ],
    "P09": [
        {"output_size": lambda n, k, p=0, s=2: 0},
        {"feature_maps": lambda image, filters, stride=2: 0},
        {"conv": wrong.stride_of_two},
    ],
    "P10": [{"conv": wrong.always_padded}],
    "P11": [{"pool": wrong.averaging}],
    "P12": [{"conv": wrong.always_padded}, {"pool": wrong.ceiled}],
    "P13": [{"feature_maps": wrong.never_padded}],
    "N01": [
        {"parameter_count": lambda k, d, m, bias=True: convolution.parameter_count(k, d, m) + 1},
        {"conv": lambda *a, use_bias: layers.Conv(*a, use_bias=not use_bias)},
    ],
    **{row: [{"build": wrong.wider}] for row in ("N02", "N03", "N04", "N06", "N07", "N08")},
    "N05": [{"pool": lambda x, size: wrong.WeightedPool()(x)}, {"rows_of": wrong.one_too_many}],
    "N09": [{"table": wrong.commas_lost}, {"rows_of": wrong.one_too_many}],
    "N10": [{"build": wrong.other("mnist_cnn", units=(127,))}],
    # Training takes too long to do it wrong: the accuracies are given, the networks are wrong.
    "N11": [
        {"convnet": wrong.wide_convnet, "accuracy": lambda network, digits: 0.9},
        {"perceptron": wrong.linear_classifier, "accuracy": lambda network, digits: 0.9},
        {"accuracy": lambda network, digits: 0.9 if isinstance(network, Perceptron) else 0.8},
    ],
    "L01": [
        {"normalize": wrong.scaled_by_256},
        {"channels_last": wrong.no_switch},
        {"build": wrong.other("first_convnet", classes=11)},
    ],
    "L02": [
        {"conv": wrong.FlippedConv},
        {"activations": wrong.with_activation("relu", jnp.abs)},
    ],
    "L03": [
        {"activations": wrong.with_activation("tanh", jnp.sin)},
        {"activations": wrong.with_activation("linear", jnp.tanh)},
        {"activations": wrong.with_activation("relu", lambda x: x)},
    ],
    "L04": [{"maximum": wrong.averaging}, {"average": layers.max_pool}],
    "L05": [
        {"harmonic": wrong.unguarded_harmonic},
        {"geometric": wrong.unguarded_geometric},
        {"harmonic": layers.geometric_pool},
        {"average": layers.max_pool},
        {"maximum": layers.average_pool},
    ],
    "L06": [{"pool": layers.global_max_pool}],
    "L07": [
        {"dense": wrong.WithBias},
        {"activations": wrong.with_activation("softmax", jax.nn.sigmoid)},
        {"activations": wrong.with_activation("sigmoid", jnp.tanh)},
    ],
    "L08": [{"norms": dict.fromkeys(("batch", "group", "layer"), layers.NORMS["group"])}],
    "L09": [
        {"layer": wrong.inverted_dropout},
        {"layer": lambda rate, train: layers.Dropout(rate, True)},
    ],
    "L10": [
        {"build": wrong.other("vgg16", blocks=(1, 1, 1, 1, 1))},
        {"build": wrong.other("googlenet", stages=((((64, 96, 128, 16, 32, 33)),),))},
        {"residual": wrong.NoShortcut},
    ],
    "L11": [{"conv": wrong.FlippedConv}, {"feature_maps": wrong.flipped_maps}],
    "E1": [{"convolve": wrong.shifted}],
    "E2": [{"output_size": wrong.no_plus_one}],
    "E3": [{"build": wrong.other("googlenet", large_kernel=3)}],
    "E4": [{"build": wrong.other("vgg16", units=())}],
    "E5": [{"build": wrong.other("resnext50_32x4d", groups=1)}],
    "E6": [{"dense": wrong.Flattening}],
    "E7": [{"build": wrong.other("first_convnet", units=(64, 64))}],
    "E8": [{"optimizer": wrong.adadelta_of_optax}],
}
