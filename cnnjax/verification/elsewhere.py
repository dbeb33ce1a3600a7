"""Requirements 1.5 to 1.12: rows that need data sets or minutes, and what shows each.

`evidence` names tests ("tests/test_data.py::test_name"), commands ("experiments.train
--config=FILE") and studies ("experiments.study NAME"), of which docs/studies has the page; a test
of ours holds that all of them exist. A row without evidence is not proven yet: it says what is
missing.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One row that is not checked by `experiments.verify` itself."""

    row: str
    article: str
    says: str
    evidence: tuple[str, ...] = ()


GUIDE = "tests/test_documents.py::"
PICTURES = GUIDE + "test_the_commands_draw_the_pictures_of_the_guide"
LINES = "tests/test_entry_points.py::test_training_ends_with_the_articles_lines"
# Of every network: its count, its function beside another framework's, a step that reaches all.
COUNTED = "tests/test_models.py::test_parameters_and_multiply_adds_are_those_published"
EQUAL = (
    "tests/oracles/test_oracles.py::"
    "test_a_network_and_all_its_stages_compute_what_the_oracle_computes"
)
TRAINABLE = "tests/test_models.py::test_a_step_is_finite_and_reaches_every_weight"
EXACT = (COUNTED, EQUAL, TRAINABLE)

TRAINING = (
    Row(
        "T01",
        "S0,S2,S4",
        "MNIST: 60,000 and 10,000 of 28x28x1, / 255, labels; prints shape and counts",
        ("tests/test_data.py::test_mnist_is_read_whole_without_tensorflow", LINES),
    ),
    Row(
        "T02",
        "S0",
        "mnist_cnn: batch 128, 12 epochs, Adadelta; prints test loss and accuracy",
        (LINES, "experiments.train --config=configs/mnist.py:mnist_cnn"),
    ),
    Row(
        "T03",
        "S2",
        "the same pipeline with one block, 10 epochs",
        (COUNTED, "experiments.train --config=configs/mnist.py:one_block_cnn"),
    ),
    Row(
        "T04",
        "S4",
        "the first ConvNet trained on MNIST",
        (COUNTED, "experiments.train --config=configs/mnist.py:first_convnet"),
    ),
    Row(
        "T05",
        "S1",
        "more data, better accuracy: 1k, 5k, 20k, 60k",
        ("experiments.study more_data",),
    ),
    Row(
        "T06",
        "S3",
        "little data overfits: the gap between train and test",
        ("experiments.study little_data",),
    ),
    Row(
        "T07",
        "S3",
        "sensitive to initialisation: the spread over 10 seeds",
        ("experiments.study initialisation",),
    ),
    Row("T08", "S3", "faster with a GPU"),
    Row("T09", "S1", "features and classifier as two stages to look at"),
)

FAMILIES = (
    Row("F01", "S0,S3", "LeNet, 1998", EXACT),
    Row("F02", "S0,S1,S3", "AlexNet, 2012, and its lite form", EXACT),
    Row("F03", "S0,S1,S3,S4", "VGG16 and VGG19, 2014", EXACT),
    Row("F04", "S0,S1,S3", "GoogLeNet, 2014", EXACT),
    Row("F05", "S1,S4", "InceptionV3", EXACT),
    Row("F06", "S4", "InceptionResNetV2", EXACT),
    Row("F07", "S0,S1,S3,S4", "ResNet, 2015", EXACT),
    Row("F08", "S4", "ResNetV2", EXACT),
    Row("F09", "S4", "ResNeXt", EXACT),
    Row("F10", "S1,S4", "DenseNet, with DenseNet-201", EXACT),
    Row("F11", "S1", "SqueezeNet", EXACT),
    Row("F12", "S4", "Xception", EXACT),
    Row("F13", "S4", "MobileNet", EXACT),
    Row("F14", "S4", "MobileNetV2", EXACT),
    Row("F15", "S4", "NASNet", EXACT),
    Row("F16", "S0", "mnist_cnn", EXACT),
    Row("F17", "S2", "the one-block network", EXACT),
    Row("F18", "S4", "the first ConvNet", EXACT),
)

MAP = "tests/test_augment_geometric.py::test_an_operation_is_an_affine_map_of_scipy"
MOVED = "tests/test_augment_geometric.py::test_moves_by_pixels_alone_are_exact"

