"""Write records: several processes, a shard at a time, to be taken up again after any end.

A shard counts once its description (`shard-0000.json`: checksum, lengths, labels, odd files)
stands beside it; that is written last. So a build that was killed, or ran out of disk, goes on
with the shards that are missing, and the finished set has the same bytes as one made in one go.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from zoolib.data.record_format import Record, encode_example, frames
from zoolib.data.record_images import inspect
from zoolib.data.record_manifest import PLAN, finish
from zoolib.data.record_plan import LabelledImages, RecordOptions, ShardJob, jobs
from zoolib.data.whole_files import PARTIAL, locked, read_json, write_json, writing
from zoolib.errors import DataError

_AT_ONCE = 1 << 19  # bytes of pictures between two writes


def build_records(
    images: LabelledImages,
    to: Path,
    options: RecordOptions,
    workers: int = 1,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the records of a data set, or what is missing of them.

    Args:
        images: the pictures.
        to: folder of the records, made if missing: `train_shards`, `val_shards`, `manifest.json`
            (classes, counts, checksums), `report.csv` (every odd file and what was done).
        options: how.
        workers: processes; with 1 all is done in this one.
        progress: show a bar on standard error.

    Returns:
        The manifest.

    Raises:
        DataError: the folder holds records made from something else or in another way.
        StoreError: it cannot be written, or another process is at work in it.
    """
    from tqdm import tqdm  # the processes that write do without

    if workers < 1:
        raise DataError(f"workers: expected at least 1, got {workers}.")
    plan, shards = jobs(images, options)
    with locked(to):
        _check_plan(to, plan)
        for folder in sorted({(to / job.file).parent for job in shards}):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(to / PLAN, plan)
        missing = [job for job in shards if not finished(to, job)]
        total = sum(len(job.pictures) for job in shards)
        done = total - sum(len(job.pictures) for job in missing)
        bar = tqdm(total=total, initial=done, unit=" images", disable=not progress)
        with bar:
            for count in _work(to, missing, workers):
                bar.update(count)
        _sweep(to, shards)
        return finish(images, to, plan, shards)


def finished(to: Path, job: ShardJob) -> bool:
    """Whether a shard of this very plan is complete."""
    path = to / job.file
    try:
        about = read_json(path.with_suffix(".json"))
        size = path.stat().st_size if path.exists() else 0
        return about["plan"] == job.plan and about["bytes"] == size
    except (DataError, KeyError, TypeError, OSError):
        return False


def _check_plan(to: Path, plan: dict[str, Any]) -> None:
    if not (to / PLAN).exists():
        others = [p for folder in ("train_shards", "val_shards") for p in (to / folder).glob("*")]
        if others:
            raise DataError(
                f"{to}: expected an empty folder or a build to go on with, found {others[0].name} "
                "of unknown origin. Take another folder, or delete these files."
            )
        return
    stored = read_json(to / PLAN)
    different = [key for key in plan if stored.get(key) != plan[key]]
    if different:
        shown = [f"{k} {_short(stored.get(k))} there, {_short(plan[k])} now" for k in different]
        raise DataError(
            f"{to}: holds records made otherwise ({'; '.join(shown)}). Take another folder, or "
            "delete this one."
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _work(to: Path, missing: Sequence[ShardJob], workers: int) -> Iterator[int]:
    """Write shards; the number of pictures of each one that is done."""
    count = min(workers, len(missing))
    if count <= 1:
        for job in missing:
            yield write_shard(to, job)
        return
    # Fresh processes: a copy of one in which TensorFlow's threads run could hang.
    context = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(count, context, initializer=_end_with_parent) as pool:
        waiting = [pool.submit(write_shard, to, job) for job in missing]
        try:
            for future in futures.as_completed(waiting):
                yield future.result()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def _end_with_parent() -> None:
    """A process whose parent was killed stops, so that a new build finds nobody at work."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def write_shard(to: Path, job: ShardJob) -> int:
    """Write one shard and then its description.

    Returns:
        How many pictures were looked at.
    """
    path = to / job.file
    path.with_suffix(".json").unlink(missing_ok=True)
    lengths: list[int] = []
    labels: list[int] = []
    notes: list[tuple[str, str, str]] = []
    digest, total = hashlib.sha256(), 0
    with writing(path) as file:
        for batch in _batches(_records(job, labels, notes)):
            lengths += map(len, batch)
            content = frames(batch)
            digest.update(content)
            total += file.write(content)
    if not lengths:  # every picture was left out: an empty file would be no use to anybody
        path.unlink()
    about = {"plan": job.plan, "split": job.split, "file": job.file, "bytes": total}
    about.update(records=len(lengths), sha256=digest.hexdigest(), lengths=lengths, labels=labels)
    write_json(path.with_suffix(".json"), {**about, "notes": notes})
    return len(job.pictures)


def _records(
    job: ShardJob, labels: list[int], notes: list[tuple[str, str, str]]
) -> Iterator[bytes]:
    """The shard's examples; what is found on the way goes into the lists."""
    for place, picture in enumerate(job.pictures):
        try:
            content = picture.read()
        except OSError as error:
            notes.append((picture.name, f"cannot be read: {error.strerror}", "left out"))
            continue
        seen = inspect(content, job.odd)
        if seen.note:
            notes.append((picture.name, *seen.note))
        if seen.jpeg is None:
            continue
        about = {
            "height": seen.height,
            "width": seen.width,
            "filename": picture.name.rpartition("/")[2],
            "synset": job.synsets[place],
            "text": job.words[place],
        }
        labels.append(picture.label)
        boxes = None if job.boxes is None else job.boxes[place]
        yield encode_example(job.schema, Record(seen.jpeg, picture.label, boxes), about)


def _batches(records: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch, size = [], 0
    for record in records:
        batch.append(record)
        size += len(record)
        if size >= _AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _sweep(to: Path, shards: Sequence[ShardJob]) -> None:
    """Remove what writers that were killed left behind."""
    for folder in {(to / job.file).parent for job in shards}:
        for path in folder.glob(f".*{PARTIAL}"):
            path.unlink()
