"""What a trained learner says of pictures, given a few examples or just names of the classes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from zoolib.errors import ConfigError, DataError
from zoolib.models.am3 import evaluation, lexicon
from zoolib.models.am3.backbone import Parts
from zoolib.models.am3.network import Words

_LARGEST = 64  # pictures in one call


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What pictures show.

    Attributes:
        pictures: the files, or the arrays' numbers.
        names: of the classes.
        probabilities: float32 [pictures, classes].
        share: of example pictures in each class's prototype, float32 [classes]; the rest is the
            name's. 1 where the name is unknown, 0 where there were no examples.
    """

    pictures: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: np.ndarray
    share: np.ndarray

    @property
    def labels(self) -> tuple[str, ...]:
        """The most probable class of every picture."""
        return tuple(self.names[i] for i in self.probabilities.argmax(axis=1))

    def __str__(self) -> str:
        rows = zip(self.pictures, self.labels, self.probabilities.max(axis=1))
        return "\n".join(f"{picture}: {label} {p:.1%}" for picture, label, p in rows)


def predict(
    task: Any,
    support_images: Sequence[Any] | np.ndarray | None,
    class_names: Sequence[str] | None,
    query_images: Any,
    vectors: np.ndarray | None = None,
) -> Prediction:
    """Tell which of a few classes pictures show.

    Args:
        task: a trained :class:`~zoolib.models.am3.task.FewShot`.
        support_images: for each class its example pictures (files or arrays), any number of them,
            also none; or an array [C, K, size, size, 3], 0 to 255. None: names only.
        class_names: one per class; None where only pictures are known.
        query_images: files or an array [N, size, size, 3].
        vectors: word vectors [C, E] of the classes; looked up by name unless given. A row of
            zeros, like a name without any known word, leaves a class to its pictures.

    Raises:
        ConfigError: a class has neither pictures nor a known name, or the variant reads none.
        DataError: for a file that is no picture, or arrays of another size.
    """
    size, net = task.config.image_size, task.network
    groups = [] if support_images is None else [loaded(each, size)[1] for each in support_images]
    count = len(groups) or len(class_names or ())
    names = tuple(class_names) if class_names is not None else _numbers(count)
    groups = groups or [np.zeros((0, size, size, 3), np.uint8)] * count
    if len(names) != len(groups) or len(names) < 2:
        raise ConfigError(
            f"class_names: expected at least two, one for each of {len(groups)} groups of "
            f"support images, got {len(names)}"
        )
    rows, known = lexicon.rows(task, class_names, vectors, count)
    seen = np.array([len(group) > 0 for group in groups], np.float32)
    _check(task, names, known if task.source.words else np.zeros(count), seen)
    pictures, images = loaded(query_images, size)
    with task.session.placement():
        support, query = _features(task, groups, images)
        centres = np.zeros((count, net.encoder.width), np.float32)
        for place, found in enumerate(support):
            if len(found):
                centres[place] = found.mean(axis=0)
        feed = {"centres": centres[None], "query": _filled(query)[None], "seen": seen[None]}
        if task.source.words:
            feed.update(words=rows[None], known=known[None])
        key = ("predict", count, len(_filled(query)))
        call = task.cached(key, lambda: _judging(task, count))
        chances, share = call({name: tf.constant(v) for name, v in feed.items()})
    return Prediction(pictures, names, chances.numpy()[0, : len(images)], share.numpy()[0])


def loaded(images: Any, size: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Pictures as bytes [N, size, size, 3], and what they are called.

    Files are cut to their middle square and resized; arrays must have the size.

    Raises:
        DataError: for a file that is no picture, or an array of another size.
    """
    if isinstance(images, (str, os.PathLike)):
        images = [images]
    if not isinstance(images, np.ndarray) and any(
        isinstance(one, (str, os.PathLike)) for one in images
    ):
        paths = [Path(one) for one in images]
        found = [square_picture(path, size) for path in paths]
        return tuple(map(str, paths)), np.stack(found)
    array = np.asarray(images)
    if array.size == 0:
        return (), np.zeros((0, size, size, 3), np.uint8)
    if array.ndim != 4 or array.shape[1:] != (size, size, 3):
        raise DataError(
            f"images: expected files or [N, {size}, {size}, 3], 0 to 255, got {list(array.shape)}"
        )
    if array.dtype != np.uint8:
        array = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return _numbers(len(array)), array


def square_picture(path: Path, size: int) -> np.ndarray:
    """The middle square of a file, resized bilinearly as the data was, uint8 [size, size, 3].

    Raises:
        DataError: if it is missing or no picture.
    """
    try:
        with Image.open(path) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a picture ({error})") from None
    side = min(picture.size)
    left, top = ((n - side) // 2 for n in picture.size)
    cut = picture.crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((size, size), Image.BILINEAR), np.uint8)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(count))


def _check(task: Any, names: tuple[str, ...], known: np.ndarray, seen: np.ndarray) -> None:
    """Every class must be known by something."""
    unknown = [name for name, k, s in zip(names, known, seen) if not s and not k]
    if unknown:
        other = " or a name with a known word" if task.source.words else ""
        raise ConfigError(
            f"support_images: expected for every class at least one picture{other}, found nothing "
            f"of {', '.join(unknown)} ({task.config.variant})"
        )


def _filled(array: np.ndarray) -> np.ndarray:
    """Filled up with zeros to a power of two, so that few shapes are ever traced."""
    size = 1 << max(len(array) - 1, 0).bit_length()
    filled = np.zeros((size, *array.shape[1:]), array.dtype)
    filled[: len(array)] = array
    return filled


def _features(
    task: Any, groups: list[np.ndarray], images: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Features of each class's pictures, and of the queries; conditioned if the run is."""
    ends = np.cumsum([len(group) for group in groups])
    everything = np.concatenate([*groups, images])
    size = min(_LARGEST, len(_filled(everything)))
    found = evaluation.embed(task, everything, size)
    parts = [part for part in np.split(found[: ends[-1]], ends[:-1]) if len(part)]
    if task.config.conditioned and task.config.ten_at_eval and parts:
        tau = np.mean([part.mean(axis=0) for part in parts], axis=0)[None]
        call = task.cached(("conditioned", size), lambda: _conditioned(task, size))
        for start in range(0, len(everything), size):
            batch = everything[start : start + size]
            filled = np.zeros((size, *batch.shape[1:]), batch.dtype)
            filled[: len(batch)] = batch
            result = call(tf.constant(filled), tf.constant(tau.astype(np.float32)))
            found[start : start + size] = result.numpy()[: len(batch)]
    return np.split(found[: ends[-1]], ends[:-1]), found[ends[-1] :]


def _conditioned(task: Any, size: int) -> Callable:
    def features(images: tf.Tensor, tau: tf.Tensor) -> tf.Tensor:
        net = task.network
        return net.features(images, Parts(1, (size,)), False, net.ten(tau))

    return features


def _judging(task: Any, ways: int) -> Callable:
    def judge(feed: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        words = None
        if "words" in feed:
            words = Words(feed["words"], feed["known"], feed["seen"])
        judged = task.network.judge(feed["centres"], feed["query"], ways, words, False)
        share = judged.share
        share = tf.reduce_mean(share, axis=1) if len(share.shape) == 3 else share
        return tf.nn.softmax(judged.logits), share

    return judge