AUGMENTATION = (
    Row("U01", "S0", "rotating", (MAP,)),
    Row("U02", "S0", "scaling and zooming", (MAP,)),
    Row(
        "U03",
        "S0",
        "cropping",
        (MOVED, "tests/test_augment_geometric.py::test_a_resized_crop_is_a_box_enlarged_by_pillow"),
    ),
    Row("U04", "S0", "flipping", (MOVED,)),
    Row("U05", "S0", "shifting, horizontally and vertically", (MOVED,)),
    Row("U06", "S0", "stretching", (MAP,)),
    Row(
        "U07",
        "S0",
        "illumination: brightness, contrast",
        ("tests/test_augment_colour.py::test_enhancements_are_those_of_pillow",),
    ),
    Row(
        "U08",
        "S4",
        "augmentation fights overfitting: the gap on 1k images",
        (
            "tests/test_augment_step.py::test_augmentation_fights_overfitting",
            "experiments.study augmentation",
        ),
    ),
)

TRANSFER = (
    Row("X1", "S0", "bottleneck features, computed once, and a new classifier"),
    Row(
        "X2",
        "S0,S1",
        "the first layers frozen, to the bit",
        ("tests/test_freeze.py::test_frozen_layers_and_their_statistics_do_not_move",),
    ),
    Row("X3", "S0,S4", "all fine-tuned from pre-trained weights; beats scratch"),
    Row(
        "X4",
        "S4",
        "extraction first, then fine-tuning",
        ("tests/test_init.py::test_two_phases_are_one_run_with_one_resume",),
    ),
    Row("X5", "S1", "transfer is faster than scratch"),
)

TUNING = (
    Row(
        "H01",
        "S0,S1,S2",
        "kernel, padding, stride, filters, depth, pooling, units: fields of a config",
        (
            "tests/test_config.py::test_open_sections_keep_the_fields_of_their_constructor",
            "tests/test_documents.py::test_the_command_runs",
        ),
    ),
    Row(
        "H02",
        "S0,S1,S3",
        "each of them swept from the command line",
        (
            "tests/test_sweep_knobs.py::test_every_knob_of_the_networks_does_something",
            "tests/test_sweep_knobs.py::test_every_knob_of_the_training_reaches_the_run",
        ),
    ),
)

INSPECTION = (
    Row("I01", "S1,S2,S4", "feature maps of any layer"),
    Row("I02", "S1,S2,S4", "learned kernels", (PICTURES,)),
    Row("I03", "S0,S3,S4", "from low over middle to high features"),
    Row("I04", "S1", "input, after convolution, after ReLU", (PICTURES,)),
    Row("I05", "S3", "how an image changes through the network"),
    Row("I06", "S0,S1,S2", "what pooling leaves of an image", (PICTURES,)),
)

TASKS = (
    Row(
        "K01",
        "S3,S4",
        "classification",
        (GUIDE + "test_the_first_command_trains_as_well_and_as_fast_as_it_says",),
    ),
    Row("K02", "S4", "localization: intersection over union"),
    Row("K03", "S3,S4", "detection: mean average precision on scenes"),
    Row("K04", "S4", "segmentation: a U-Net"),
    Row("K05", "S1", "portrait blur by the mask"),
    Row("K06", "S1,S3", "text classified by 1-D convolution"),
    Row("K07", "S3", "time series forecast by causal convolution"),
    Row("K08", "S3", "recommendation from sequences of items"),
    Row("K09", "S0,S1", "faces verified by embedding"),
)

CLAIMS = (
    Row(
        "M01",
        "S1,S4",
        "max pooling is better: S4 says so, S1 that one cannot say",
        ("experiments.study pooling",),
    ),
    Row(
        "M02",
        "S1",
        "max keeps bright, so inverted digits lose by it",
        ("experiments.study pooling_inverted",),
    ),
    Row(
        "M03",
        "S0,S2",
        "pooling tolerates shifts; a perceptron does not",
        ("experiments.study shift", "experiments.study pooling_shift"),
    ),
    Row("M04", "S1", "ReLU is better than tanh and sigmoid in most situations"),
    Row("M05", "S1,S2,S3", "less time than a perceptron of the same accuracy"),
    Row("M06", "S1,S2,S3", "fewer parameters than a perceptron", ("experiments.study parameters",)),
)

ROWS = (
    *TRAINING,
    *FAMILIES,
    *AUGMENTATION,
    *TRANSFER,
    *TUNING,
    *INSPECTION,
    *TASKS,
    *CLAIMS,
)


def proven() -> tuple[Row, ...]:
    """Returns the rows that a test or a command shows."""
    return tuple(row for row in ROWS if row.evidence)


def unproven() -> tuple[Row, ...]:
    """Returns the rows that nothing shows yet."""
    return tuple(row for row in ROWS if not row.evidence)
