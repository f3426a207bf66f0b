"""The same network in PyTorch; a process that measures when told to, so that others take turns.

    python benchmarks/yardsticks/shufflenet_torch.py WIDTH BATCH SIZE

Reads lines ``train CALLS`` or ``infer CALLS``, answers each with the seconds of every call as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import nn

REPEATS = (4, 8, 4)
WIDTHS = {"0.5": (48, 1024), "1.0": (116, 1024), "1.5": (176, 1024), "2.0": (224, 2048)}


def conv(
    inputs: int, outputs: int, window: int, stride: int = 1, act: bool = True, groups: int = 1
):
    parts = [
        nn.Conv2d(inputs, outputs, window, stride, window // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, 1e-3, 0.003),
    ]
    return nn.Sequential(*parts, *([nn.ReLU(inplace=True)] if act else []))


def branch(inputs: int, inner: int, outputs: int, stride: int) -> nn.Sequential:
    depthwise = conv(inner, inner, 3, stride, act=False, groups=inner)
    return nn.Sequential(conv(inputs, inner, 1), depthwise, conv(inner, outputs, 1))


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, repeats: int) -> None:
        super().__init__()
        half = outputs // 2
        shortcut = conv(inputs, inputs, 3, 2, act=False, groups=inputs)
        self.shortcut = nn.Sequential(shortcut, conv(inputs, half, 1))
        self.main = branch(inputs, inputs, half, 2)
        self.units = nn.ModuleList(branch(half, half, half, 1) for _ in range(repeats - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, y = self.shortcut(x), self.main(x)
        for unit in self.units:
            n, half, height, width = x.shape
            z = torch.stack([x, y], dim=2).reshape(n, 2 * half, height, width)
            x, y = z.chunk(2, dim=1)
            x = unit(x)
        return torch.cat([x, y], dim=1)


def network(width: str) -> nn.Sequential:
    first, last = WIDTHS[width]
    parts: list[nn.Module] = [conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 24
    for stage, repeats in enumerate(REPEATS):
        parts.append(Stage(inputs, first * 2**stage, repeats))
        inputs = first * 2**stage
    parts += [conv(inputs, last, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 1000)]
    return nn.Sequential(*parts)


def main() -> None:
    width, batch, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # The faster layout on the machines tried; the other is PyTorch's default.
    model = network(width).to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 1000
    decayed = [p for p in model.parameters() if p.dim() > 1 and p.shape[1:] != (1, 3, 3)]
    others = [p for p in model.parameters() if not (p.dim() > 1 and p.shape[1:] != (1, 3, 3))]
    groups = [{"params": decayed, "weight_decay": 4e-5}, {"params": others}]
    optimizer = torch.optim.SGD(groups, 1e-3, 0.9, nesterov=True)
    loss = nn.CrossEntropyLoss()

    def train() -> None:
        optimizer.zero_grad()
        loss(model(2 * images - 1), labels).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            model(2 * images - 1)

    for line in sys.stdin:
        kind, calls = line.split()
        model.train(kind == "train")
        seconds = []
        for _ in range(int(calls)):
            began = time.perf_counter()
            (train if kind == "train" else infer)()
            seconds.append(time.perf_counter() - began)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
