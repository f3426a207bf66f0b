"""Batches for semi-supervised training as a pure function of (seed, step).

A step has B labelled images, one view of each, and B unlabelled ones with K independent views of
each. Both come from endless streams (`streams`), so nothing but the step needs to be saved to go
on, and the ranks' batches are shares of one global batch.

Deviation from RealMix and MixMatch: they repeat the list of images, then shuffle within a buffer,
so an image can come again before another has come at all; here every epoch has each image once.
"""

from __future__ import annotations

import numpy as np

from zoolib.data.semi_parts import SemiSupervised
from zoolib.data.streams import check_share, places_of, shuffled
from zoolib.data.views import Views
from zoolib.errors import ConfigError

Arrays = dict[str, np.ndarray]


class SemiBatches:
    """Labelled and unlabelled images in batches; may be asked by several threads.

    Attributes:
        data: where they come from.
        batch_size: labelled images, and as many unlabelled ones, per rank and step.
        views: of each unlabelled image.
        augment: what a view is.
        seed: of order and views.
        rank, ranks: which share is given out.
    """

    def __init__(
        self,
        data: SemiSupervised,
        batch_size: int,
        views: int = 2,
        augment: str | Views = "digits",
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        check_share(batch_size, rank, ranks)
        if views < 1:
            raise ConfigError(f"views: expected at least 1, got {views}.")
        self.data, self.batch_size, self.views = data, batch_size, views
        self.augment = Views(augment) if isinstance(augment, str) else augment
        self.seed, self.rank, self.ranks = seed, rank, ranks
        self._labelled = shuffled(len(data.labelled), seed, "semi/labelled/order")
        self._unlabelled = shuffled(len(data.unlabelled), seed, "semi/unlabelled/order")

    def batch(self, steps: range) -> Arrays:
        """Training batches of consecutive steps.

        Returns:
            `x` uint8 [steps, B, H, W, 3], labelled; `labels` int32 [steps, B];
            `u` uint8 [steps, views, B, H, W, 3], unlabelled;
            `u_index` int32 [steps, B], which of the unlabelled images these are.
        """
        labelled, unlabelled = self.data.labelled, self.data.unlabelled
        size, count = labelled.images.shape[1:], len(steps)
        batch = {
            "x": np.empty((count, self.batch_size, *size), np.uint8),
            "labels": np.empty((count, self.batch_size), np.int32),
            "u": np.empty((count, self.views, self.batch_size, *size), np.uint8),
            "u_index": np.empty((count, self.batch_size), np.int32),
        }
        for row, step in enumerate(steps):
            places = places_of(step, self.batch_size, self.rank, self.ranks)
            index = self._labelled.indices(places)
            batch["labels"][row] = labelled.labels[index]
            batch["x"][row] = self._views(labelled.images[index], "semi/labelled", places)
            index = self._unlabelled.indices(places)
            batch["u_index"][row] = index
            images = unlabelled.images[index]
            for view in range(self.views):
                batch["u"][row, view] = self._views(images, f"semi/unlabelled/{view}", places)
        return batch

    def _views(self, images: np.ndarray, purpose: str, places: range) -> np.ndarray:
        return self.augment.apply(images, self.seed, purpose, places)
