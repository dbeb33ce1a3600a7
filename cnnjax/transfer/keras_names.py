"""What `keras.applications` and Keras' examples call the layers of each family.

Layers without a name of their own are None: they correspond by their order within their class.
"""

from __future__ import annotations

from typing import Any

from cnnjax.transfer.rules import Rule, in_order, in_stage, place

PARTS = {"conv": "conv", "norm": "bn"}
SUFFIXES = {"conv": "", "norm": "_bn"}


def vgg(path: str, net: Any) -> str:
    if path in ("fc1", "fc2"):
        return path
    if path == "head":
        return "predictions"
    stage, block, _ = place(path)
    return f"block{stage}_conv{block}"


def inception_v3(path: str, net: Any) -> str | None:
    return "predictions" if path == "head" else None


def inception_resnet_v2(path: str, net: Any) -> str | None:
    outside = {"last/conv": "conv_7b", "last/norm": "conv_7b_bn", "head": "predictions"}
    if path.endswith("/up"):
        stage, block, _ = place(path)
        return f"block{(35, 17, 8)[stage - 1]}_{block - 1}_conv"
    return outside.get(path)


def resnet(path: str, net: Any) -> str:
    outside = {"stem/conv": "conv1_conv", "stem/norm": "conv1_bn", "head": "predictions"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    unit, part = rest.split("/")
    number = 0 if unit == "shortcut" else int(unit.removeprefix("conv"))
    return f"conv{stage + 1}_block{block}_{number}_{PARTS[part]}"


def resnet_v2(path: str, net: Any) -> str:
    outside = {"stem": "conv1_conv", "norm": "post_bn", "head": "predictions"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    local = {
        "norm1": "preact_bn",
        "conv1": "1_conv",
        "norm2": "1_bn",
        "conv2": "2_conv",
        "norm3": "2_bn",
        "conv3": "3_conv",
        "shortcut": "0_conv",
    }
    return f"conv{stage + 1}_block{block}_{local[rest]}"


def densenet(path: str, net: Any) -> str:
    outside = {
        "stem/conv": "conv1_conv",
        "stem/norm": "conv1_bn",
        "norm": "bn",
        "head": "predictions",
    }
    if path in outside:
        return outside[path]
    if path.startswith("transition"):
        number, part = path.removeprefix("transition").split("/")
        return f"pool{int(number) + 1}_{PARTS[part]}"
    stage, block, rest = place(path)
    local = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}
    return f"conv{stage + 1}_block{block}_{local[rest]}"


def mobilenet_v1(path: str, net: Any) -> str:
    outside = {"stem/conv": "conv1", "stem/norm": "conv1_bn", "head": "conv_preds"}
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    unit, part = rest.split("/")
    number = sum(n for _, n, _ in net.rows[: stage - 1]) + block
    kind = {"depthwise": "dw", "pointwise": "pw"}[unit]
    return f"conv_{kind}_{number}{SUFFIXES[part]}"


def mobilenet_v2(path: str, net: Any) -> str:
    outside = {
        "stem/conv": "Conv1",
        "stem/norm": "bn_Conv1",
        "last/conv": "Conv_1",
        "last/norm": "Conv_1_bn",
        "head": "predictions",
    }
    if path in outside:
        return outside[path]
    stage, block, rest = place(path)
    unit, part = rest.split("/")
    number = sum(n for _, _, n, _ in net.rows[: stage - 1]) + block - 1
    name = f"block_{number}" if number else "expanded_conv"
    return f"{name}_{unit}{SUFFIXES[part].upper()}"


def xception(path: str, net: Any) -> str | None:
    if path == "head":
        return "predictions"
    parts = path.split("/")
    suffix = SUFFIXES["norm" if parts[-1] == "norm" else "conv"]
    if not in_stage(path):
        return f"block1_{parts[1]}{suffix}"
    if parts[1] == "shortcut":
        return None
    stage, block, _ = place(path)
    if stage == 3 and block > 1:
        return f"block{2 + len(net.entry) + net.middle[1] + 1}_sepconv{block - 1}{suffix}"
    block += (1, 1 + len(net.entry), 1 + len(net.entry) + net.middle[1])[stage - 1]
    return f"block{block}_sep{parts[1]}{suffix}"


def nasnet(path: str, net: Any) -> str:
    outside = {"stem/conv": "stem_conv1", "stem/norm": "stem_bn1", "head": "predictions"}
    if path in outside:
        return outside[path]
    cell, unit, part = path.split("/", 2)
    number = int(cell[-1])
    kind, cell = (
        "reduction",
        f"stem_{number}" if cell[0] == "s" else f"reduce_{number * net.blocks}",
    )
    if in_stage(path):
        stage, block, _ = place(path)
        kind, cell = "normal", f"{(stage - 1) * net.blocks + (stage > 1) + block - 1}"
    if unit == "current":
        return f"{kind}_{PARTS[part]}_1_{cell}"
    if unit == "previous":
        local = {"conv": "conv_projection", "conv1": "conv_1", "conv2": "conv_2", "norm": "bn"}
        return f"adjust_{local[part]}_{cell}"
    row, side = unit.removeprefix("row").split("_")
    # The fifth row of a reduction cell has the number of the fourth.
    row = "4" if (kind, row, side) == ("reduction", "5", "left") else row
    local = part.split("/")[0].replace("conv", "conv_").replace("norm", "conv_")
    return f"separable_{local}{'_bn' * part.startswith('norm')}_{kind}_{side}{row}_{cell}"


RULES = {
    "densenet": [Rule("keras", "keras", densenet)],
    "inception_resnet_v2": [Rule("keras", "keras", inception_resnet_v2)],
    "inception_v3": [Rule("keras", "keras", inception_v3)],
    "lenet": [Rule("keras", None, in_order, flattens=".*")],
    "mobilenet": [Rule("keras", "keras", mobilenet_v1)],
    "mobilenet_v2": [Rule("keras", "keras", mobilenet_v2)],
    "nasnet": [Rule("keras", "keras", nasnet)],
    "resnet": [Rule("keras", "keras", resnet)],
    "resnet_cifar": [Rule("keras", "keras", in_order)],
    "resnet_v2": [Rule("keras", "keras", resnet_v2)],
    "tutorial": [Rule("keras", None, in_order, flattens=".*")],
    "vgg": [Rule("keras", "keras", vgg, flattens="fc1")],
    "xception": [Rule("keras", "keras", xception)],
}
