"""Layers and units of ShuffleNetV2 (Ma et al. 2018, figure 3 c and d), and the channel shuffle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2.architecture import Layer, Unit
from zoolib.models.shufflenet_v2.routes import Pieces, routes
from zoolib.models.shufflenet_v2.wirings import Wiring, bias_initial, initial
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Maker, padded

Pair = tuple[tf.Tensor, tf.Tensor]


def channel_shuffle(x: tf.Tensor) -> tf.Tensor:
    """Interleave the two halves of the channels: [a0 .. am b0 .. bm] -> [a0 b0 a1 b1 .. am bm].

    A transpose of three dimensions: on CPUs several times faster than a gather or strided slices,
    and exporters know it, unlike that of five dimensions.
    """
    return _transposed(x, 2)


def deinterleave(x: tf.Tensor) -> tf.Tensor:
    """The inverse of :func:`channel_shuffle`: even channels first, then the odd ones."""
    return _transposed(x, x.shape[-1] // 2)


def _transposed(x: tf.Tensor, rows: int) -> tf.Tensor:
    shape = [-1, *x.shape[1:]]
    return tf.reshape(_swapped(tf.reshape(x, [-1, rows, x.shape[-1] // rows])), shape)


@tf.custom_gradient
def _swapped(x: tf.Tensor) -> tuple:
    """The last two of three axes exchanged; TensorFlow's own gradient inverts the order on the
    device, with an operator that NPUs do not have.
    """
    return tf.transpose(x, [0, 2, 1]), lambda dy: tf.transpose(dy, [0, 2, 1])


def reordered(x: tf.Tensor, places: np.ndarray, axis: int) -> tf.Tensor:
    """What stands at ``places``, all of them once, in that order; so is the gradient."""
    back = np.argsort(places).astype(np.int32)

    @tf.custom_gradient
    def moved(x: tf.Tensor) -> tuple:
        gathered = tf.gather(x, places.astype(np.int32), axis=axis)
        return gathered, lambda dy: tf.gather(dy, back, axis=axis)

    return moved(x)


class ConvNorm(tf.Module):
    """Convolution, batch norm and, where asked for, ReLU.

    Args:
        make: names, initial values and products.
        layer: its sizes.
        wiring: its constants.
        init: see `wirings.initial`.
    """

    def __init__(self, make: Maker, layer: Layer, wiring: Wiring, init: str) -> None:
        super().__init__()
        self.layer, self.padding, self._session = layer, wiring.padding, make.session
        here = make.within(layer.name)
        start, window = initial(layer, wiring.name, init), layer.window
        if layer.kind == "depthwise":
            shape = (window, window, layer.inputs, 1)
            self.kernel = here.variable("depthwise_weights", shape, start)
        else:
            shape = (window, window, layer.inputs, layer.outputs)
            self.kernel = here.variable("weights", shape, start)
        self.norm = BatchNorm(
            layer.outputs,
            wiring.momentum,
            wiring.epsilon,
            beta=wiring.beta,
            pieces_under_xla=make.session.pieces_under_xla,
            name=f"{here.scope}/batch_norm",
        )

    def __call__(
        self,
        x: tf.Tensor,
        training: bool,
        act: bool = True,
        rows: np.ndarray | None = None,
    ) -> tf.Tensor:
        """[N, H, W, inputs] -> [N, H', W', outputs].

        Args:
            rows: in training of a 1 x 1 convolution, the kernel's row for each of the channels,
                where they do not come in the kernel's own order.
        """
        if training:
            return self.norm(self.convolved(x, rows), True, relu=act)
        # One pass over the images less: the running statistics go into the kernel.
        norm = self.norm
        gain = norm.gamma * tf.math.rsqrt(norm.moving_variance + norm.epsilon)
        along = tf.reshape(gain, [-1, 1]) if self.layer.kind == "depthwise" else gain
        y = self._convolution(x, self.kernel * along)
        y = tf.nn.bias_add(y, norm.beta - norm.moving_mean * gain)
        return tf.nn.relu(y) if act else y

    def convolved(self, x: tf.Tensor, rows: np.ndarray | None = None) -> tf.Tensor:
        """The convolution alone, as training does it; ``rows`` as for a call.

        A 1 x 1 convolution is a matrix product: on CPUs that has the faster gradient.
        """
        layer = self.layer
        if layer.kind != "pointwise":
            return self._convolution(x, self.kernel)
        kernel = tf.reshape(self.kernel, [layer.inputs, layer.outputs])
        kernel = kernel if rows is None else reordered(kernel, rows, 0)
        y = self._session.matmul(tf.reshape(x, [-1, layer.inputs]), kernel)
        return tf.reshape(y, [-1, *x.shape[1:3], layer.outputs])

    def _convolution(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        layer = self.layer
        margin = "SAME" if layer.kind == "pointwise" else self.padding
        x, padding = padded(x, layer.window, layer.stride, margin)
        if layer.kind == "depthwise":
            strides = [1, layer.stride, layer.stride, 1]
            return self._session.depthwise_conv2d(x, kernel, strides=strides, padding=padding)
        return self._session.conv2d(x, kernel, strides=layer.stride, padding=padding)


class Linear(tf.Module):
    """x W + b with the names of the reference's checkpoints, ``weights`` and ``biases``."""

    def __init__(self, make: Maker, layer: Layer, wiring: Wiring, init: str) -> None:
        super().__init__()
        here, self.layer, self._matmul = make.within(layer.name), layer, make.session.matmul
        shape, start = (layer.inputs, layer.outputs), initial(layer, wiring.name, init)
        self.kernel = here.variable("weights", shape, start)
        self.bias = None
        if layer.bias:
            start = bias_initial(layer, wiring.name, init)
            self.bias = here.variable("biases", (layer.outputs,), start)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, inputs] -> [N, outputs]."""
        y = self._matmul(x, self.kernel)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class Excitation(tf.Module):
    """Squeeze and excitation (Hu et al. 2018): channels weighted by what all places hold.

    The hidden layer is as wide as the branch, half the block (Ma et al. 2018, appendix).
    """

    def __init__(self, make: Maker, unit: Unit, wiring: Wiring) -> None:
        super().__init__()
        sizes = (unit.main, unit.main)
        self.squeeze, self.excite = (
            Linear(make, Layer(f"{unit.name}/{name}", "dense", *sizes, bias=True), wiring, "xavier")
            for name in ("squeeze", "excite")
        )

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, H, W, C], each channel times its weight in (0, 1)."""
        hidden = tf.nn.relu(self.squeeze(tf.reduce_mean(x, [1, 2])))
        weight = tf.sigmoid(self.excite(hidden))
        return x * tf.reshape(weight, [-1, 1, 1, x.shape[-1]])


