"""What benchmarks/shufflenet_v2.py measures of the data side; each part is a process of its own.

python benchmarks/yardsticks/shufflenet_data.py pipeline   # batches against bare decode and crop
python benchmarks/yardsticks/shufflenet_data.py build      # records with two processes and with one
python benchmarks/yardsticks/shufflenet_data.py memory     # resident set over epochs of a run
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import meters
import numpy as np
from PIL import Image


def pictures(folder: Path, count: int, classes: int = 4) -> None:
    """JPEGs as large and as hard to decode as ImageNet's: 500 x 375, about 100 kB each."""
    source, unique = np.random.default_rng(0), []
    for _ in range(min(count, 48)):
        image = np.zeros((375, 500, 3), np.float32)
        for scale in (1, 2, 5, 25, 125):  # noise whose power falls with frequency, as in nature
            small = source.normal(size=(375 // scale, 500 // scale, 3)) * 12 * scale**0.5
            planes = [Image.fromarray(p.astype(np.float32)) for p in np.moveaxis(small, 2, 0)]
            image += np.stack([np.asarray(p.resize((500, 375), 2)) for p in planes], 2)
        file = io.BytesIO()
        Image.fromarray(np.uint8(np.clip(128 + image, 0, 255))).save(file, "JPEG", quality=90)
        unique.append(file.getvalue())
    for number in range(count):
        place = folder / f"class{number % classes}" / f"{number:05d}.JPEG"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(unique[number % len(unique)])


def records(folder: Path, to: Path, workers: int, shards: int = 8) -> float:
    """Build records, a tenth of them for validation; how many seconds it took."""
    from zoolib.data.own_images import from_folders
    from zoolib.data.record_builder import build_records
    from zoolib.data.record_plan import RecordOptions

    options = RecordOptions(shards={"train": shards, "val": max(1, shards // 8)})
    began = time.perf_counter()
    build_records(from_folders(folder), to, options, workers)
    return time.perf_counter() - began


def build(place: Path, rounds: int, count: int) -> dict[str, Any]:
    """Images per second with one and with two processes, in turns.

    Shards of some 200 pictures, so that two processes end together; ImageNet's have 1,250.
    """
    pictures(place / "images", count)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for workers in (1, 2) if number % 2 else (2, 1):
            rates[workers].append(count / records(place / "images", place / "records", workers, 32))
            shutil.rmtree(place / "records")
    size = sum(f.stat().st_size for f in (place / "images").rglob("*.JPEG")) / count
    return {"one": rates[1], "two": rates[2], "bytes_per_image": round(size)}


def pipeline(place: Path, rounds: int, count: int) -> dict[str, Any]:
    """Images per second of training batches, and of decoding and cropping alone, in turns.

    The bare rate decodes the crops that training takes of the same images, bytes in memory, with
    tf.data on all cores: no reading, no resizing, no colours, no batches. Before either is timed
    all threads are at rest, and the batches fetched ahead are used up.
    """
    import tensorflow as tf

    from zoolib.data.augmentation import choose
    from zoolib.data.image_records import ImageRecords, jpeg_size
    from zoolib.data.record_format import decode_example

    pictures(place / "images", count)
    records(place / "images", place / "records", 2)
    train = ImageRecords(place / "records", "train", 32)
    batches, passes = 12, 3
    places = range(0, 32 * batches)
    jpegs = [decode_example(train.index.read(int(i))).jpeg for i in train.indices(places)]
    sizes = np.array([jpeg_size(jpeg) for jpeg in jpegs])
    crops = choose(train.augmentation, train.seed, places, sizes, [None] * len(jpegs)).crop
    bare = tf.data.Dataset.from_tensor_slices((np.array(jpegs, object), crops)).map(
        lambda jpeg, crop: tf.size(tf.io.decode_and_crop_jpeg(jpeg, crop, channels=3)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    stream = train.training()
    rates: dict[str, list[float]] = {"batches": [], "bare": []}
    for number in range(-1, rounds):  # the first round warms up
        for kind in ("batches", "bare") if number % 2 else ("bare", "batches"):
            time.sleep(1)
            if kind == "batches":
                for _ in range(6):
                    next(stream)
            began = time.perf_counter()
            if kind == "bare":
                for _ in itertools.chain.from_iterable([bare] * passes):
                    pass
            else:
                for _ in range(passes * batches):
                    next(stream)
            if number >= 0:
                rates[kind].append(32 * passes * batches / (time.perf_counter() - began))
    return rates


def memory(place: Path, rounds: int, count: int) -> dict[str, Any]:
    """Resident set at the ends of a run's epochs, MiB; the first two warm up."""
    import zoolib

    pictures(place / "images", count)
    records(place / "images", place / "records", 2)
    steps = int(count * 0.9) // 32
    config = zoolib.get_model("shufflenet_v2").preset(
        "smoke",
        datasource="records",
        data_dir=str(place / "records"),
        iterations=steps * (2 + rounds),
        report_every=steps,
        checkpoint_every=10**6,
        batch_size=32,
        image_size=64,
    )
    marks = []
    for event in zoolib.run(config, device="cpu", out=place / "runs"):
        if type(event).__name__ == "Stepped":
            marks.append(round(meters.resident_mib(), 1))
    return {"steps_per_epoch": steps, "epochs_mib": marks}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("pipeline", "build", "memory"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=480)
    given = parser.parse_args()
    part = {"pipeline": pipeline, "build": build, "memory": memory}[given.part]
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(part(Path(place), given.rounds, given.images)))


if __name__ == "__main__":
    main()
