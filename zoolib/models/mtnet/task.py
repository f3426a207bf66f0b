"""MAML, T-net, M-net and MT-net as one task: the inner loop, the meta-step, the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.task import Arrays, Task
from zoolib.data.draws import logistic, uniforms
from zoolib.models.mtnet import evaluation, learner, sources
from zoolib.models.mtnet.config import folder_name
from zoolib.models.mtnet.export import Exported
from zoolib.models.mtnet.learner import Learner
from zoolib.models.mtnet.masks import spread, straight_through
from zoolib.models.mtnet.network import Network, Theta
from zoolib.nn.losses import cross_entropy, mean_squared_error
from zoolib.optim.adam import Adam
from zoolib.optim.loss_scale import LossScale
from zoolib.optim.schedules import schedule
from zoolib.runtime.distribute import shard

Tensors = dict[str, tf.Tensor]


class MTNet(Task):
    """Meta-learner for few-shot regression and classification.

    A batch of tasks is one computation: parameters carry a task axis. Symbols as in the paper:
    theta (W and b), T, zeta, alpha and beta; ``M`` are the sampled masks.
    """

    terms = ("loss", "support_loss")

    def build(self) -> None:
        """Create meta-parameters and optimizers.

        Raises:
            ConfigError: if the tasks of a meta-step do not divide over the ranks.
        """
        config = self.config
        rank, size = self.session.rank, self.session.size
        part = shard(config.meta_batch_size, rank, size, "meta_batch_size")
        self.mine = slice(part.start, part.stop)  # tasks of a meta-step
        self.source = sources.make(config)
        self.shards = evaluation.shards(self)
        self.network = Network(config, self.session, self.source.inputs)
        self.optimizer = Adam(list(self.network.trainable_variables))
        self.loss_scale = LossScale(
            config.loss_scale, config.loss_scale_value, self.session.overflowed
        )
        if config.pretrain_iterations:
            self.pretrainer = Adam(list(self.network.trainable_variables), name="pretrain_adam")
        self.headline = f"{evaluation.metric_name(config)}_step_{min(self.updates, 1)}"
        self.lower_is_better = not config.images
        self._compiled: dict[Any, Callable] = {}

    def batch(self, steps: range) -> Arrays:
        """This rank's tasks of the given meta-steps, and the outer step size."""
        config = self.config
        rates = schedule(config.meta_lr_decay, config.meta_lr, steps, config.iterations)
        pretraining = np.arange(steps.start, steps.stop) < config.pretrain_iterations
        extra = {"pretraining": pretraining} if config.pretrain_iterations else {}
        tasks = {k: v[:, self.mine] for k, v in self.source.train_tasks(steps).items()}
        return {**tasks, "beta": rates, **extra}

    @property
    def updates(self) -> int:
        """Inner steps in training; the oracle knows its task and takes none."""
        return 0 if self.config.baseline == "oracle" else self.config.num_updates

    def draws(self, steps: range) -> Arrays:
        """Logistic noise of the masks: per task and unit, or per inner step, task and parameter."""
        if not self.config.use_M or self.config.baseline == "oracle":
            return {}
        noise = self.noise("mtnet/masks", steps, self.config.meta_batch_size)
        return {"noise": noise[:, :, self.mine]}

    def by_layer(self, noise: tf.Tensor) -> list[tf.Tensor]:
        """Noise [B, logits] cut into the shapes of zeta, task axis first."""
        sizes = [z.shape.num_elements() for z in self.network.zeta]
        parts = tf.split(noise, sizes, axis=-1)
        return [tf.reshape(p, [p.shape[0], *z.shape]) for p, z in zip(parts, self.network.zeta)]

    def spread(self, masks: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Masks in the shapes of theta's entries."""
        return spread(masks, self.config.share_M, [len(w.shape) for w in self.network.theta])

    def noise(
        self, purpose: str, steps: range, tasks: int, updates: int | None = None
    ) -> np.ndarray:
        """Mask noise, float32 [steps, inner steps (1 if shared), tasks, logits]."""
        inner = 1 if self.config.share_M else updates or self.config.num_updates
        logits = sum(z.shape.num_elements() for z in self.network.zeta)
        uniform = uniforms(self.config.seed, purpose, steps, inner * tasks * logits)
        return logistic(uniform.reshape(len(steps), inner, tasks, logits))

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """One meta-step: adapt to every task, then improve what adaptation starts from."""
        config, net = self.config, self.network
        meta_parameters = self.optimizer.variables_trained  # theta, T, zeta
        with tf.GradientTape(persistent=bool(config.pretrain_iterations)) as tape:
            theta = net.tasks_own(config.meta_batch_size // self.session.size)
            M = self.masks(draws)
            before = self.loss(theta, batch, "support")
            for j in range(self.updates):
                theta = self.inner_step(theta, M[j % len(M)], batch)
            query_loss = tf.reduce_mean(self.loss(theta, batch, "query"))
            support_loss = tf.reduce_mean(before)
            objective = self.loss_scale.scale(query_loss)
        gradients = tape.gradient(objective, meta_parameters, unconnected_gradients="zero")
        if config.pretrain_iterations:
            self.pretrain(tape.gradient(support_loss, meta_parameters), gradients, batch)
        else:
            self.meta_update(gradients, batch["beta"])
        return {"loss": query_loss, "support_loss": support_loss}

    def inner_step(self, theta: Theta, M: Theta | None, batch: Tensors) -> list[tf.Tensor]:
        """theta <- theta - alpha M * grad L_support(theta; T), each task by itself."""
        with tf.GradientTape() as tape:
            tape.watch(theta)
            losses = self.loss(theta, batch, "support")  # [B]
        # Tasks share nothing here, so the gradient of the sum is each task's own.
        gradients = tape.gradient(losses, theta)
        if self.config.first_order:
            gradients = [tf.stop_gradient(g) for g in gradients]
        if M is not None:
            gradients = [m * g for m, g in zip(M, gradients)]
        return [w - self.config.update_lr * g for w, g in zip(theta, gradients)]

    def masks(self, draws: Tensors) -> list[list[tf.Tensor] | None]:
        """Masks of each inner step (one for all steps if shared); [None] without masks."""
        if "noise" not in draws:
            return [None]
        sampled = []
        for noise in tf.unstack(draws["noise"]):  # [B, logits]
            parts = self.by_layer(noise)
            sampled.append(
                [straight_through(z, g, self.config.temp) for z, g in zip(self.network.zeta, parts)]
            )
        return [self.spread(masks) for masks in sampled]

    def loss(self, theta: Theta, batch: Tensors, part: str) -> tf.Tensor:
        """Loss of every task on its support or query set, [B] (spec 1.5)."""
        prediction = self.network(theta, self.source.inputs_of(batch[f"{part}_x"]))
        if not self.config.images:
            return mean_squared_error(prediction, batch[f"{part}_y"])
        # Divided by K, not by all examples: alpha is meant for a sum over the classes.
        shots = batch["support_y"].shape[1] / self.config.num_classes
        return cross_entropy(prediction, batch[f"{part}_y"]) / shots

    def meta_update(
        self, gradients: Sequence[tf.Tensor], beta: tf.Tensor, skip: tf.Tensor | None = None
    ) -> None:
        """Adam on theta, T and zeta, after unscaling and clipping."""
        gradients, overflow = self.loss_scale.unscale(gradients)
        gradients = self.session.all_reduce(gradients)
        if self.config.clip:
            gradients = [
                tf.clip_by_value(g, -self.config.clip, self.config.clip) for g in gradients
            ]
        if overflow is not None:
            skip = overflow if skip is None else tf.logical_or(skip, overflow)
        self.optimizer.apply(gradients, beta, skip)

    def pretrain(
        self, plain: Sequence[tf.Tensor | None], gradients: Sequence[tf.Tensor], batch: Tensors
    ) -> None:
        """During the first pretrain_iterations: the support loss without adaptation instead."""
        zeros = [tf.zeros_like(g) if p is None else p for p, g in zip(plain, gradients)]
        reduced = self.session.all_reduce(zeros)
        self.pretrainer.apply(reduced, batch["beta"], tf.logical_not(batch["pretraining"]))
        self.meta_update(gradients, batch["beta"], batch["pretraining"])

    def evaluate(self, shots: int | None = None) -> dict[str, float]:
        """Query error on the stored test tasks after 0 to 10 steps; see `evaluation`."""
        return evaluation.evaluate(self, shots)

    def evaluation_functions(self) -> dict[str, tuple[Callable, tuple]]:
        """The errors on test tasks, and the read of the mask logits; for `npu-check`."""
        found = evaluation.functions(self)
        if self.network.zeta:
            found["mask logits"] = (lambda: _joined(self.network.zeta), ())
        return found

    def checkpoint_folder(self) -> str:
        """Checkpoints lie in a folder named by the seed documents' rule."""
        return f"checkpoints/{folder_name(self.config)}"

    def cached(self, key: Any, make: Callable[[], Callable], signature: Any = None) -> Callable:
        """A compiled function, made once per key."""
        if key not in self._compiled:
            self._compiled[key] = self.session.compile(make(), signature)
        return self._compiled[key]

    def logits(self) -> np.ndarray:
        """All mask logits in one row; one compiled read, since each eager one costs a graph."""
        joined = self.cached("logits", lambda: lambda: _joined(self.network.zeta))
        return joined().numpy()

    def adapt(
        self, support_x: Any, support_y: Any, steps: int | None = None, mask: str = "expected"
    ) -> Learner:
        """Adapt to one task; see :func:`zoolib.models.mtnet.learner.adapt`."""
        return learner.adapt(self, support_x, support_y, steps, mask)

    def prediction_curve(
        self, support_x: Any, support_y: Any, x: Any, steps: int = 10
    ) -> np.ndarray:
        """Predictions [steps + 1, N] at ``x`` after every inner step of one regression task."""
        return learner.prediction_curve(self, support_x, support_y, x, steps)

    def export_module(self) -> tf.Module:
        """For :func:`zoolib.export`: a module with ``adapt``, ``predict`` and ``serve``."""
        return Exported(self)

    def figure_data(self) -> dict[str, Any]:
        """Mask probabilities and the spectrum of the learned metric, per layer."""
        net = self.network
        read = self.cached(
            "figure data",
            lambda: lambda: ([tf.sigmoid(z) for z in net.zeta], [tf.identity(T) for T in net.T]),
        )
        probabilities, metrics = read()
        return {
            "mask_probability": [p.numpy() for p in probabilities],
            "metric_spectrum": [np.linalg.svd(T.numpy(), compute_uv=False) for T in metrics],
        }


def _joined(variables: Sequence[tf.Variable]) -> tf.Tensor:
    return tf.concat([tf.reshape(v, [-1]) for v in variables], axis=0)
