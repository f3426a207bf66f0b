"""The network said in layers of another library (`zoolib.core.keras`), weights along with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2.architecture import ROOT
from zoolib.models.shufflenet_v2.folding import values_of
from zoolib.models.shufflenet_v2.network import ShuffleNetV2
from zoolib.models.shufflenet_v2.units import ConvNorm, ShuffleUnit
from zoolib.models.shufflenet_v2.wirings import normalised


def composed(network: ShuffleNetV2, layers: Any) -> tuple[Any, Any]:
    """Inputs and outputs of the network in layers.

    Args:
        network: its weights are read here, once.
        layers: offers `conv`, `depthwise`, `batch_norm`, …; a `zoolib.core.keras.Layers`.
    """
    return _Composer(network, layers).run()


class _Composer:
    """One network and the layers it is said in."""

    def __init__(self, network: ShuffleNetV2, layers: Any) -> None:
        self.network, self.layers = network, layers
        self.values = values_of(network)

    def run(self) -> tuple[Any, Any]:
        """RGB images [N, size, size, 3] in [0, 1]; logits, or features without a classifier."""
        network, layers, wiring = self.network, self.layers, self.network.wiring
        size = network.architecture.image_size
        images = x = layers.input((size, size, 3))
        x = self.conv_norm(self.normalised(x), network.stem)
        x = layers.max_pool(x, 3, 2, wiring.padding)
        for stage in network.stages:
            x = self.stage(x, stage)
        x = layers.mean(self.conv_norm(x, network.last))
        if network.classifier is not None:
            x = self.linear(x, network.classifier)
        return images, x

    def normalised(self, x: Any) -> Any:
        """The wiring's own scale and order of colours, read off `wirings.normalised`."""
        probes = np.concatenate([np.zeros((1, 3)), np.ones((1, 3)), np.eye(3)])
        probes = tf.constant(probes[:, None, None], tf.float32)
        offset, full, red, *_ = normalised(probes, self.network.wiring.name).numpy()[:, 0, 0]
        if (red - offset).argmax() != 0:  # BGR
            x = self.layers.concat(self.layers.split(x, 3)[::-1])
        return self.layers.scaled(x, full - offset, offset)

    def stage(self, x: Any, stage: Any) -> Any:
        """Units in a row with the wiring's shuffles between them."""
        layers, wiring = self.layers, self.network.wiring
        first, *others = stage.units
        halves = [self.shortcut(x, first), self.main(x, first)]
        for unit in others:
            whole = layers.concat(halves)
            rows = whole.shape[-1] // 2 if wiring.deinterleave else 2
            halves = layers.split(layers.transposed_channels(whole, rows), 2)
            halves[wiring.processed] = self.main(halves[wiring.processed], unit)
        whole = layers.concat(halves)
        return layers.transposed_channels(whole, 2) if wiring.shuffled_end else whole

    def main(self, x: Any, unit: ShuffleUnit) -> Any:
        """The processed branch; see `units.ShuffleUnit`."""
        before, depthwise, after = unit.layers[:3]
        y = self.conv_norm(self.conv_norm(x, before), depthwise, act=False)
        y = self.conv_norm(y, after, act=not unit.residual)
        if unit.excitation is not None:
            hidden = self.linear(self.layers.mean(y), unit.excitation.squeeze)
            weight = self.linear(self.layers.relu(hidden), unit.excitation.excite)
            y = self.layers.weighted(y, self.layers.sigmoid(weight))
        return self.layers.relu(self.layers.add(x, y)) if unit.residual else y

    def shortcut(self, x: Any, unit: ShuffleUnit) -> Any:
        """The other branch at stride 2."""
        depthwise, after = unit.layers[3:]
        return self.conv_norm(self.conv_norm(x, depthwise, act=False), after)

    def conv_norm(self, x: Any, part: ConvNorm, act: bool = True) -> Any:
        """Convolution, batch norm and perhaps ReLU."""
        layer, name, wiring = part.layer, _name(part.layer.name), self.network.wiring
        depthwise = layer.kind == "depthwise"
        kernel = self.value(layer.name, "depthwise_weights" if depthwise else "weights")
        add = self.layers.depthwise if depthwise else self.layers.conv
        margin = "SAME" if layer.kind == "pointwise" else wiring.padding
        x = add(x, name, kernel, layer.stride, margin)
        kinds = ("gamma", "beta", "moving_mean", "moving_variance")
        values = [self.value(f"{layer.name}/batch_norm", kind) for kind in kinds]
        x = self.layers.batch_norm(x, f"{name}_batch_norm", part.norm, values)
        return self.layers.relu(x) if act else x

    def linear(self, x: Any, part: Any) -> Any:
        """x W + b."""
        path = part.layer.name
        bias = None if part.bias is None else self.value(path, "biases")
        return self.layers.dense(x, _name(path), self.value(path, "weights"), bias)

    def value(self, path: str, kind: str) -> np.ndarray:
        """A variable by its name."""
        return self.values[f"{path}/{kind}"]


def _name(path: str) -> str:
    """A layer's name in Keras, which takes no slash: ``Stage2_unit_1_depthwise``."""
    return path.replace(f"{ROOT}/", "").replace("/", "_")
