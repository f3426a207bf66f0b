"""Runs side by side: what differs, means over seeds, paired differences with their intervals."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from zoolib.core.compare_tables import as_dict, as_html, as_text
from zoolib.core.group_labels import differences, label_groups
from zoolib.core.run_records import INTERVAL, Run, find, lower_is_better, read
from zoolib.core.statistics import Estimate, estimate
from zoolib.errors import ConfigError

AVERAGED = "swa_"  # metrics of a run's averaged weights, beside those of the raw ones
TIE = "tie"


@dataclasses.dataclass(frozen=True)
class Group:
    """Finished runs that differ in nothing but the seed.

    A run with SWA stands in two groups, of its raw and of its averaged weights.

    Attributes:
        label: a short name: what sets it apart from the other groups.
        settings: what its runs have in common.
        runs: one per seed, by seed.
        headline: the metric it is judged by.
        averaged: whether its metrics are those of averaged weights.
    """

    label: str
    settings: dict[str, Any]
    runs: tuple[Run, ...]
    headline: str
    averaged: bool = False

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(run.config.seed for run in self.runs)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that every run has, in the order of the first; intervals are none of them."""
        every = [self._own(run.metrics) for run in self.runs]
        return tuple(name for name in every[0] if all(name in values for values in every))

    @property
    def lower_is_better(self) -> bool | None:
        """Direction of the headline; None if nobody told."""
        return self.direction(self.headline)

    def direction(self, metric: str) -> bool | None:
        """Whether less of a metric is better; None if nobody told."""
        summary = self.runs[0].summary
        if metric == summary.get("headline") and "lower_is_better" in summary:
            return bool(summary["lower_is_better"])
        return lower_is_better(metric)

    def values(self, metric: str) -> dict[int, float]:
        """Seed -> final value of a metric."""
        return {run.config.seed: self._own(run.metrics)[metric] for run in self.runs}

    def estimate(self, metric: str) -> Estimate:
        """Mean, spread and interval of a metric over the seeds."""
        return estimate(list(self.values(metric).values()))

    def curves(self, metric: str) -> tuple[list[int], list[list[float]]]:
        """Steps [n] at which every run reported a metric, and its values [seeds][n]."""
        tables = [
            {row["step"]: own[metric] for row in run.history if metric in (own := self._own(row))}
            for run in self.runs
        ]
        steps = [step for step in tables[0] if all(step in table for table in tables)]
        return steps, [[table[step] for step in steps] for table in tables]

    def _own(self, row: dict[str, float]) -> dict[str, float]:
        """The part of a row that is this group's, its averaged weights' prefix taken off."""
        cut = len(AVERAGED) if self.averaged else 0
        return {
            name[cut:]: value
            for name, value in row.items()
            if not name.endswith(INTERVAL) and name.startswith(AVERAGED) == self.averaged
        }


@dataclasses.dataclass(frozen=True)
class Difference:
    """One metric of two groups, seed by seed.

    Attributes:
        metric: its name.
        values: seed -> second group minus first.
        estimate: their mean with its 95 % interval.
        verdict: the better group's label; ``"tie"`` where the interval holds 0; ``"one seed"``,
            ``"not finite"`` or, if the metric's direction is not known, which is higher.
    """

    metric: str
    values: dict[int, float]
    estimate: Estimate
    verdict: str


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two groups with seeds in common; the same seed means the same data and random numbers.

    Attributes:
        a, b: the groups; differences are b minus a.
        differences: by metric, the headline first.
    """

    a: Group
    b: Group
    differences: dict[str, Difference]

    @property
    def label(self) -> str:
        """The difference in words."""
        return f"{self.b.label} - {self.a.label}"

    @property
    def headline(self) -> Difference:
        """The difference of the metric by which the two are judged."""
        return next(iter(self.differences.values()))

    @property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """Settings in which the two differ; of two methods just their names."""
        one, two = self.a.settings, self.b.settings
        names = ["model"] if one["model"] != two["model"] else list({**one, **two})
        return {n: (one.get(n), two.get(n)) for n in names if one.get(n) != two.get(n)}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What :func:`zoolib.compare` found; prints as tables, shows itself in a notebook.

    Attributes:
        runs: every run, unfinished and damaged ones too.
        groups: the finished ones, gathered over seeds.
        pairs: every two groups with seeds and metrics in common.
        differences: setting -> label -> value, for settings that set groups apart.
        notes: remarks, e.g. that a run was left out.
    """

    runs: tuple[Run, ...]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    differences: dict[str, dict[str, Any]]
    notes: tuple[str, ...] = ()

    def __getitem__(self, label: str) -> Group:
        for group in self.groups:
            if group.label == label:
                return group
        raise KeyError(f"{label!r}: expected one of {[group.label for group in self.groups]}")

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return as_dict(self)

    def text(self, everything: bool = False) -> str:
        """The tables as plain text; ``everything``: no metric of a pair left out."""
        return as_text(self, everything)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        counts = f"{len(self.runs)} runs, {len(self.groups)} groups, {len(self.pairs)} pairs"
        return f"Comparison({counts})"

    def _repr_html_(self) -> str:
        return as_html(self)


