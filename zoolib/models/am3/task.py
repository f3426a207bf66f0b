"""Episodic training of ProtoNet++, AM3-ProtoNet++, TADAM and AM3-TADAM, one step on one screen."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.averaging import step_sizes
from zoolib.core.task import Arrays, Task
from zoolib.data.draws import uniforms
from zoolib.models.am3 import evaluation, export, figures, prediction, rates, sources, tables
from zoolib.models.am3.network import FewShotNet, Words
from zoolib.models.am3.semantic import query_dependent
from zoolib.nn.losses import accuracy, softmax_cross_entropy
from zoolib.nn.refresh import Refresh
from zoolib.optim.adam import Adam
from zoolib.optim.clip import clip_by_norm
from zoolib.optim.loss_scale import LossScale
from zoolib.optim.sgd import SGD
from zoolib.runtime.distribute import shard

Tensors = dict[str, tf.Tensor]
_REFRESH = 20  # steps whose tasks a refresh of batch norm looks at


class FewShot(Task):
    """Few-shot learner: nearest prototype, of pictures, words, or both."""

    terms = (
        "loss",
        "loss_ce",
        "loss_l2",
        "loss_aux",
        "aux_taken",
        "accuracy",
        "lambda_mean",
        "lambda_std",
        "lr",
        "alpha",
    )
    headline = "test_accuracy"
    selection = "val_accuracy"
    lower_is_better = False
    told_classes = True  # `predict` wants to know what there is to choose from
    mixed_tolerance = 0.5  # a smoke run tests on few tasks

    def build(self) -> None:
        """Create network and optimizers.

        Raises:
            ConfigError, DataError: for data that is missing or does not fit, or tasks that do not
                divide over the ranks.
        """
        config, session = self.config, self.session
        rank, size = session.rank, session.size
        part, aux = (
            shard(count, rank, size, name)
            for count, name in ((config.tasks, "tasks"), (config.aux_batch, "aux_batch"))
        )
        self.mine, self.mine_aux = slice(part.start, part.stop), slice(aux.start, aux.stop)
        self.source = sources.make(config)
        self.evaluations = evaluation.Evaluations(self)
        words, head = self.source.words, self.source.aux_classes
        self.network = FewShotNet(config, session, words, head)
        main = self.network.main_variables
        adam = config.optimizer == "adam"
        self.optimizer = Adam(main) if adam else SGD(main, config.momentum)
        scaling = (config.loss_scale, config.loss_scale_value, session.overflowed)
        self.loss_scale = LossScale(*scaling)
        if config.co_trained:
            variables = self.network.auxiliary_variables
            self.aux_optimizer = SGD(variables, config.momentum, name="pretrain_sgd")
        norms, compiler = self.network.norms, session.compile
        forward = self._forward
        self.refresher = Refresh(forward, norms, compiler=compiler) if config.swa_start else None
        self._compiled: dict[Any, Callable] = {}

    def batch(self, steps: range) -> Arrays:
        """This rank's tasks as bytes, the auxiliary images, and the step sizes."""
        batch = {**self.source.training(steps, self.mine), "lr": self.rates(steps)}
        if self.config.co_trained:
            batch.update(self.source.auxiliary(steps, self.mine_aux))
            batch["aux_taken"] = rates.auxiliary_taken(self.config, steps)
        return batch

    def rates(self, steps: range) -> np.ndarray:
        """Step sizes, float32 [len(steps)]: SWA's where it is on, else the config's own."""
        usual = rates.learning_rates(self.config, steps)
        return step_sizes(self.config, self.config.lr, usual, steps)

    def draws(self, steps: range) -> Arrays:
        """Dropout's factors in g and h: 0, or 1 / (1 - share), of each row's hidden units."""
        config, net, found = self.config, self.network, {}
        per_query = config.queries if query_dependent(config) else 1
        for name, part, share, rows in (
            ("keep_g", net.g, config.g_dropout, config.ways),
            ("keep_h", net.h, config.h_dropout, config.ways * per_query),
        ):
            if part is not None and share and len(part.layers) > 1:
                count = config.tasks * rows * config.hidden
                chance = uniforms(config.seed, f"am3/{name}", steps, count)
                kept = chance.reshape(len(steps), config.tasks, rows, -1)[:, self.mine] >= share
                kept = kept.reshape(len(steps), -1, config.hidden).astype(np.float32)
                found[name] = kept / np.float32(1.0 - share)
        return found

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """The auxiliary step if it is due; then one on -log p(class | query) of T tasks, plus L2.

        Each variable's gradient is shortened to ``clip``, then a <- 0.9 a + g, w <- w - lr a.
        """
        config, net = self.config, self.network
        auxiliary = self.auxiliary_step(batch)
        labels = tf.reshape(batch["labels"], [-1])
        w = self.optimizer.variables_trained
        with tf.GradientTape() as tape:
            support, query = net.embedded(batch["support"], batch["query"], config.ways, True)
            judged = net.judge(
                support, query, config.ways, self.words(batch), True, self.keep(draws)
            )
            logits = tf.reshape(judged.logits, [-1, config.ways])
            loss_ce = tf.reduce_mean(self.cross_entropy(logits, labels))
            loss_l2 = tf.add_n(net.l2_terms())
            loss = loss_ce + loss_l2
            objective = self.loss_scale.scale(loss)
        gradients = tape.gradient(objective, w, unconnected_gradients="zero")
        gradients, overflow = self.loss_scale.unscale(gradients)
        self.optimizer.apply(self.clipped(gradients), batch["lr"], overflow)
        self.share_statistics()
        share = judged.share
        return {
            "loss": loss,
            "loss_ce": loss_ce,
            "loss_l2": loss_l2,
            **auxiliary,
            "accuracy": accuracy(logits, labels),
            "lambda_mean": tf.reduce_mean(share),
            "lambda_std": tf.sqrt(tf.reduce_mean(tf.square(share - tf.reduce_mean(share)))),
            "lr": tf.identity(batch["lr"]),
            "alpha": -tf.identity(net.metric[0]) if net.metric else tf.ones([]),
        }

    def auxiliary_step(self, batch: Tensors) -> dict:
        """Classification over all training classes, by an optimizer of its own.

        Its batch always moves the running statistics; the weights only where the step is taken.
        """
        if not self.config.co_trained:
            return {"loss_aux": tf.zeros([]), "aux_taken": tf.zeros([])}
        w = self.aux_optimizer.variables_trained
        with tf.GradientTape() as tape:
            logits = self.network.auxiliary(batch["aux_images"])
            loss_ce = tf.reduce_mean(softmax_cross_entropy(logits, batch["aux_labels"]))
            objective = self.loss_scale.scale(loss_ce + self.network.encoder_l2())
        gradients, overflow = self.loss_scale.unscale(tape.gradient(objective, w))
        skip = tf.logical_not(batch["aux_taken"])
        skip = skip if overflow is None else tf.logical_or(skip, overflow)
        self.aux_optimizer.apply(self.clipped(gradients), batch["lr"], skip)
        return {"loss_aux": loss_ce, "aux_taken": tf.cast(batch["aux_taken"], tf.float32)}

    def clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Means over ranks, each on its own no longer than ``clip``."""
        gradients = self.session.all_reduce(gradients)
        return clip_by_norm(gradients, self.config.clip) if self.config.clip else gradients

    def cross_entropy(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Of every query, [N]; the target is (1 - e) one-hot + e / ways."""
        smoothing, ways = self.config.label_smoothing, self.config.ways
        if not smoothing:
            return softmax_cross_entropy(logits, labels)
        target = tf.one_hot(labels, ways) * (1.0 - smoothing) + smoothing / ways
        return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)

    def words(self, batch: Tensors) -> Words | None:
        """What is known of the names, where a variant reads them."""
        return Words(batch["words"], batch["known"]) if "words" in batch else None

    def keep(self, draws: Tensors) -> tuple[tf.Tensor | None, tf.Tensor | None]:
        """Dropout factors in g and h."""
        return draws.get("keep_g"), draws.get("keep_h")

    def validate(self) -> dict[str, float]:
        """Accuracy, loss and lambda on the stored validation tasks."""
        return evaluation.validate(self)

    def evaluate(self) -> dict[str, float]:
        """The same on the test tasks too; see `evaluation`."""
        return evaluation.evaluate(self)

    def evaluation_functions(self) -> dict[str, tuple[Callable, tuple]]:
        """The graphs of an evaluation; for `npu-check`."""
        return evaluation.functions(self)

    def cached(self, key: Any, make: Callable[[], Callable]) -> Callable:
        """A compiled function, made once per key."""
        if key not in self._compiled:
            self._compiled[key] = self.session.compile(make())
        return self._compiled[key]

    def statistics(self) -> list[tf.Variable]:
        """Moving statistics of batch norm."""
        return [v for n in self.network.norms for v in (n.moving_mean, n.moving_variance)]

    def refresh_statistics(self) -> None:
        """A pass over tasks of the first steps; forward only."""
        steps = range(min(_REFRESH, self.config.iterations))
        feeds = (self.source.training(range(at, at + 1), self.mine) for at in steps)
        self.refresher({k: v[0] for k, v in feed.items()} for feed in feeds)
        self.cached("share", lambda: self.share_statistics)()

    def _forward(self, batch: Tensors) -> None:
        ways = self.config.ways
        support, query = self.network.embedded(batch["support"], batch["query"], ways, True)
        self.network.judge(support, query, ways, self.words(batch), True)

    def predict(self, *arguments: Any, **named: Any) -> Any:
        """Label pictures; see :func:`zoolib.models.am3.prediction.predict`."""
        return prediction.predict(self, *arguments, **named)

    def documents(self, history: list[dict], summary: dict[str, Any]) -> dict[str, str]:
        """Tables of a finished run (spec 5.2); see `tables`."""
        return tables.documents(self, history, summary)

    def export_module(self) -> tf.Module:
        """For :func:`zoolib.export`: a module with ``serve``."""
        return export.Exported(self)

    def export_samples(self) -> Arrays:
        """For eight-bit formats: training tasks as ``serve`` takes them."""
        return export.samples(self)

    def remarks(self) -> list[str]:
        """Effective sizes, rates and penalties."""
        return rates.remarks(self.config, self.source, self.network.sizes())

    def figure_data(self) -> dict[str, Any]:
        """Shares per class, word and visual prototypes in one space, strengths of conditioning."""
        return figures.figure_data(self)
