"""What names say: word vectors to prototypes (g) and to the share of the picture (h), spec 1.3.

Every layer is normalised by batch statistics, the last one before the sigmoid, too, and has no
bias. So the shares start around a half with visible spread.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.models.am3.backbone import ACTIVATIONS
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Dense, Maker, Normalised


class Perceptron(tf.Module):
    """One or two dense layers, each with batch normalisation, dropout between them.

    Args:
        make: names, initial values and products.
        name: of the first layer; the second has ``_1`` after it.
        sizes: inputs, hidden units, outputs.
        linear: one layer only, inputs to outputs.
        config: activation and momentum.
    """

    def __init__(
        self, make: Maker, name: str, sizes: tuple[int, int, int], linear: bool, config: Any
    ) -> None:
        super().__init__()
        chain = (sizes[0], sizes[2]) if linear else sizes
        self._activation = ACTIVATIONS[config.activation_mlp]

        def layer(place: int) -> Normalised:
            path = name if not place else f"{name}_{place}"
            norm = BatchNorm(
                chain[place + 1], config.bn_momentum, name=make.path(f"{path}/batch_norm")
            )
            return Normalised(Dense(make, path, chain[place], chain[place + 1], bias=False), norm)

        self.layers = [layer(place) for place in range(len(chain) - 1)]

    @property
    def kernels(self) -> list[tf.Variable]:
        """What weight decay acts on."""
        return [layer.layer.kernel for layer in self.layers]

    def __call__(self, x: tf.Tensor, training: bool, keep: tf.Tensor | None = None) -> tf.Tensor:
        """[..., inputs] -> [..., outputs]; ``keep``: factors 0 or 1 / (1 - p) of hidden units."""
        h = tf.reshape(x, [-1, x.shape[-1]])
        for place, layer in enumerate(self.layers):
            h = layer(h, training)
            if place + 1 < len(self.layers):
                h = self._activation(h)
                h = h if keep is None else h * keep
        return tf.reshape(h, [*x.shape[:-1], h.shape[-1]])


def query_dependent(config: Any) -> bool:
    """Whether the share differs from query to query."""
    return config.att_input.startswith("query")


def attention_width(config: Any, words: int) -> int:
    """Inputs of h; ``words``: width of the word vectors."""
    width = config.widths[-1]
    two = config.att_input in ("combined", "queryword", "queryproto")
    return words if config.att_input == "word_original" else width * (2 if two else 1)


def attention_input(kind: str, e: tf.Tensor, w: tf.Tensor, p: tf.Tensor, f: tf.Tensor) -> tf.Tensor:
    """What h sees: [T, C, inputs], or [T, Q, C, inputs] where queries take part.

    Args:
        kind: ``att_input``.
        e: word vectors [T, C, E]; w: word prototypes; p: visual ones [T, C, D]; f: queries
            [T, Q, D].
    """
    if kind in ("word", "proto", "word_original"):
        return {"word": w, "proto": p, "word_original": e}[kind]
    if kind == "combined":
        return tf.concat([p, w], axis=-1)
    own = w if kind == "queryword" else p
    shape = [f.shape[0], f.shape[1], own.shape[1], own.shape[2]]
    return tf.concat(
        [tf.broadcast_to(own[:, None], shape), tf.broadcast_to(f[:, :, None], shape)], axis=-1
    )
