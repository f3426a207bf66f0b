"""ShuffleNetV2 (Ma, Zhang, Zheng and Sun, ECCV 2018): the network and its builder.

Names of variables are those of the reference's checkpoints. Deviations: see `architecture` for the
three wirings; what each of them fixes beside (constants, padding, scale of the input) is in
`wirings`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.models.shufflenet_v2.architecture import STAGES, Architecture
from zoolib.models.shufflenet_v2.units import ConvNorm, Linear, ShuffleUnit, Stage
from zoolib.models.shufflenet_v2.wirings import WIRING, normalised
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Maker
from zoolib.nn.pool import global_mean, max_pool
from zoolib.runtime.device import Session, current, open_session

BLOCKS = ("Conv1", *STAGES, "Conv5")


class ShuffleNetV2(tf.Module):
    """The network.

    Args:
        architecture: which one.
        session: multiplies, at the run's precision.
        seed: of the initial values.
        init: ``wiring``, ``xavier`` or ``he_uniform``; see `wirings.initial`.
        frozen: how many of BLOCKS stay as they are, statistics of batch norm included.
    """

    def __init__(
        self,
        architecture: Architecture,
        session: Session,
        seed: int = 0,
        init: str = "wiring",
        frozen: int = 0,
    ) -> None:
        super().__init__()
        self.architecture, self.frozen = architecture, frozen
        self.wiring = wiring = WIRING[architecture.wiring]
        make = Maker(session, lambda name: generator(seed, f"shufflenet_v2/{name}"))
        layers = {layer.name.rpartition("/")[2]: layer for layer in architecture.layers()}
        self.stem = ConvNorm(make, layers["Conv1"], wiring, init)
        self.stages = []
        for units in architecture.units():
            options = (wiring, init, architecture.se, architecture.residual)
            parts = [ShuffleUnit(make, u, *options) for u in units]
            self.stages.append(Stage(parts, wiring))
        self.last = ConvNorm(make, layers["Conv5"], wiring, init)
        self.classifier = None
        if architecture.num_classes:
            self.classifier = Linear(make, layers["classifier"], wiring, init)

    def __call__(
        self, images: tf.Tensor, training: bool = False, keep: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Logits [N, num_classes] of RGB images [N, H, W, 3] in [0, 1].

        Without a classifier (``num_classes=0``) the mean of the last features, [N, channels].

        Args:
            images: float32; their size has to be static.
            training: normalise by the batch's statistics, and move the running ones.
            keep: dropout's factors before the classifier, [N, channels]; None for none.

        Raises:
            ValueError: for images of another shape.
        """
        features = global_mean(self.features(images, training)[-1])
        if keep is not None:
            features = features * keep
        return features if self.classifier is None else self.classifier(features)

    def features(self, images: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Feature maps after each of BLOCKS, at strides 2, 8, 16, 32 and 32."""
        if len(images.shape) != 4 or images.shape[3] != 3 or None in images.shape[1:3]:
            raise ValueError(
                f"images: expected [N, height, width, 3] of static size, got {images.shape}"
            )

        def trains(block: int) -> bool:
            return training and block >= self.frozen

        x = self.stem(normalised(images, self.wiring.name), trains(0))
        found = [x]
        x = max_pool(x, 3, 2, self.wiring.padding)
        for block, stage in enumerate(self.stages, 1):
            x = stage(x, trains(block))
            found.append(x)
        return [*found, self.last(x, trains(4))]

    def keras_layers(self, layers: Any) -> tuple[Any, Any]:
        """For :func:`zoolib.to_keras`: inputs and outputs in Keras's layers."""
        from zoolib.models.shufflenet_v2.layered import composed

        return composed(self, layers)

    @property
    def convolutions(self) -> list[ConvNorm]:
        """Every convolution with its batch norm, in the order of creation."""
        inside = [c for stage in self.stages for unit in stage.units for c in unit.layers]
        return [self.stem, *inside, self.last]

    @property
    def trained_norms(self) -> list[BatchNorm]:
        """Batch norms outside the frozen blocks."""
        trained = {id(v) for v in self.trained}
        return [c.norm for c in self.convolutions if id(c.norm.gamma) in trained]

    @property
    def trained(self) -> list[tf.Variable]:
        """Trainable variables outside the frozen blocks."""
        parts = [self.stem, *self.stages, self.last][: self.frozen]
        still = {id(v) for part in parts for v in part.trainable_variables}
        return [v for v in self.trainable_variables if id(v) not in still]

    @property
    def decayed(self) -> list[tf.Variable]:
        """What weight decay acts on: kernels but depthwise ones (38 tensors without SE)."""
        decay = [c.kernel for c in self.convolutions if c.layer.kind != "depthwise"]
        decay += [part.kernel for part in self.submodules if isinstance(part, Linear)]
        trained = {id(v) for v in self.trained}
        return [v for v in decay if id(v) in trained]


def weight_order(model: ShuffleNetV2) -> list[tf.Variable]:
    """A model's variables in the specification's order.

    For each convolution in the order of creation kernel, gamma, beta, moving mean and moving
    variance; then the classifier's kernel and bias. Squeeze and excitation is not in the order.
    """
    ordered = []
    for c in model.convolutions:
        ordered += [c.kernel, c.norm.gamma, c.norm.beta, c.norm.moving_mean, c.norm.moving_variance]
    head = model.classifier
    if head is not None:
        ordered += [head.kernel, *([head.bias] if head.bias is not None else [])]
    return ordered


def build(
    width: str = "1.0",
    wiring: str = "reference",
    num_classes: int = 1000,
    image_size: int = 224,
    seed: int = 0,
    **options: Any,
) -> ShuffleNetV2:
    """A network outside a run: ``model(images, training=False)``, RGB in [0, 1] in, logits out.

    Args:
        width: "0.25" to "2.0".
        wiring: "torchvision", "reference" or "megvii".
        num_classes: 0 for features only.
        image_size: height and width the counts are meant for; other sizes work, too.
        seed: of the initial values.
        options: ``se``, ``residual``, ``channels`` of the architecture; ``init``, ``frozen``.

    Raises:
        ConfigError: for unknown names and values out of range.
    """
    own = {k: options.pop(k) for k in ("init", "frozen") if k in options}
    architecture = Architecture(width, wiring, num_classes, image_size, **options)
    session = current() or open_session("auto")
    with session.placement():
        return ShuffleNetV2(architecture, session, seed, **own)
