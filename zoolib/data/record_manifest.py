"""What a set of finished records says of itself: `manifest.json`, and `report.csv` of odd files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoolib.data.record_plan import LabelledImages, ShardJob
from zoolib.data.whole_files import read_json, write_json, writing
from zoolib.errors import DataError

PLAN, MANIFEST, REPORT = "plan.json", "manifest.json", "report.csv"
FORMAT = 1


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a folder of records.

    Raises:
        DataError: none there (never built, or not to the end), or of another format.
    """
    path = root / MANIFEST
    if not path.is_file():
        raise DataError(
            f"{root}: expected finished records with {MANIFEST}, found none. Build them, or run "
            "the same build again to finish it."
        )
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path}: expected a manifest of format {FORMAT}. Build the records again.")
    return manifest


def finish(
    images: LabelledImages, to: Path, plan: dict[str, Any], shards: Sequence[ShardJob]
) -> dict[str, Any]:
    """Write report and manifest from the shards' descriptions."""
    notes = [("", *note) for note in images.notes]
    splits: dict[str, Any] = {}
    for job in shards:
        about = read_json((to / job.file).with_suffix(".json"))
        split = splits.setdefault(job.split, {"records": 0, "left_out": 0, "shards": []})
        split["records"] += about["records"]
        split["left_out"] += len(job.pictures) - about["records"]
        if about["records"]:
            kept = ("file", "records", "bytes", "sha256")
            split["shards"].append({key: about[key] for key in kept})
        notes += [(job.split, *note) for note in about["notes"]]
    for split, found in splits.items():
        if not found["records"]:
            raise DataError(
                f"{images.name}: expected pictures to {split} with, but every one of "
                f"{found['left_out']} was left out. The reasons: {_reasons(notes)}."
            )
    _write_report(to / REPORT, notes)
    counts = {"noted": len(notes), "boxes": images.boxes is not None}
    manifest = {"format": FORMAT, **plan, **counts, "splits": splits}
    write_json(to / MANIFEST, manifest)
    return manifest


def _reasons(notes: Sequence[tuple[str, ...]], limit: int = 3) -> str:
    return "; ".join(sorted({note[2] for note in notes})[:limit])


def _write_report(path: Path, notes: Sequence[tuple[str, ...]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("part", "file", "found", "done"))
    table.writerows(sorted(notes))
    with writing(path) as file:
        file.write(text.getvalue().encode(errors="surrogateescape"))
