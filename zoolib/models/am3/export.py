"""A trained learner for other programs: one task in, logits of its queries out."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.models.am3.backbone import Parts
from zoolib.models.am3.network import Words

_SAMPLES = 32  # tasks that eight-bit ranges are measured on


class Exported(tf.Module):
    """The network as evaluations use it.

    Signatures, pictures float32 RGB from 0 to 255:
        serve(support [C K, size, size, 3], query [1, size, size, 3], words [C, E]) -> logits and
            probabilities [1, C], classes int32 [1], share [C]; support class after class, words
            only for variants that read them; static shapes, C and K as in testing
        embed(images [N, size, size, 3]) -> features [N, D], unconditioned
    """

    def __init__(self, task: Any) -> None:
        super().__init__(name="am3")
        config, self._net = task.config, task.network
        self._ways, self._conditioned = config.eval_ways, config.ten_at_eval
        picture = [config.image_size, config.image_size, 3]
        count = config.eval_ways * config.test_shots
        specs = [
            tf.TensorSpec([count, *picture], tf.float32, name="support"),
            tf.TensorSpec([1, *picture], tf.float32, name="query"),
        ]
        if task.source.words:
            size = [config.eval_ways, task.source.words]
            specs.append(tf.TensorSpec(size, tf.float32, name="words"))
        free = [tf.TensorSpec([None, *picture], tf.float32, name="images")]
        self.serve = task.session.compile(self._serve, specs)
        self.embed = task.session.compile(self._embed, free)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name."""
        return {name: getattr(self, name).get_concrete_function() for name in ("serve", "embed")}

    def _serve(
        self, support: tf.Tensor, query: tf.Tensor, words: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        net, ways = self._net, self._ways
        found = net.embedded(support[None], query[None], ways, False, self._conditioned)
        known = None if words is None else Words(words[None], tf.ones([1, ways]))
        judged = net.judge(*found, ways, known, False)
        logits, share = judged.logits[0], judged.share[0]
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "classes": tf.argmax(logits, axis=-1, output_type=tf.int32),
            "share": tf.reduce_mean(share, axis=0) if len(share.shape) == 2 else share,
        }

    def _embed(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": self._net.features(images, Parts(1, (1,)), False)}


def samples(task: Any) -> dict[str, np.ndarray]:
    """Tasks as ``serve`` takes them, from the validation set's stored ones, [samples, ...]."""
    from zoolib.models.am3.evaluation import protocol

    plan = protocol(task.config, "val")
    stored = task.evaluations.tasks(plan)
    images = task.source.sets["val"].images
    found = {
        "support": images[stored["support"][:_SAMPLES]].astype(np.float32),
        "query": images[stored["query"][:_SAMPLES, :1]].astype(np.float32),
    }
    if task.source.words:
        found["words"] = task.source.vectors("val", stored["classes"][:_SAMPLES])["words"]
    return found
