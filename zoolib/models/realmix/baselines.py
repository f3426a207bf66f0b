"""The methods RealMix is compared with, each as its difference to another (spec 3.4).

All share network, augmentation, Adam, weight decay and averaged weights with RealMix. Of a step's
passes the labelled one alone moves batch norm's running statistics. Targets carry no gradient; the
weight of the unlabelled term grows as RealMix's does.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from zoolib.core.task import Arrays
from zoolib.data.draws import uniforms
from zoolib.models.realmix.guessing import entropy
from zoolib.models.realmix.mixing import mixup
from zoolib.models.realmix.trainer import Tensors, Trainer

_XI = 1e-6  # length of the step by which vat measures a direction


class Supervised(Trainer):
    """Cross-entropy on the labelled images; the unlabelled ones are not looked at."""

    terms = ("loss", "labelled_loss")
    unlabelled = False

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """One step on B labelled images."""
        w = self.optimizer.variables_trained
        x, targets = self.labelled(batch, draws)
        with tf.GradientTape() as tape:
            loss = soft_cross_entropy(self.logits(x, draws, update=True), targets)
            objective = self.loss_scale.scale(loss)
        self.improve(tape.gradient(objective, w), batch["rate"])
        return {"loss": loss, "labelled_loss": loss}

    def labelled(self, batch: Tensors, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Images and targets."""
        x, y, _ = self.inputs(batch)
        return x, y

    def tuning_rows(self, batch: Tensors, draws: Tensors) -> tuple[tf.Tensor, Tensors]:
        """What a step trains on."""
        return self.labelled(batch, draws)[0], draws