def compare(*folders: Any, metric: str | None = None) -> Comparison:
    """Compare runs; needs no TensorFlow.

    Every interval is a 95 % one on its own: of twenty ties, one is expected to look like a
    difference.

    Args:
        folders: run folders, folders holding some, glob patterns, or results of ``zoolib.train``.
        metric: judge by this metric, where a run has it, instead of by the method's headline.

    Raises:
        StoreError: for a place without any run.
        ConfigError: for no place at all, or a metric that no finished run has.
    """
    if not folders:
        raise ConfigError("compare: expected at least one folder, got none")
    runs = tuple(read(folder) for folder in find(folders))
    kept, notes = _one_per_seed([run for run in runs if run.state == "finished"])
    groups = label_groups(_groups(kept, metric))
    known = list(dict.fromkeys(name for group in groups for name in group.metrics))
    if metric is not None and metric not in known:
        raise ConfigError(f"metric: expected one of {', '.join(known) or 'none'}, got {metric!r}")
    pairs = [_pair(a, b) for a, b in itertools.combinations(groups, 2)]
    notes += [f"{run.folder.name} is damaged: {run.reason}" for run in runs if run.reason]
    notes += _versions(groups)
    return Comparison(
        runs, tuple(groups), tuple(filter(None, pairs)), differences(groups), tuple(notes)
    )


def _one_per_seed(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Of runs with equal settings and equal seed the newest: the others add nothing."""
    kept: dict[Any, Run] = {}
    notes = []
    for run in runs:
        key = (*map(str, run.settings().items()), run.config.seed)
        other = kept.get(key)
        if other is None:
            kept[key] = run
            continue
        older, kept[key] = sorted((other, run), key=_age)
        same = "with equal" if older.metrics == run.metrics == other.metrics else "with other"
        notes.append(f"{older.folder.name} is not counted: run again, {same} metrics")
    return list(kept.values()), notes


def _age(run: Run) -> float:
    return (run.folder / "summary.json").stat().st_mtime


def _groups(runs: Sequence[Run], metric: str | None) -> list[Group]:
    gathered: dict[Any, list[Run]] = {}
    for run in runs:
        gathered.setdefault(tuple(map(str, run.settings().items())), []).append(run)
    groups = []
    for members in gathered.values():
        members.sort(key=lambda run: run.config.seed)
        own, settings = members[0].headline, members[0].settings()
        group = Group("", settings, tuple(members), own)
        averaged = dataclasses.replace(group, averaged=True)
        sides = [group, averaged] if own in averaged.metrics else [group]
        for side in sides:
            wanted = metric if metric in side.metrics else own
            told = {**settings, "weights": "averaged" if side.averaged else "raw"}
            groups.append(dataclasses.replace(side, headline=wanted, settings=told))
    return groups


def _pair(a: Group, b: Group) -> Pair | None:
    seeds = [seed for seed in a.seeds if seed in b.seeds]
    common = [name for name in a.metrics if name in b.metrics]
    if not seeds or not common:
        return None
    first = next((name for name in (a.headline, b.headline) if name in common), common[0])
    names = dict.fromkeys([first, *(name for name in common if not _constant(a, b, name))])
    return Pair(a, b, {name: _difference(a, b, name, seeds) for name in names})


def _constant(a: Group, b: Group, metric: str) -> bool:
    """Whether a metric is the same in all runs: one of the data, not of the method."""
    found = {*a.values(metric).values(), *b.values(metric).values()}
    return len(found) == 1 and len(a.runs) + len(b.runs) > 2


def _difference(a: Group, b: Group, metric: str, seeds: Sequence[int]) -> Difference:
    one, two = a.values(metric), b.values(metric)
    values = {seed: two[seed] - one[seed] for seed in seeds}
    found = estimate(list(values.values()))
    if found.mean != found.mean:
        verdict = "not finite"
    elif found.n == 1:
        verdict = "one seed"
    elif found.tie():
        verdict = TIE
    else:
        lower, higher = (a.label, b.label) if found.mean > 0 else (b.label, a.label)
        less = a.direction(metric)
        verdict = f"{higher} is higher" if less is None else lower if less else higher
    return Difference(metric, values, found, verdict)


def _versions(groups: Sequence[Group]) -> list[str]:
    """A remark if the runs come from more than one TensorFlow: their numbers may differ for it."""
    packages = [run.env.get("packages", {}) for group in groups for run in group.runs]
    told = {p.get("tensorflow") or p.get("tensorflow-cpu") for p in packages} - {None}
    return [f"made with more than one TensorFlow: {', '.join(sorted(told))}"] * (len(told) > 1)
