"""MT-net's meta-training step as a jitted jax scan: the competitor of benchmarks/mtnet.py.

Same algorithm as the library's step (Lee & Choi, ICML 2018): all tasks at once, shared Bernoulli
masks from one logistic draw per unit, one inner step, second order, Adam. Noise is data: uniform
numbers are made by NumPy on the host, one call ahead, and enter the compiled call with a leading
step axis.

    python benchmarks/yardsticks/mtnet_jax.py                      # steps per second, as JSON
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import meters
import numpy as np

TASKS, SHOTS, QUERIES, WIDTH = 4, 10, 10, 40  # the seed configuration
UPDATE_LR, META_LR = 0.01, 1e-3
SIZES = ((1, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))
UNITS = sum(fan_out for _, fan_out in SIZES)
CALL = 500  # steps per compiled call, as in the library


def build_parameters(seed: int = 0) -> dict[str, list[jnp.ndarray]]:
    """W, b (adapted), T and mask logits zeta (meta-learned only), one array per layer."""
    generator = np.random.default_rng(seed)
    cut = [np.clip(generator.standard_normal(size), -2.0, 2.0) * 0.01 for size in SIZES]
    return {
        "W": [jnp.asarray(w, jnp.float32) for w in cut],
        "b": [jnp.zeros(size[1]) for size in SIZES],
        "T": [jnp.eye(size[1]) for size in SIZES],
        "zeta": [jnp.zeros(size[1]) for size in SIZES],
    }


def draw(seed: int, steps: int) -> dict[str, np.ndarray]:
    """Uniform numbers in (0, 1) for ``steps`` meta-steps, counter-based: keyed by the seed."""
    count = steps * TASKS * (3 + SHOTS + QUERIES + UNITS)
    words = np.random.Philox(key=seed).random_raw((count + 1) // 2).view(np.uint32)[:count]
    uniform = ((words >> 9).astype(np.float32) + 0.5) * np.float32(2.0**-23)
    ends = np.cumsum([steps * TASKS * n for n in (3, SHOTS + QUERIES)])
    parts = zip(("task", "x", "mask"), np.split(uniform, ends))
    return {name: part.reshape(steps, TASKS, -1) for name, part in parts}


def sample_tasks(draws: dict[str, jnp.ndarray]) -> tuple[jnp.ndarray, jnp.ndarray, jnp.ndarray]:
    """x, y of shape [..., tasks, points, 1] and logistic noise [..., tasks, units]."""
    amplitude = 0.1 + 4.9 * draws["task"][..., 0:1]
    phase = np.pi * draws["task"][..., 1:2]
    frequency = 0.8 + 0.4 * draws["task"][..., 2:3]
    x = 10.0 * draws["x"] - 5.0
    y = amplitude * jnp.sin(frequency * x - phase)
    return x[..., None], y[..., None], jnp.log(draws["mask"]) - jnp.log1p(-draws["mask"])


def forward(x: jnp.ndarray, W: list, b: list, T: list) -> jnp.ndarray:
    """Layers (x W + b) T with ReLU between them."""
    for layer in range(len(W)):
        x = (x @ W[layer] + b[layer]) @ T[layer]
        x = jax.nn.relu(x) if layer < len(W) - 1 else x
    return x


def sample_mask(zeta: jnp.ndarray, noise: jnp.ndarray) -> jnp.ndarray:
    """Hard 0/1 mask with the sigmoid's gradient (straight-through)."""
    soft = jax.nn.sigmoid(zeta + noise)
    return jax.lax.stop_gradient((zeta + noise > 0) - soft) + soft


def task_loss(parameters: dict, x: jnp.ndarray, y: jnp.ndarray, noise: jnp.ndarray) -> tuple:
    """Query loss after, and support loss before, one masked gradient step of one task."""
    W, b, T, zeta = (parameters[name] for name in ("W", "b", "T", "zeta"))

    def support_loss(W: list, b: list) -> jnp.ndarray:
        return jnp.mean(jnp.square(forward(x[:SHOTS], W, b, T) - y[:SHOTS]))

    before, (grad_W, grad_b) = jax.value_and_grad(support_loss, argnums=(0, 1))(W, b)
    ends = np.cumsum([fan_out for _, fan_out in SIZES])[:-1]
    masks = [sample_mask(z, n) for z, n in zip(zeta, jnp.split(noise, ends))]
    W = [w - UPDATE_LR * m * g for w, m, g in zip(W, masks, grad_W)]
    b = [v - UPDATE_LR * m * g for v, m, g in zip(b, masks, grad_b)]
    return jnp.mean(jnp.square(forward(x[SHOTS:], W, b, T) - y[SHOTS:])), before


def meta_loss(parameters: dict, x: jnp.ndarray, y: jnp.ndarray, noise: jnp.ndarray) -> tuple:
    """Mean over tasks of the query loss; the mean support loss rides along."""
    after, before = jax.vmap(task_loss, in_axes=(None, 0, 0, 0))(parameters, x, y, noise)
    return jnp.mean(after), jnp.mean(before)


def meta_step(state: tuple, data: tuple) -> tuple:
    """One meta-step: gradient of the meta loss, Adam update (1e-8 outside the root)."""
    parameters, first, second, count = state
    (after, before), gradient = jax.value_and_grad(meta_loss, has_aux=True)(parameters, *data)
    count = count + 1.0
    rate = META_LR * jnp.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)
    each = jax.tree_util.tree_map
    first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = each(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    parameters = each(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, first, second
    )
    return (parameters, first, second, count), (after, before)


@jax.jit
def chunk(state: tuple, draws: dict[str, jnp.ndarray]) -> tuple:
    """As many meta-steps as the draws have rows, in one compiled call."""
    return jax.lax.scan(meta_step, state, sample_tasks(draws))


class Scan:
    """Holds the state; ``train(n)`` makes n meta-steps and returns the last call's mean loss."""

    def __init__(self) -> None:
        parameters = build_parameters()
        zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
        self.state = (parameters, zeros, zeros, jnp.float32(0.0))
        self.key, self.ahead = 0, draw(0, CALL)

    def train(self, steps: int) -> float:
        """``steps`` meta-steps, a multiple of CALL."""
        if steps % CALL:
            raise SystemExit(f"--steps: expected a multiple of {CALL}, got {steps}")
        for _ in range(steps // CALL):
            self.state, losses = chunk(self.state, self.ahead)  # returns before it is done
            self.key += 1
            self.ahead = draw(self.key, CALL)
            after = float(losses[0].mean())
        return after


def main() -> None:
    given = meters.options(__doc__, steps=2000, blocks=6)
    if given.threads:
        raise SystemExit("--threads: jax takes it from XLA_FLAGS; see benchmarks/mtnet.py")
    began = time.perf_counter()
    model = Scan()
    model.train(CALL)
    compiled = time.perf_counter() - began
    rates, loss = meters.timed(model.train, given.steps, given.blocks)
    meters.tell(rates, compiled, loss, versions={"jax": jax.__version__})


if __name__ == "__main__":
    main()
