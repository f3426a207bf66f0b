"""Parameters and multiply-adds of every variant: the check that a network is the one meant.

    python -m zoolib counts shufflenet_v2

"FLOPs" in the paper are multiply-adds of convolutions and the classifier.
"""

from __future__ import annotations

import dataclasses

from zoolib.models.shufflenet_v2.architecture import WIDTHS, WIRINGS, Architecture, Layer

_KINDS = {"conv": "conv", "pointwise": "conv", "depthwise": "depthwise", "dense": "dense"}


@dataclasses.dataclass(frozen=True)
class Counts:
    """Sizes of one network.

    Attributes:
        trainable: parameters that are trained.
        total: with the moving statistics of batch norm.
        multiply_adds: for one image.
        decayed: parameters that weight decay acts on: kernels but depthwise ones.
        tensors, decayed_tensors, all_tensors: how many there are trained, decayed, and in all.
        by_kind: kind -> (parameters of kernels, multiply-adds); ``conv``, ``depthwise``, ``dense``
            (with its bias), ``norm``.
        by_block: block -> (parameters, multiply-adds).
    """

    trainable: int
    total: int
    multiply_adds: int
    decayed: int
    tensors: int
    decayed_tensors: int
    all_tensors: int
    by_kind: dict[str, tuple[int, int]]
    by_block: dict[str, tuple[int, int]]


def count(architecture: Architecture) -> Counts:
    """Count a network, squeeze and excitation included."""
    layers = [*architecture.layers(), *_excitations(architecture)]
    convolutions = [layer for layer in layers if layer.kind != "dense"]
    norm = sum(2 * layer.outputs for layer in convolutions)
    dense = [layer for layer in layers if layer.kind != "depthwise"]
    kinds = {"conv": (0, 0), "depthwise": (0, 0), "dense": (0, 0), "norm": (norm, 0)}
    blocks: dict[str, tuple[int, int]] = {}
    for layer in layers:
        own = layer.weights + (layer.outputs if layer.bias else 0)
        kind = _KINDS[layer.kind]
        kinds[kind] = _sum(kinds[kind], (own, layer.multiply_adds))
        block = layer.name.split("/")[1] if "/" in layer.name else layer.name
        normed = own + (2 * layer.outputs if layer in convolutions else 0)
        blocks[block] = _sum(blocks.get(block, (0, 0)), (normed, layer.multiply_adds))
    trainable = sum(own for own, _ in kinds.values())
    biases = sum(layer.bias for layer in layers)
    tensors = len(layers) + biases + 2 * len(convolutions)
    return Counts(
        trainable=trainable,
        total=trainable + norm,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        decayed=sum(layer.weights for layer in dense),
        tensors=tensors,
        decayed_tensors=len(dense),
        all_tensors=tensors + 2 * len(convolutions),
        by_kind=kinds,
        by_block=blocks,
    )


def _excitations(architecture: Architecture) -> list[Layer]:
    if not architecture.se:
        return []
    units = [unit for stage in architecture.units() for unit in stage]
    return [
        Layer(f"{unit.name}/{name}", "dense", unit.main, unit.main, bias=True)
        for unit in units
        for name in ("squeeze", "excite")
    ]


def _sum(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] + b[0], a[1] + b[1]


def table(num_classes: int = 1000, image_size: int = 224) -> str:
    """Every width in every wiring, as plain text."""
    rows = [("width", "wiring", "stages", "trainable", "with statistics", "multiply-adds (M)")]
    for width in WIDTHS:
        for wiring in WIRINGS:
            if (width, wiring) == ("0.25", "megvii"):
                continue  # its first unit has no channel left for the main branch
            network = Architecture(width, wiring, num_classes, image_size)
            found = count(network)
            rows.append(
                (
                    width,
                    wiring,
                    "/".join(map(str, network.stages)),
                    f"{found.trainable:,}",
                    f"{found.total:,}",
                    f"{found.multiply_adds / 1e6:.6f}",
                )
            )
    sizes = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(c.ljust(n) if i < 3 else c.rjust(n) for i, (c, n) in enumerate(zip(row, sizes)))
        for row in rows
    ]
    title = f"ShuffleNetV2, {num_classes} classes, {image_size} x {image_size} pixels"
    return "\n".join([title, *lines])
