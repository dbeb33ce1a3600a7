"""Where torchvision, timm and well-known repositories keep the modules of each family."""

from __future__ import annotations

import re
from typing import Any

from cnnjax.transfer.rules import in_stage, place

UNITS = {"conv": 0, "norm": 1}  # a convolution and its normalisation, neighbours in a Sequential
INCEPTION_STEM = ("1a", "2a", "2b", "3b", "4a")


def alexnet(path: str, net: Any) -> str:
    dense = {"fc1": 1, "fc2": 4, "head": 6}
    if path in dense:
        return f"classifier.{dense[path]}"
    conv = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
    return f"features.{conv[path.removesuffix('/conv')]}"


def vgg(path: str, net: Any) -> str:
    dense = {"fc1": 0, "fc2": 3, "head": 6}
    if path in dense:
        return f"classifier.{dense[path]}"
    stage, block, part = place(path)
    blocks, pools = sum(net.blocks[: stage - 1]) + block - 1, stage - 1
    return f"features.{blocks * (2 if net.norm == 'none' else 3) + pools + UNITS[part]}"


def vgg_timm(path: str, net: Any) -> str:
    dense = {"fc1": "pre_logits.fc1", "fc2": "pre_logits.fc2", "head": "head.fc"}
    return dense.get(path) or vgg(path, net)


def googlenet(path: str, net: Any) -> str:
    path = re.sub("norm$", "bn", path)
    if path == "head":
        return "fc"
    if path.startswith("stem/"):
        return path.removeprefix("stem/").replace("/", ".")
    if path.startswith("aux"):
        aux, inner = path.split("/", 1)
        dense = {"fc": "fc1", "head": "fc2"}
        return f"{aux}.{dense.get(inner) or 'conv.' + inner.removeprefix('conv/')}"
    stage, block, rest = place(path)
    branch, part = rest.split("/")
    kind, number = branch.removeprefix("branch").rsplit("_", 1)
    local = {
        "1x1": "branch1",
        "3x3": f"branch2.{int(number) - 1}",
        "5x5": f"branch3.{int(number) - 1}",
        "_pool": "branch4.1",
    }
    return f"inception{stage + 2}{'abcde'[block - 1]}.{local[kind]}.{part}"


def inception_v3(path: str, net: Any) -> str:
    path = re.sub("norm$", "bn", path)
    heads = {"head": "fc", "aux/head": "AuxLogits.fc"}
    if path in heads:
        return heads[path]
    if match := re.fullmatch(r"aux/conv(\d)/(\w+)", path):
        return f"AuxLogits.conv{int(match[1]) - 1}.{match[2]}"
    if match := re.fullmatch(r"stem/conv(\d)/(\w+)", path):
        conv = int(match[1]) - 1
        return f"Conv2d_{INCEPTION_STEM[conv]}_{'1x1' if conv == 3 else '3x3'}.{match[2]}"
    stage, block, rest = place(path)
    letter = ("bcd" if stage == 1 else "abcde")[block - 1]
    branch, part = rest.split("/")
    alone = branch in ("branch1x1_1", "branch_pool_1")
    if alone or (stage, block, branch) == (2, 1, "branch3x3_1"):
        branch = branch.removesuffix("_1")
    return f"Mixed_{stage + 4}{letter}.{branch}.{part}"


def inception_resnet_v2(path: str, net: Any) -> str:
    path = re.sub("norm$", "bn", path)
    if path == "head":
        return "classif"
    if path.startswith("last/"):
        return path.replace("last/", "conv2d_7b.")
    if match := re.fullmatch(r"stem/conv(\d)/(\w+)", path):
        return f"conv2d_{INCEPTION_STEM[int(match[1]) - 1]}.{match[2]}"
    stage, block, rest = place(path)
    module, kinds = inception_resnet_module(stage, block, net.blocks)
    if rest == "up":
        return f"{module}.conv2d"
    branch, part = rest.removeprefix("branches/").split("/")
    kind, number = branch.removeprefix("branch").rsplit("_", 1)
    alone = kind == "1x1" or (stage, block, kind) == (2, 1, "3x3")
    inner = "" if alone else f".{1 if kind == '_pool' else int(number) - 1}"
    return f"{module}.branch{kinds.index(kind)}{inner}.{part}"


def inception_resnet_module(stage: int, block: int, blocks: Any) -> tuple[str, tuple[str, ...]]:
    """Returns timm's name of a module, and its branches in order."""
    if block == 1:
        return (
            ("mixed_5b", ("1x1", "5x5", "3x3dbl", "_pool")),
            ("mixed_6a", ("3x3", "3x3dbl")),
            ("mixed_7a", ("3x3a", "3x3b", "3x3dbl")),
        )[stage - 1]
    repeat = ("repeat", "repeat_1", "repeat_2")[stage - 1]
    last = (stage, block) == (3, blocks[2] + 1)
    kinds = ("1x1", "7x7" if stage == 2 else "3x3", "3x3dbl")
    return "block8" if last else f"{repeat}.{block - 2}", kinds


