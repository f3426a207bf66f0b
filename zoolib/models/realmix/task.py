"""RealMix's training step (Nair, Fuentes Alonso and Beltramelli 2019; MixMatch, algorithm 1).

MixMatch (Berthelot et al. 2019) is this without annealing of the labelled and without the mask of
the unlabelled loss. Baselines on the same trainer are in `baselines`. What differs from the
published code, and why, is in the model card.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.models.realmix.baselines import BASELINES
from zoolib.models.realmix.guessing import mean_of_views, sharpen
from zoolib.models.realmix.mixing import interleave, mixup
from zoolib.models.realmix.selection import annealed, confident, masked_mean
from zoolib.models.realmix.trainer import Tensors, Trainer
from zoolib.runtime.device import Session


def make(config: Any, session: Session) -> Trainer:
    """The task of the method that the settings name."""
    return BASELINES.get(config.method, RealMix)(config, session)


class RealMix(Trainer):
    """Guess, sharpen, mix, and train on both parts; letters as in the paper."""

    terms = (
        "loss",
        "labelled_loss",
        "unlabelled_loss",
        "lambda_u",
        "eta",
        "labelled_kept",
        "unlabelled_kept",
        "confidence",
        "prediction_entropy",
        "mean_prediction_entropy",
    )

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """One step of RealMix on B labelled images x and two views u1, u2 of B unlabelled ones.

        Five passes of B rows, each normalised by its own batch statistics; of them only the first
        interleaved one, a mixture of x, u1 and u2, moves the running statistics.
        """
        B, w = self.config.batch_size, self.optimizer.variables_trained
        x, y, u = self.inputs(batch)
        p = mean_of_views(self.logits(u, draws))  # two passes, no gradient
        q = sharpen(p, self.config.temperature)
        mixed, targets = mixup(
            tf.concat([x, u], 0), tf.concat([y, q, q], 0), draws["weight"], draws["partner"]
        )
        with tf.GradientTape() as tape:
            z = interleave(self.logits(interleave(mixed), draws, at=2, update=True))
            L_x, kept = self.labelled_loss(z[:B], targets[:B], batch["eta"])
            L_u, confidence, inside = self.unlabelled_loss(z[B:], targets[B:])
            loss = L_x + batch["lambda_u"] * L_u
            objective = self.loss_scale.scale(loss)
        self.improve(tape.gradient(objective, w), batch["rate"])
        return {
            "loss": loss,
            "labelled_loss": L_x,
            "unlabelled_loss": L_u,
            "lambda_u": tf.identity(batch["lambda_u"]),
            "eta": tf.identity(batch["eta"]),
            "labelled_kept": tf.reduce_mean(kept),
            "unlabelled_kept": tf.reduce_mean(inside),
            "confidence": tf.reduce_mean(confidence),
            **self.watched(p),
        }

    def labelled_loss(
        self, z: tf.Tensor, targets: tf.Tensor, eta: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Cross-entropy of soft targets over the rows that annealing keeps; and which these are."""
        each = -tf.reduce_sum(targets * tf.nn.log_softmax(z), axis=-1)
        if self.config.tsa == "none" or self.config.method != "realmix":
            kept = tf.ones_like(each)
        else:
            kept = annealed(z, targets, eta, self.config.tsa_rule)
        return masked_mean(each, kept), kept

    def unlabelled_loss(
        self, z: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mean squared error of probabilities over rows the mask keeps, and over classes.

        Returns:
            The loss; the confidence of each row, and 1 where the mask keeps it.
        """
        config, p = self.config, tf.nn.softmax(z)
        each = tf.reduce_mean(tf.square(targets - p), axis=-1)
        confidence = tf.stop_gradient(tf.reduce_max(p, axis=-1))
        inside = tf.ones_like(confidence)
        if config.method == "realmix":
            if config.mask_mode == "absolute":
                inside = tf.cast(confidence > config.mask_threshold, tf.float32)
            elif config.mask_fraction > 0.0:
                inside = confident(confidence, config.mask_fraction)
        return masked_mean(each, inside), confidence, inside

    def tuning_rows(self, batch: Tensors, draws: Tensors) -> tuple[tf.Tensor, Tensors]:
        """The first interleaved batch of a step, whose statistics move the running ones."""
        B = self.config.batch_size
        x, y, u = self.inputs(batch)
        q = sharpen(mean_of_views(self.logits(u, draws)), self.config.temperature)
        mixed, _ = mixup(
            tf.concat([x, u], 0), tf.concat([y, q, q], 0), draws["weight"], draws["partner"]
        )
        return interleave(mixed)[:B], draws
