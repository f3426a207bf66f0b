"""The residual network that sees: ResNet-12 of TADAM and AM3 (spec 1.2).

Pixels go in as they are, 0 to 255; the first batch normalisation takes their scale out. Support
and query images are parts of a batch: one convolution for all, each part normalised by its own
statistics, and the running statistics moved once by each part, in their order.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Conv2D, Maker, Normalised
from zoolib.nn.pool import global_mean, max_pool

Film = list[tuple[tf.Tensor, tf.Tensor]]


def swish(x: tf.Tensor) -> tf.Tensor:
    """x sigmoid(x)."""
    return x * tf.sigmoid(x)


ACTIVATIONS = {"swish-1": swish, "relu": tf.nn.relu, "selu": tf.nn.selu}


@dataclasses.dataclass(frozen=True)
class Parts:
    """How a batch is put together: part after part, in each the images of task after task.

    Attributes:
        tasks: T.
        each: images per task, for each part.
    """

    tasks: int
    each: tuple[int, ...]

    @property
    def sizes(self) -> list[int]:
        """Images of each part."""
        return [self.tasks * count for count in self.each]

    def spread(self, values: tf.Tensor) -> tf.Tensor:
        """A row per task [T, F] brought to the images of that task, [images, 1, 1, F]."""
        width = values.shape[-1]
        spread = []
        for count, size in zip(self.each, self.sizes):
            rows = tf.broadcast_to(values[:, None], [self.tasks, count, width])
            spread.append(tf.reshape(rows, [size, 1, 1, width]))
        return spread[0] if len(spread) == 1 else tf.concat(spread, axis=0)


def normalised(layer: Normalised, x: tf.Tensor, parts: Parts, training: bool) -> tf.Tensor:
    """A layer over the whole batch, then batch normalisation of each part on its own."""
    y = layer.layer(x)
    if not training or len(parts.sizes) == 1:
        return layer.norm(y, training)
    split = tf.split(y, parts.sizes)
    return tf.concat([layer.norm(part, training) for part in split], axis=0)


class Block(tf.Module):
    """A residual block: a projected shortcut beside convolutions, of which the last is linear."""

    def __init__(self, make: Maker, number: int, inputs: int, outputs: int, config: Any) -> None:
        super().__init__()
        self.pooled = number < config.pools
        self._activation = ACTIVATIONS[config.activation]
        momentum = config.bn_momentum

        def unit(name: str, window: int, inputs: int) -> Normalised:
            norm = BatchNorm(outputs, momentum, name=make.path(f"{name}/batch_norm"))
            return Normalised(Conv2D(make, name, inputs, outputs, window), norm)

        self.shortcut = unit(f"shortcut{number}", 1, inputs)
        self.units = [
            unit(f"conv{number}_{j}", 3, outputs if j else inputs) for j in range(config.units)
        ]

    def __call__(self, x: tf.Tensor, parts: Parts, training: bool, film: Film) -> tf.Tensor:
        """[N, H, W, inputs] -> [N, H', W', outputs]; ``film``: (gamma, beta) of each unit."""
        s = normalised(self.shortcut, x, parts, training)
        h = x
        for j, unit in enumerate(self.units):
            h = normalised(unit, h, parts, training)
            if film:
                gamma, beta = film[j]
                h = (1.0 + parts.spread(gamma)) * h + parts.spread(beta)
            if j + 1 < len(self.units):
                h = self._activation(h)
        h = self._activation(h + s)
        return max_pool(h, padding="SAME") if self.pooled else h


class Backbone(tf.Module):
    """Images to features.

    Args:
        make: names, initial values and products.
        config: sizes (:class:`~zoolib.models.am3.config.AM3Config`).
    """

    def __init__(self, make: Maker, config: Any) -> None:
        super().__init__()
        widths = (3, *config.widths)
        self.blocks = [
            Block(make, i, widths[i], widths[i + 1], config) for i in range(config.blocks)
        ]
        self.units_per_block, self.width = config.units, widths[-1]

    def __call__(
        self, images: tf.Tensor, parts: Parts, training: bool, film: Film | None = None
    ) -> tf.Tensor:
        """Features [N, D] of images [N, H, W, 3], uint8 or float, 0 to 255.

        Args:
            parts: what is normalised together in training.
            training: by a part's own statistics, which move the running ones.
            film: (gamma, beta), each [T, channels], for every unit; None leaves it out.
        """
        return global_mean(self.maps(images, parts, training, film)[-1])

    def maps(
        self, images: tf.Tensor, parts: Parts, training: bool, film: Film | None = None
    ) -> list[tf.Tensor]:
        """What each block gives, [N, H, W, channels]; arguments as for a call."""
        h, found, per = tf.cast(images, tf.float32), [], self.units_per_block
        for i, block in enumerate(self.blocks):
            h = block(h, parts, training, film[i * per : (i + 1) * per] if film else [])
            found.append(h)
        return found
