"""Where two networks can be compared on the way to their logits.

Each function takes a network of ours and maps the names of its modules to the modules (PyTorch) or
layers (Keras) of the oracle that must give the same maps, in the order in which they are computed.
"""

from __future__ import annotations

import itertools
from typing import Any


def last(net: Any) -> list[tuple[int, int]]:
    """Returns (stage, blocks) of a network that counts its blocks per stage."""
    return list(enumerate(net.blocks, 1))


def nothing(net: Any) -> dict[str, str]:
    return {}


def alexnet(net: Any) -> dict[str, str]:
    return {f"conv{i}": f"features.{n}" for i, n in enumerate((1, 4, 7, 9, 11), 1)}


def densenet_keras(net: Any) -> dict[str, str]:
    transitions = {f"transition{i}": f"pool{i + 1}_pool" for i in (1, 2, 3)}
    n = net.blocks[3]
    return {
        "stem": "conv1_relu",
        **transitions,
        f"stage4_block{n}": f"conv5_block{n}_concat",
        "norm": "bn",
    }


def densenet_torch(net: Any) -> dict[str, str]:
    transitions = {f"transition{i}": f"features.transition{i}" for i in (1, 2, 3)}
    return {"stem": "features.relu0", **transitions, "norm": "features.norm5"}


def googlenet(net: Any) -> dict[str, str]:
    return {
        "stem": "maxpool2",
        "stage1_block2": "inception3b",
        "stage2_block5": "inception4e",
        "stage3_block2": "inception5b",
    }


def inception_v3_keras(net: Any) -> dict[str, str]:
    ours = ("stage1_block3", "stage2_block1", "stage2_block5", "stage3_block1", "stage3_block3")
    theirs = ("mixed2", "mixed3", "mixed7", "mixed8", "mixed10")
    return {"stem": "MaxPooling2D:1"} | dict(zip(ours, theirs, strict=True))


def inception_v3_torch(net: Any) -> dict[str, str]:
    ours = ("stage1_block3", "stage2_block1", "stage2_block5", "stage3_block1", "stage3_block3")
    theirs = ("Mixed_5d", "Mixed_6a", "Mixed_6e", "Mixed_7a", "Mixed_7c")
    stem = {
        f"stem/conv{i}": f"Conv2d_{n}" for i, n in ((1, "1a_3x3"), (3, "2b_3x3"), (5, "4a_3x3"))
    }
    return stem | dict(zip(ours, theirs, strict=True))


def inception_resnet_v2_keras(net: Any) -> dict[str, str]:
    return {
        "stem": "MaxPooling2D:1",
        "stage1_block1": "mixed_5b",
        "stage1_block11": "block35_10_ac",
        "stage2_block1": "mixed_6a",
        "stage2_block21": "block17_20_ac",
        "stage3_block1": "mixed_7a",
        "stage3_block11": "CustomScaleLayer:39",
        "last": "conv_7b_ac",
    }


def inception_resnet_v2_timm(net: Any) -> dict[str, str]:
    return {
        "stem": "maxpool_5a",
        "stage1_block1": "mixed_5b",
        "stage1_block11": "repeat",
        "stage2_block1": "mixed_6a",
        "stage2_block21": "repeat_1",
        "stage3_block1": "mixed_7a",
        "stage3_block11": "block8",
        "last": "conv2d_7b",
    }


def mobilenet_v1_keras(net: Any) -> dict[str, str]:
    ends = itertools.accumulate(n for _, n, _ in net.rows)
    return {"stem": "conv1_relu"} | {
        f"stage{s}_block{n}": f"conv_pw_{end}_relu"
        for s, ((_, n, _), end) in enumerate(zip(net.rows, ends, strict=True), 1)
    }


def mobilenet_v1_timm(net: Any) -> dict[str, str]:
    stages = {f"stage{s}_block{n}": f"blocks.{s - 1}" for s, (_, n, _) in enumerate(net.rows, 1)}
    return {"stem": "bn1"} | stages


def mobilenet_v2_keras(net: Any) -> dict[str, str]:
    ends = itertools.accumulate(n for _, _, n, _ in net.rows)
    stages = {
        f"stage{s}_block{n}": f"block_{end - 1}_{'add' if n > 1 else 'project_BN'}"
        for s, ((_, _, n, _), end) in enumerate(zip(net.rows, ends, strict=True), 1)
    }
    return (
        {"stem": "Conv1_relu"}
        | stages
        | {
            "stage1_block1": "expanded_conv_project_BN",
            "last": "out_relu",
        }
    )


