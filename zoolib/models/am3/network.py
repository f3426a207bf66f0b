"""The four few-shot learners as one network: ProtoNet++ and TADAM, each with or without words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.models.am3.backbone import Backbone, Film, Parts
from zoolib.models.am3.conditioning import TaskConditioning
from zoolib.models.am3.config import AM3Config
from zoolib.models.am3.metric import distances, mixed, polynomial, prototypes
from zoolib.models.am3.semantic import Perceptron, attention_input, attention_width
from zoolib.nn.batch_norm import BatchNorm, batch_norms
from zoolib.nn.layers import Conv2D, Dense, Maker
from zoolib.nn.variance_scaling import constant, glorot_uniform, variance_scaling
from zoolib.runtime.device import Session, current, open_session

WORDS = 300  # numbers of a published word vector


class Words(NamedTuple):
    """What is known of the names of T tasks' classes.

    Attributes:
        vectors: [T, C, E]; anything where unknown.
        known: 1 or 0, [T, C]; of a class without a known name only pictures count.
        seen: 1 or 0, [T, C]; of a class without pictures only the name counts. None: all have some.
    """

    vectors: tf.Tensor
    known: tf.Tensor
    seen: tf.Tensor | None = None

    def decide(self, share: tf.Tensor) -> tf.Tensor:
        """The share of the picture where there is a choice, [T, C] or [T, Q, C]; else 1 or 0."""
        for mask, value in ((self.known, 1.0), (self.seen, 0.0)):
            if mask is not None:
                mask = mask[:, None] if len(share.shape) == 3 else mask
                share = tf.where(mask > 0.0, share, tf.fill(share.shape, value))
        return share


class Judgement(NamedTuple):
    """Attributes: logits [T, Q, C]; share of the picture, [T, C] or [T, Q, C]."""

    logits: tf.Tensor
    share: tf.Tensor


class FewShotNet(tf.Module):
    """Backbone, semantic branch, task conditioning, auxiliary head: what a variant has of them.

    Args:
        config: an :class:`~zoolib.models.am3.config.AM3Config`.
        session: the open device.
        words: length of the word vectors.
        aux_classes: outputs of the auxiliary head; 0 for none.
    """

    def __init__(
        self, config: AM3Config, session: Session, words: int = WORDS, aux_classes: int = 0
    ) -> None:
        super().__init__(name="am3")
        self.config = config
        initial = variance_scaling(2.0 * config.init_factor, "fan_out")
        make = Maker(session, lambda name: generator(config.seed, f"am3/{name}"), initial)
        self.encoder = Backbone(make.within("encoder"), config)
        width = self.encoder.width
        self.g = self.h = self.ten = self.aux = None
        if config.semantic and config.mixing != "visual":
            inside = make.within("class_encoder")
            sizes = (words, config.hidden, width)
            self.g = Perceptron(inside, "mlp_layer", sizes, config.mlp_type == "linear", config)
            if config.mixing == "adaptive":
                sizes = (attention_width(config, words), config.hidden, 1)
                linear = config.att_type == "linear"
                self.h = Perceptron(inside, "self_att_layer", sizes, linear, config)
        self.metric: list[tf.Variable] = []
        if config.conditioned:
            self.ten = TaskConditioning(make.within("conditioning"), config)
            self.metric = _metric(make.within("metric"), config)
            if aux_classes:
                self.aux = Dense(
                    make, "pretrain_logits", width, aux_classes, initial=glorot_uniform
                )

    def features(
        self, images: tf.Tensor, parts: Parts, training: bool, film: Film | None = None
    ) -> tf.Tensor:
        """[N, H, W, 3] -> [N, D]; see :class:`~zoolib.models.am3.backbone.Backbone`."""
        return self.encoder(images, parts, training, film)

    def film(self, features: tf.Tensor, ways: int) -> Film:
        """Shifts and scales from unconditioned support features [T, C K, D]."""
        tau = tf.reduce_mean(prototypes(features, ways), axis=1)
        return self.ten(tau)

    def embedded(
        self,
        support: tf.Tensor,
        query: tf.Tensor,
        ways: int,
        training: bool,
        conditioned: bool = True,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Support and query features, [T, C K, D] and [T, Q, D].

        One pass over both, each normalised as a batch of its own in training. With task
        conditioning a pass over the support comes before, whose prototypes make the condition.

        Args:
            support: [T, C K, H, W, 3]; query: [T, Q, H, W, 3].
            conditioned: False leaves task conditioning out.
        """
        tasks, picture = query.shape[0], query.shape[2:]
        counts = (support.shape[1], query.shape[1])
        rows = [tf.reshape(x, [tasks * n, *picture]) for x, n in zip((support, query), counts)]
        film = None
        if self.ten is not None and conditioned and counts[0]:
            plain = self.features(rows[0], Parts(tasks, counts[:1]), training)
            film = self.film(tf.reshape(plain, [tasks, counts[0], self.encoder.width]), ways)
        parts = Parts(tasks, counts) if counts[0] else Parts(tasks, counts[1:])
        both = self.features(tf.concat(rows, axis=0), parts, training, film)
        split = tf.split(both, [tasks * n for n in counts])
        width = self.encoder.width
        return tuple(tf.reshape(f, [tasks, n, width]) for f, n in zip(split, counts))

    def judge(
        self,
        support: tf.Tensor,
        query: tf.Tensor,
        ways: int,
        words: Words | None,
        training: bool,
        keep: tuple = (None, None),
    ) -> Judgement:
        """Logits of queries from features, and the share of the picture in each prototype.

        Args:
            support: [T, C K, D]; K may be 0, then words alone speak.
            query: [T, Q, D].
            keep: dropout factors in g and h.
        """
        tasks, shots = query.shape[0], support.shape[1] // ways
        p = prototypes(support, ways) if shots else None
        if self.g is None or words is None:
            return Judgement(self._logits(query, p), tf.ones([tasks, ways]))
        w = self.g(words.vectors, training, keep[0])
        if p is None:
            return Judgement(self._logits(query, w), tf.zeros([tasks, ways]))
        share = words.decide(self._share(words, w, p, query, training, keep[1]))
        return Judgement(self._logits(query, mixed(share[..., None], p, w)), share)

    def _share(
        self,
        words: Words,
        w: tf.Tensor,
        p: tf.Tensor,
        f: tf.Tensor,
        training: bool,
        keep: tf.Tensor | None,
    ) -> tf.Tensor:
        """lambda: [T, C], or [T, Q, C] where queries take part."""
        if self.h is None:
            value = 0.0 if self.config.mixing == "words" else self.config.fixed_lambda
            return tf.fill([w.shape[0], w.shape[1]], value)
        x = attention_input(self.config.att_input, words.vectors, w, p, f)
        return tf.sigmoid(tf.squeeze(self.h(x, training, keep), axis=-1))

    def _logits(self, query: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
        return polynomial(distances(query, centres), self.metric)

    def auxiliary(self, images: tf.Tensor) -> tf.Tensor:
        """Logits [N, classes] of the auxiliary task, in training."""
        return self.aux(self.features(images, Parts(1, (images.shape[0],)), True))

    # ---- what is trained, and what is penalised

    @property
    def encoder_kernels(self) -> list[tf.Variable]:
        """Convolution kernels, in order."""
        return [part.kernel for part in self.encoder.submodules if isinstance(part, Conv2D)]

    @property
    def norms(self) -> list[BatchNorm]:
        """All batch normalisations."""
        return batch_norms(self)

    @property
    def main_variables(self) -> list[tf.Variable]:
        """What the main step trains: all but the auxiliary head."""
        head = {id(v) for v in self.aux.trainable_variables} if self.aux else set()
        return [v for v in self.trainable_variables if id(v) not in head]

    @property
    def auxiliary_variables(self) -> list[tf.Variable]:
        """What the auxiliary step trains: backbone and head."""
        return [*self.encoder.trainable_variables, *self.aux.trainable_variables]

    def l2_terms(self) -> list[tf.Tensor]:
        """weight decay / 2 |w|^2 of every penalised variable of the main loss (spec 1.7)."""
        return [decay * tf.nn.l2_loss(v) for v, decay in self.decays()]

    def encoder_l2(self) -> tf.Tensor:
        """The sum over the backbone's kernels, which the auxiliary loss has, too."""
        norms = tf.add_n([tf.nn.l2_loss(v) for v in self.encoder_kernels])
        return self.config.weight_decay * norms

    def decays(self) -> list[tuple[tf.Variable, float]]:
        """Penalised variables, each with its weight decay."""
        config = self.config
        found = [(v, config.weight_decay) for v in self.encoder_kernels]
        if self.ten is not None:
            found += [(v, config.weight_decay) for v in self.ten.kernels]
            found += [(v, config.ten_weight_decay) for v in self.ten.factors]
        for part, decay in ((self.g, config.g_weight_decay), (self.h, config.h_weight_decay)):
            found += [(v, decay) for v in part.kernels] if part else []
        return found

    def sizes(self) -> tuple[int, int]:
        """Trainable numbers, and tensors they are in."""
        shapes = [tuple(v.shape) for v in self.trainable_variables]
        return sum(int(np.prod(shape)) for shape in shapes), len(shapes)


def _metric(make: Maker, config: AM3Config) -> list[tf.Variable]:
    """Weights of d, d^2 … : -alpha, then zeros; constants unless they are to be trained."""
    found = []
    for order in range(1, config.metric_order + 1):
        value = constant(-config.scale if order == 1 else 0.0)(None, ())
        trained = config.scale_trainable or order > 1
        name = make.path(f"power_weight{order}")
        found.append(tf.Variable(value, trainable=trained, name=name))
    return found


def build(
    variant: str,
    image_size: int = 84,
    ways: int = 5,
    shots: int = 1,
    aux_classes: int | None = None,
    seed: int = 0,
    **settings: Any,
) -> FewShotNet:
    """A network outside a run, with the weight decays of the published recipe.

    Args:
        variant: ``protonet++``, ``am3-protonet++``, ``tadam`` or ``am3-tadam``.
        image_size, ways, shots: of the tasks; weights do not depend on them.
        aux_classes: outputs of the auxiliary head of a TADAM variant; None for no head.
        seed: of the initial values.
        settings: any other setting of :class:`~zoolib.models.am3.config.AM3Config`.

    Returns:
        The network: ``.trainable_variables``, ``.l2_terms()``, ``.features``, ``.judge``.

    Raises:
        ConfigError: for an unknown variant, or a picture too small for the backbone.
    """
    from zoolib.models.am3.presets import mini_1shot

    recipe = mini_1shot()
    chosen = dict(settings, variant=variant, image_size=image_size, ways=ways, shots=shots)
    config = recipe.replace(**chosen, aux=bool(aux_classes), seed=seed)
    session = current() or open_session("auto")
    with session.placement():
        return FewShotNet(config, session, WORDS, aux_classes or 0)
