"""What the notebook shows of single parts: views, MixUp, annealing, the cost of a step."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.data.views import Views
from zoolib.models.realmix.guessing import mean_of_views, sharpen
from zoolib.models.realmix.mixing import mixup
from zoolib.models.realmix.network import build
from zoolib.models.realmix.published import FORWARDS
from zoolib.models.realmix.selection import annealed

_RULES = ("target", "compat")


def views_of(
    image: np.ndarray, kind: str, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """An image and random views of it, uint8 [H, W, 3] and [count, H, W, 3].

    Args:
        image: uint8 [H, W, 3].
        kind: as the setting `augment`, but "auto".
        count: of the views.
        seed: other views for another seed.
    """
    several = np.repeat(image[None], count, axis=0)
    return image, Views(kind).apply(several, seed, "realmix/illustration", range(count))


def _step(task: Any) -> tuple[Any, Any, Any]:
    """What a step after the last one would mix: images, targets and MixUp's numbers.

    The task's weights do the guessing, in training mode, as they would in the step.
    """
    at = range(task.config.iterations, task.config.iterations + 1)
    batch = {k: tf.constant(v[0]) for k, v in task.batch(at).items()}
    draws = {k: tf.constant(v[0]) for k, v in task.draws(at).items()}
    x, y, u = task.inputs(batch)
    q = sharpen(mean_of_views(task.logits(u, draws)), task.config.temperature)
    return tf.concat([x, u], 0), tf.concat([y, q, q], 0), draws


def mixed_rows(task: Any, count: int = 3) -> dict[str, Any]:
    """MixUp at work on some labelled and as many unlabelled images.

    Args:
        task: a built task whose method looks at unlabelled images.
        count: of each kind.

    Returns:
        ``first``, ``second`` and ``mixed``: uint8 [n, H, W, 3]; ``weight`` of the first, [n], in
        [0.5, 1]; ``targets`` [n, classes]; ``kind``: "label" or "guess", what the first has;
        labelled ones come first.
    """
    with task.session.placement():
        images, targets, draws = _step(task)
        mixed, mixed_targets = mixup(images, targets, draws["weight"], draws["partner"])
    size = task.config.batch_size
    rows = np.r_[_telling(draws, slice(0, size), count), _telling(draws, slice(size, None), count)]
    partner = draws["partner"].numpy()[rows]
    return {
        "first": _bytes(images.numpy()[rows]),
        "second": _bytes(images.numpy()[partner]),
        "mixed": _bytes(mixed.numpy()[rows]),
        "weight": draws["weight"].numpy()[rows],
        "targets": mixed_targets.numpy()[rows],
        "kind": ["label" if row < size else "guess" for row in rows],
    }


def _telling(draws: Any, part: slice, count: int) -> np.ndarray:
    """Rows of a part at equal distances in the order of their coefficients, smallest first."""
    weight = draws["weight"].numpy()[part]
    order = np.argsort(weight, kind="stable")
    return order[np.linspace(0, len(order) // 2, count).astype(int)] + (part.start or 0)


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((images + 1.0) * 127.5), 0, 255).astype(np.uint8)


def kept_shares(task: Any, eta: np.ndarray, rows: int = 4) -> dict[str, np.ndarray]:
    """Share of mixed labelled rows that annealing keeps at thresholds, by both rules.

    The rows are those of the trained weights in training mode; `rows` times a batch.

    Returns:
        ``eta``, as given; ``target`` and ``compat``: shares [k].
    """
    size, found = task.config.batch_size, []
    with task.session.placement():
        images, targets, draws = _step(task)
        for turn in range(rows):  # other partners each time
            partner = tf.roll(draws["partner"], 7 * turn, axis=0)
            mixed, wanted = mixup(images, targets, draws["weight"], partner)
            z, wanted = task.logits(mixed[:size], draws), wanted[:size]
            found.append(
                [
                    [float(tf.reduce_mean(annealed(z, wanted, float(e), rule))) for e in eta]
                    for rule in _RULES
                ]
            )
    return {"eta": np.asarray(eta), **dict(zip(_RULES, np.mean(found, axis=0)))}


def expected_rate(images: int = 64, turns: int = 3) -> float:
    """Labelled images per second to expect of training a Wide ResNet 28-2 on this CPU; an estimate.

    From the fastest of some forward passes, by processor time over all cores, so that other
    programs do not count; a labelled image costs as much as `FORWARDS` of them.
    """
    cores = os.cpu_count() or 1
    with tf.device("cpu"):
        network, batch = build(), tf.zeros([images, 32, 32, 3])
        network(batch[:1])
        seconds = []
        for _ in range(turns):
            begin, used = time.perf_counter(), time.process_time()
            network(batch).numpy()
            used = (time.process_time() - used) / cores
            seconds += [time.perf_counter() - begin, used]
    return images / (FORWARDS * min(seconds))