def resnet(path: str, net: Any) -> str:
    outside = {"stem/conv": "conv1", "stem/norm": "bn1", "head": "fc"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    unit, part = rest.split("/")
    local = unit if part == "conv" else unit.replace("conv", "bn")
    if unit == "shortcut":
        local = f"downsample.{UNITS[part]}"
    return f"layer{stage}.{block - 1}.{local}"


def resnet_cifar(path: str, net: Any) -> str:
    """The names of github.com/akamaster/pytorch_resnet_cifar10."""
    return "linear" if path == "head" else resnet(path, net).replace("downsample", "shortcut")


def resnet_v2(path: str, net: Any) -> str:
    outside = {"stem": "stem.conv", "norm": "norm", "head": "head.fc"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    return f"stages.{stage - 1}.blocks.{block - 1}.{rest.replace('shortcut', 'downsample.conv')}"


def densenet(path: str, net: Any) -> str:
    outside = {"stem/conv": "conv0", "stem/norm": "norm0", "norm": "norm5"}
    if path == "head":
        return "classifier"
    if in_stage(path):
        stage, block, rest = place(path)
        return f"features.denseblock{stage}.denselayer{block}.{rest}"
    return f"features.{outside.get(path) or path.replace('/', '.')}"


def squeezenet(path: str, net: Any) -> str:
    outside = {"stem/conv": "features.0", "head": "classifier.1"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    fires, pools = sum(map(len, net.stages[: stage - 1])) + block, stage
    return f"features.{1 + fires + pools}.{rest.removesuffix('/conv')}"


def mobilenet_v1(path: str, net: Any) -> str:
    outside = {"stem/conv": "conv_stem", "stem/norm": "bn1", "head": "classifier"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    local = {
        "depthwise/conv": "conv_dw",
        "depthwise/norm": "bn1",
        "pointwise/conv": "conv_pw",
        "pointwise/norm": "bn2",
    }
    return f"blocks.{stage - 1}.{block - 1}.{local[rest]}"


def mobilenet_v2(path: str, net: Any) -> str:
    blocks = [n for _, _, n, _ in net.rows]
    outside = {"stem": 0, "last": sum(blocks) + 1}
    if path == "head":
        return "classifier.1"
    if not in_stage(path):
        unit, part = path.split("/")
        return f"features.{outside[unit]}.{UNITS[part]}"
    stage, block, rest = place(path)
    unit, part = rest.split("/")
    expands = net.rows[stage - 1][0] > 1
    index = ["expand", "depthwise", "project"].index(unit) - (not expands)
    local = index + UNITS[part] if unit == "project" else f"{index}.{UNITS[part]}"
    return f"features.{sum(blocks[: stage - 1]) + block}.conv.{local}"


def mobilenet_v2_timm(path: str, net: Any) -> str:
    outside = {
        "stem/conv": "conv_stem",
        "stem/norm": "bn1",
        "last/conv": "conv_head",
        "last/norm": "bn2",
        "head": "classifier",
    }
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    unit, part = rest.split("/")
    expands = net.rows[stage - 1][0] > 1
    conv = {"expand": "pw", "depthwise": "dw", "project": "pwl" if expands else "pw"}
    number = ["expand", "depthwise", "project"].index(unit) + expands
    return f"blocks.{stage - 1}.{block - 1}." + (
        f"conv_{conv[unit]}" if part == "conv" else f"bn{number}"
    )


def xception(path: str, net: Any) -> str:
    """The names of timm's `legacy_xception`."""
    parts = {"conv/depthwise": "conv1", "conv/pointwise": "pointwise"}
    if path == "head":
        return "fc"
    if match := re.fullmatch(r"stem/conv(\d)/(\w+)", path):
        return f"{'conv' if match[2] == 'conv' else 'bn'}{match[1]}"
    stage, block, rest = place(path)
    if stage == 3 and block > 1:
        return f"bn{block + 1}" if rest == "norm" else f"conv{block + 1}.{parts[rest]}"
    block += (0, len(net.entry), len(net.entry) + net.middle[1])[stage - 1]
    unit, part = rest.split("/", 1)
    if unit == "shortcut":
        return f"block{block}.skip{'bn' if part == 'norm' else ''}"
    # Of activation, convolution, normalisation, ...; the first block begins with a convolution.
    index = 3 * (int(unit.removeprefix("conv")) - 1) + (block > 1)
    return f"block{block}.rep." + (f"{index + 1}" if part == "norm" else f"{index}.{parts[part]}")


def nasnet(path: str, net: Any) -> str:
    outside = {"stem/conv": "conv0.conv", "stem/norm": "conv0.bn", "head": "last_linear"}
    if path in outside:
        return outside[path]
    cell, rest = path.split("/", 1)
    halves = cell == "stem_cell2"
    if in_stage(path):
        stage, block, rest = place(path)
        cell, halves = f"cell_{(stage - 1) * net.blocks + block - 1}", block == 1
    else:
        kind, number = cell[:-1], int(cell[-1]) - 1
        cell = f"{'cell_stem' if kind == 'stem_cell' else 'reduction_cell'}_{number}"
    if rest.startswith("previous/") and halves:
        local = {"conv1": "path_1.conv", "conv2": "path_2.conv", "norm": "final_path_bn"}
        return f"{cell}.{local[rest.removeprefix('previous/')]}"
    rest = re.sub(r"norm$", "bn", rest)
    rest = re.sub(r"^previous/", "conv_prev_1x1.", rest)
    rest = re.sub(r"^current/", "conv_1x1.", rest)
    rest = re.sub(r"^row(\d)_", lambda m: f"comb_iter_{int(m[1]) - 1}_", rest)
    rest = re.sub(r"/conv(\d)/(\w+)", r".separable_\1.\2_conv2d", rest)
    return f"{cell}.{re.sub(r'/norm', '.bn_sep_', rest)}"


def mobilenet_kuangliu(path: str, net: Any) -> str:
    """The names of github.com/kuangliu/pytorch-cifar."""
    outside = {"stem/conv": "conv1", "stem/norm": "bn1", "head": "linear"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    number = sum(n for _, n, _ in net.rows[: stage - 1]) + block - 1
    unit, part = rest.split("/")
    kind = "conv" if part == "conv" else "bn"
    return f"layers.{number}.{kind}{1 if unit == 'depthwise' else 2}"