class SupervisedMixup(Supervised):
    """The same with every labelled image mixed with another of the batch (Zhang et al. 2018)."""

    def labelled(self, batch: Tensors, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixed with the batch in reverse order, as published."""
        x, y, _ = self.inputs(batch)
        return mixup(x, y, draws["weight"][: x.shape[0]], reversed_rows(x.shape[0]))


class Consistency(Trainer):
    """Cross-entropy on labelled images and a penalty on views of unlabelled ones."""

    terms = (
        "loss",
        "labelled_loss",
        "unlabelled_loss",
        "lambda_u",
        "prediction_entropy",
        "mean_prediction_entropy",
    )

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """One step on B labelled images and two views of B unlabelled ones."""
        B, w = self.config.batch_size, self.optimizer.variables_trained
        x, y, u = self.inputs(batch)
        u1, u2 = u[:B], u[B:]
        view, target = self.question(u1, u2, draws)
        with tf.GradientTape() as tape:
            z = self.logits(tf.concat([x, view], 0), draws, at=2, update=True)
            labelled = soft_cross_entropy(z[:B], y)
            penalty = self.penalty(z[B:], target)
            loss = labelled + batch["lambda_u"] * penalty + self.extra(z[B:])
            objective = self.loss_scale.scale(loss)
        self.improve(tape.gradient(objective, w), batch["rate"])
        return {
            "loss": loss,
            "labelled_loss": labelled,
            "unlabelled_loss": penalty,
            "lambda_u": tf.identity(batch["lambda_u"]),
            **self.watched(tf.nn.softmax(z[B:])),
        }

    def question(self, u1: tf.Tensor, u2: tf.Tensor, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Images the student is asked about, and the answer wanted; here the Pi-model's."""
        return u2, tf.nn.softmax(self.logits(u1, draws))

    def penalty(self, z: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Mean squared difference of probabilities."""
        return tf.reduce_mean(tf.square(tf.nn.softmax(z) - target))

    def extra(self, z: tf.Tensor) -> tf.Tensor:
        """One more term of the loss."""
        return tf.zeros([])

    def teacher(self, images: tf.Tensor, draws: Tensors) -> tf.Tensor:
        """Probabilities by the averaged weights, batch norm in training mode."""
        self.evaluator.exchange()
        z = self.logits(images, draws)
        self.evaluator.exchange()
        return tf.nn.softmax(z)

    def tuning_rows(self, batch: Tensors, draws: Tensors) -> tuple[tf.Tensor, Tensors]:
        """The labelled images."""
        return self.inputs(batch)[0], draws


class PiModel(Consistency):
    """Two views are to be seen alike (Laine and Aila 2017)."""


class MeanTeacher(Consistency):
    """The Pi-model, but the averaged weights give the target (Tarvainen and Valpola 2017)."""

    def question(self, u1: tf.Tensor, u2: tf.Tensor, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """See :class:`Consistency`."""
        return u2, self.teacher(u1, draws)


class PseudoLabel(Consistency):
    """Own guesses are labels where they are sure (Lee 2013).

    The published code multiplies a vector by a column, so that each row gets the mean mask; here
    each row has its own.
    """

    def question(self, u1: tf.Tensor, u2: tf.Tensor, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """One view; the target follows from the answer itself."""
        return u1, u1

    def penalty(self, z: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Cross-entropy with the class guessed, over rows surer than ``confidence``."""
        p = tf.stop_gradient(tf.nn.softmax(z))
        guess = tf.one_hot(tf.argmax(p, axis=-1, output_type=tf.int32), self.classes)
        sure = tf.cast(tf.reduce_max(p, axis=-1) > self.config.confidence, tf.float32)
        each = -tf.reduce_sum(guess * tf.nn.log_softmax(z), axis=-1)
        return tf.reduce_mean(each * sure)


class VAT(Consistency):
    """Views are moved where predictions change most; entropy is kept low (Miyato et al. 2018)."""

    def draws(self, steps: range) -> Arrays:
        """Directions to start from beside the others' numbers: normal, by Box and Muller."""
        config, session = self.config, self.session
        count = config.batch_size * int(np.prod(self.image_shape))
        drawn = uniforms(config.seed, "realmix/vat", steps, session.size * 2 * count)
        drawn = drawn.reshape(len(steps), session.size, 2, count)[:, session.rank]
        radius = np.sqrt(-2.0 * np.log(np.maximum(drawn[:, 0], np.float32(2.0**-25))))
        noise = radius * np.cos(np.float32(2.0 * np.pi) * drawn[:, 1])
        shape = (len(steps), config.batch_size, *self.image_shape)
        return {**super().draws(steps), "noise": noise.astype(np.float32).reshape(shape)}

    def question(self, u1: tf.Tensor, u2: tf.Tensor, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """u1 moved by the adversarial direction, one power iteration; what u1 itself is taken for.

        The direction is the gradient of the divergence at a small random step.
        """
        p = tf.nn.softmax(self.logits(u1, draws))
        step = _XI * unit(draws["noise"])
        with tf.GradientTape() as tape:
            tape.watch(step)
            divergence = kl(p, self.logits(u1 + step, draws))
        # Far below 1 in size: scaled up before it is squared.
        r = unit(tape.gradient(divergence, step))
        return u1 + self.config.vat_radius * r, p

    def penalty(self, z: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Divergence of the prediction on the moved image from that on the clean one."""
        return kl(target, z)

    def extra(self, z: tf.Tensor) -> tf.Tensor:
        """Mean entropy of the predictions, weighted."""
        return self.config.entropy_weight * tf.reduce_mean(entropy(tf.nn.softmax(z)))


class ICT(Consistency):
    """A mixture of images is to be the mixture of what they are taken for (Verma et al. 2019)."""

    def question(self, u1: tf.Tensor, u2: tf.Tensor, draws: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """u1 mixed with its reverse, and the teacher's predictions mixed alike."""
        B = self.config.batch_size
        return mixup(u1, self.teacher(u1, draws), draws["weight"][B : 2 * B], reversed_rows(B))


BASELINES = {
    "supervised": Supervised,
    "supervised_mixup": SupervisedMixup,
    "pseudo_label": PseudoLabel,
    "pi_model": PiModel,
    "mean_teacher": MeanTeacher,
    "vat": VAT,
    "ict": ICT,
}


def soft_cross_entropy(z: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Mean over rows of -sum L log softmax(z)."""
    return -tf.reduce_mean(tf.reduce_sum(targets * tf.nn.log_softmax(z), axis=-1))


def kl(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Mean over rows of sum p (log p - log softmax(z))."""
    logs = tf.math.log(tf.maximum(p, 1e-30)) - tf.nn.log_softmax(z)
    return tf.reduce_mean(tf.reduce_sum(p * logs, axis=-1))


def unit(direction: tf.Tensor) -> tf.Tensor:
    """Each image's direction with length 1; first by its largest entry, so nothing underflows."""
    axes = [1, 2, 3]
    largest = tf.reduce_max(tf.abs(direction), axes, keepdims=True)
    direction = direction / (largest + 1e-12)
    squares = tf.reduce_sum(tf.square(direction), axes, keepdims=True)
    return direction * tf.math.rsqrt(squares + 1e-6)


def reversed_rows(count: int) -> tf.Tensor:
    """Rows from the last to the first, int32 [count]."""
    return tf.range(count - 1, -1, -1)