def mobilenet_v2_torch(net: Any) -> dict[str, str]:
    ends = itertools.accumulate(n for _, _, n, _ in net.rows)
    stages = {
        f"stage{s}_block{n}": f"features.{end}"
        for s, ((_, _, n, _), end) in enumerate(zip(net.rows, ends, strict=True), 1)
    }
    return {"stem": "features.0"} | stages | {"last": "features.18"}


def mobilenet_v2_timm(net: Any) -> dict[str, str]:
    stages = {f"stage{s}_block{n}": f"blocks.{s - 1}" for s, (_, _, n, _) in enumerate(net.rows, 1)}
    return {"stem": "bn1"} | stages | {"last": "bn2"}


def nasnet_keras(net: Any) -> dict[str, str]:
    n = net.blocks
    return {
        "stem": "stem_bn1",
        "stem_cell1": "reduction_concat_stem_1",
        "stem_cell2": "reduction_concat_stem_2",
        "stage1_block1": "normal_concat_0",
        f"stage1_block{n}": f"normal_concat_{n - 1}",
        "reduction1": f"reduction_concat_reduce_{n}",
        f"stage2_block{n}": f"normal_concat_{2 * n}",
        "reduction2": f"reduction_concat_reduce_{2 * n}",
        f"stage3_block{n}": f"normal_concat_{3 * n}",
    }


def nasnet_timm(net: Any) -> dict[str, str]:
    n = net.blocks
    return {
        "stem": "conv0",
        "stem_cell1": "cell_stem_0",
        "stem_cell2": "cell_stem_1",
        "stage1_block1": "cell_0",
        f"stage1_block{n}": f"cell_{n - 1}",
        "reduction1": "reduction_cell_0",
        f"stage2_block{n}": f"cell_{2 * n - 1}",
        "reduction2": "reduction_cell_1",
        f"stage3_block{n}": f"cell_{3 * n - 1}",
    }


def resnet_keras(net: Any) -> dict[str, str]:
    stages = {f"stage{s}_block{n}": f"conv{s + 1}_block{n}_out" for s, n in last(net)}
    return {"stem": "conv1_relu"} | stages


def resnet_torch(net: Any) -> dict[str, str]:
    return {"stem": "relu"} | {f"stage{s}_block{n}": f"layer{s}" for s, n in last(net)}


def resnet_v2_keras(net: Any) -> dict[str, str]:
    stages = {f"stage{s}_block{n}": f"conv{s + 1}_block{n}_out" for s, n in last(net)}
    return {"stem": "conv1_conv"} | stages | {"norm": "post_bn"}


def resnet_v2_timm(net: Any) -> dict[str, str]:
    return {"stem": "stem.conv"} | {f"stage{s}_block{n}": f"stages.{s - 1}" for s, n in last(net)}


def squeezenet(net: Any) -> dict[str, str]:
    ends = itertools.accumulate(map(len, net.stages))
    return {"stem": "features.1"} | {
        f"stage{s}_block{len(stage)}": f"features.{1 + end + s}"
        for s, (stage, end) in enumerate(zip(net.stages, ends, strict=True), 1)
    }


def vgg_keras(net: Any) -> dict[str, str]:
    return {f"stage{s}_block{n}": f"block{s}_conv{n}" for s, n in last(net)}


def vgg_torch(net: Any) -> dict[str, str]:
    layers = 2 if net.norm == "none" else 3
    ends = itertools.accumulate(net.blocks)
    return {
        f"stage{s}_block{n}": f"features.{layers * end + s - 2}"
        for (s, n), end in zip(last(net), ends, strict=True)
    }


def xception_keras(net: Any) -> dict[str, str]:
    return {
        "stem": "block1_conv2_act",
        "stage1_block1": "Add:0",
        "stage1_block3": "Add:2",
        "stage2_block8": "Add:10",
        "stage3_block1": "Add:11",
        "stage3_block3": "block14_sepconv2_act",
    }


def xception_timm(net: Any) -> dict[str, str]:
    return {
        "stem": "act2",
        "stage1_block1": "block1",
        "stage1_block3": "block3",
        "stage2_block8": "block11",
        "stage3_block1": "block12",
        "stage3_block3": "act4",
    }