class ShuffleUnit(tf.Module):
    """One unit: its processed branch and, at stride 2, its shortcut.

    Args:
        make, unit, wiring, init: as for :class:`ConvNorm`.
        se, residual: see :class:`~zoolib.models.shufflenet_v2.architecture.Architecture`.
    """

    def __init__(
        self, make: Maker, unit: Unit, wiring: Wiring, init: str, se: bool, residual: bool
    ) -> None:
        super().__init__()
        self.unit = unit
        self.layers = [ConvNorm(make, layer, wiring, init) for layer in unit.layers]
        self.excitation = Excitation(make, unit, wiring) if se else None
        self.residual = residual and unit.stride == 1

    def main(self, x: tf.Tensor, training: bool, rows: np.ndarray | None = None) -> tf.Tensor:
        """The processed branch: 1 x 1, depthwise without activation, 1 x 1.

        Args:
            rows: where the channels of ``x`` do not come in their own order, which they are.
        """
        before, depthwise, after = self.layers[:3]
        y = depthwise(before(x, training, rows=rows), training, act=False)
        y = after(y, training, act=not self.residual)
        if self.excitation is not None:
            y = self.excitation(y)
        return tf.nn.relu(x + y) if self.residual else y

    def shortcut(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """The other branch at stride 2: depthwise without activation, 1 x 1."""
        depthwise, after = self.layers[3:]
        return after(depthwise(x, training, act=False), training)


class Stage(tf.Module):
    """Units in a row. Between units two halves are passed on, so that the concatenation of one
    unit, the shuffle and the split of the next are one operation (section 3, last paragraph).

    Training goes without shuffles where that can be (see `routes`): each branch's output is cut
    into one piece per reader, the reader joins its pieces, and its kernel's rows come in the order
    of the join. That moves a third of the memory, forward and backward.
    """

    def __init__(self, units: list[ShuffleUnit], wiring: Wiring) -> None:
        super().__init__()
        self.units, self.wiring = units, wiring
        branches, self._places = routes(tuple(u.unit for u in units), wiring)
        self._cuts = [branch.as_trained() for branch in branches]
        self._rows = [branch.rows for branch in branches]
        # A residual adds its input in the input's order; even and odd channels are no pieces.
        self.routed = None not in self._cuts and not any(u.residual for u in units)

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """[N, H, W, C] -> [N, H / 2, W / 2, C']."""
        if training and self.routed:
            return self._without_shuffles(x)
        first, *others = self.units
        halves: Pair = (first.shortcut(x, training), first.main(x, training))
        for unit in others:
            one, two = self.mixed(halves)
            if self.wiring.processed == 0:
                halves = (unit.main(one, training), two)
            else:
                halves = (one, unit.main(two, training))
        whole = tf.concat(halves, axis=-1)
        return channel_shuffle(whole) if self.wiring.shuffled_end else whole

    def _without_shuffles(self, x: tf.Tensor) -> tf.Tensor:
        made = [
            cut(self.units[0].shortcut(x, True), self._cuts[0]),
            cut(self.units[0].main(x, True), self._cuts[1]),
        ]
        for unit, pieces, rows in zip(self.units[1:], self._cuts[2:], self._rows[2:]):
            made.append(cut(unit.main(joined(made, len(made)), True, rows), pieces))
        return reordered(joined(made, len(made)), np.argsort(self._places), -1)

    def mixed(self, halves: Pair) -> Pair:
        """Concatenate, shuffle, split."""
        whole = tf.concat(halves, axis=-1)
        mix = deinterleave if self.wiring.deinterleave else channel_shuffle
        return tuple(tf.split(mix(whole), 2, axis=-1))


def cut(y: tf.Tensor, pieces: Pieces) -> dict[int, tf.Tensor]:
    """A branch's output as pieces by their reader."""
    sizes = [size for _, size in pieces]
    parts = tf.split(y, sizes, axis=-1) if len(sizes) > 1 else [y]
    return dict(zip((reader for reader, _ in pieces), parts))


def joined(made: Sequence[dict[int, tf.Tensor]], reader: int) -> tf.Tensor:
    """What a reader reads."""
    pieces = [pieces[reader] for pieces in made if reader in pieces]
    return tf.concat(pieces, axis=-1) if len(pieces) > 1 else pieces[0]
