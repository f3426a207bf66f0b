"""N-way K-shot tasks from image classes, as a pure function of (seed, split, step).

Lee & Choi (arXiv 1801.05558), section 5.2, with the protocol of Finn et al. (2017): a task has
`ways` classes, each with `shots` support and `queries` query images; Omniglot classes are turned
by a random multiple of 90 degrees, one per class and task, in training and in testing.

Deviation from the earlier code: that listed 200 000 training tasks once and cycled through them;
here every step has fresh tasks, and none is held in memory.

Arrays are uint8 to keep the transfer to the device small; `to_float` says what the consumer does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from zoolib.data.arrayfile import load_arrays, save_arrays
from zoolib.data.draws import uniforms
from zoolib.data.episode_arrays import Arrays, choose, gather, to_float
from zoolib.data.image_classes import ImageClasses, several
from zoolib.errors import ConfigError, DataError

__all__ = [
    "EpisodeKey",
    "EpisodeSampler",
    "FixedEpisodes",
    "choose",
    "fixed_episodes",
    "gather",
    "load_episodes",
    "to_float",
]


class EpisodeSampler:
    """Draws tasks from one split.

    Task number e of a split is fixed by the seed; step s with B tasks has the numbers s*B to
    s*B + B - 1. So a step asked for alone, in a range, or after a resume is the same.

    Attributes:
        classes: the images of the split.
        ways, shots, queries: classes of a task, support and query images of each class.
        rotate: turn each class of each task by a random multiple of 90 degrees.
        seed, split_name: key of the random numbers; splits are independent streams.
    """

    def __init__(
        self,
        classes: ImageClasses,
        ways: int,
        shots: int,
        queries: int,
        rotate: bool,
        seed: int,
        split_name: str,
    ) -> None:
        """See the class.

        Raises:
            ConfigError: `ways`, `shots` or `queries` below 1.
            DataError: too few classes, too few images in a class, or images to be turned that are
                not square.
        """
        if min(ways, shots, queries) < 1:
            raise ConfigError(
                f"Expected ways, shots and queries of at least 1, got {ways}, {shots}, {queries}."
            )
        self.classes, self.ways, self.shots, self.queries = classes, ways, shots, queries
        self.rotate, self.seed, self.split_name = rotate, seed, split_name
        self._starts, self._counts = classes.starts, classes.counts
        self._check()

    def _check(self) -> None:
        names, needed = self.classes.names, self.shots + self.queries
        if len(names) < self.ways:
            raise DataError(
                f"{self.split_name}: expected at least {self.ways} classes for {self.ways}-way "
                f"tasks, found {len(names)}. Ask for fewer ways or add classes."
            )
        few = [f"{names[i]} ({self._counts[i]})" for i in np.flatnonzero(self._counts < needed)]
        if few:
            raise DataError(
                f"{self.split_name}: expected at least {needed} images in every class "
                f"({self.shots} shots + {self.queries} queries), but fewer are in {several(few)}."
            )
        height, width = self.classes.images.shape[1:3]
        if self.rotate and height != width:
            raise DataError(
                f"{self.split_name}: only square images can be turned by 90 degrees, these are "
                f"{height} x {width}. Load them square or set rotate=False."
            )

    def indices(self, steps: range, tasks: int) -> Arrays:
        """Which images make up the tasks of consecutive steps.

        Args:
            steps: consecutive steps (a range of stride 1).
            tasks: tasks per step, B.

        Returns:
            int32 arrays with leading axes [steps, B]: `classes` [ways], all different; `support`
            [ways*shots] and `query` [ways*queries], places in `classes.images`, class after class,
            no image twice in a task; `rotation` [ways], counter-clockwise quarter turns, 0 to 3.
        """
        if steps.step != 1 or tasks < 1:
            raise ValueError(f"Expected steps of stride 1 and tasks >= 1, got {steps}, {tasks}.")
        episodes = range(steps.start * tasks, steps.start * tasks + len(steps) * tasks)
        lead, ways, each = (len(steps), tasks), self.ways, self.shots + self.queries
        chosen = choose(self._draw("classes", episodes, ways), len(self.classes.names))
        drawn = self._draw("images", episodes, ways * each).reshape(len(episodes), ways, each)
        images = choose(drawn, self._counts[chosen]) + self._starts[chosen][..., None]
        rotation = np.zeros(chosen.shape)
        if self.rotate:
            rotation = np.floor(self._draw("rotation", episodes, ways) * 4)
        arrays = {
            "classes": chosen,
            "support": images[..., : self.shots].reshape(-1, ways * self.shots),
            "query": images[..., self.shots :].reshape(-1, ways * self.queries),
            "rotation": rotation,
        }
        return {
            name: np.ascontiguousarray(array.reshape(*lead, array.shape[-1]), dtype=np.int32)
            for name, array in arrays.items()
        }

    def _draw(self, what: str, episodes: range, count: int) -> np.ndarray:
        return uniforms(self.seed, f"episodes/{self.split_name}/{what}", episodes, count)

    def batch(self, steps: range, tasks: int) -> Arrays:
        """The tasks of consecutive steps.

        Takes len(steps) * B * ways * (shots + queries) * H * W * C bytes: with miniImageNet, 5 ways
        and 16 images per class 1.7 MB a task, so choose the number of steps by that.

        Returns:
            `support_x` uint8 [steps, B, ways*shots, H, W, C], `support_y` int32 [steps, B,
            ways*shots], `query_x`, `query_y` alike with queries. Images come class after class; a
            label is the position of the class in the task, 0 to ways - 1.
        """
        return gather(self.classes.images, self.indices(steps, tasks))


@dataclass(frozen=True)
class EpisodeKey:
    """What stored tasks belong to; all must agree before they are used."""

    data: str  # checksum of the images
    split_name: str
    ways: int
    shots: int
    queries: int
    rotate: bool


@dataclass(frozen=True, eq=False)
class FixedEpisodes:
    """Test tasks that are the same for every method and every run.

    Attributes:
        index: the arrays of `EpisodeSampler.indices`, without the step axis: [count, ...].
        key: the data and the kind of task they belong to.
    """

    index: Arrays
    key: EpisodeKey

    def __len__(self) -> int:
        """The number of tasks."""
        return len(self.index["rotation"])

    def batch(self, classes: ImageClasses, start: int = 0, stop: int | None = None) -> Arrays:
        """Tasks start to stop - 1, as of `EpisodeSampler.batch`, without the step axis.

        Raises:
            DataError: `classes` is not the data the tasks were made from.
        """
        if classes.checksum != self.key.data:
            raise DataError(
                f"Stored tasks: expected the images with checksum {self.key.data[:12]}…, got "
                f"{classes.checksum[:12]}…. Make the tasks again with fixed_episodes."
            )
        return gather(classes.images, {k: v[start:stop] for k, v in self.index.items()})

    def save(self, path: Path | str) -> None:
        """Write to an .npz, whole or not at all."""
        save_arrays(Path(path), self.index, asdict(self.key))


def fixed_episodes(sampler: EpisodeSampler, count: int = 600, seed: int = 1) -> FixedEpisodes:
    """Make the stored test tasks of a split.

    They depend on `seed`, not on the sampler's, so that runs with different seeds are tested on the
    same tasks. 600 independent tasks are the protocol of the paper; cycling through them for more
    points, as the earlier code did, only makes the confidence interval look small.
    """
    fixed = EpisodeSampler(
        sampler.classes,
        sampler.ways,
        sampler.shots,
        sampler.queries,
        sampler.rotate,
        seed,
        f"{sampler.split_name}/fixed",
    )
    index = {name: array[0] for name, array in fixed.indices(range(1), count).items()}
    return FixedEpisodes(index, _key(sampler))


def load_episodes(path: Path | str, sampler: EpisodeSampler) -> FixedEpisodes:
    """Read stored tasks and check that they belong to the sampler's data and kind of task.

    Raises:
        DataError: the file is missing, damaged, or belongs to something else.
    """
    arrays, about = load_arrays(Path(path))
    expected = asdict(_key(sampler))
    if about != expected:
        differing = [name for name in expected if about.get(name) != expected[name]]
        raise DataError(
            f"{path}: these stored tasks belong to other data or another kind of task: "
            + "; ".join(f"{n}: expected {expected[n]}, found {about.get(n)}" for n in differing)
            + ". Make them again with fixed_episodes."
        )
    return FixedEpisodes(arrays, _key(sampler))


def _key(sampler: EpisodeSampler) -> EpisodeKey:
    return EpisodeKey(
        sampler.classes.checksum,
        sampler.split_name,
        sampler.ways,
        sampler.shots,
        sampler.queries,
        sampler.rotate,
    )
