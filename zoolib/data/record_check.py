"""Check finished records against their manifest: counts and checksums of every shard."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tqdm import tqdm

from zoolib.data.image_classes import several
from zoolib.data.record_format import record_lengths
from zoolib.data.record_manifest import read_manifest
from zoolib.errors import DataError

_BLOCK = 1 << 20


def check_records(name: str, root: Path, progress: bool = False) -> dict[str, int]:
    """Read every shard and compare it with the manifest.

    Returns:
        Records of each part, by its name.

    Raises:
        DataError: records of another data set, or shards that are missing or differ.
    """
    manifest = read_manifest(root)
    if manifest["data"] != name:
        raise DataError(f"{root}: expected records of {name}, found those of {manifest['data']}.")
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    wrong = []
    with tqdm(total=sum(s["bytes"] for s in shards), unit="B", unit_scale=True,
              disable=not progress) as bar:  # fmt: skip
        for shard in shards:
            reason = _difference(root / shard["file"], shard)
            if reason:
                wrong.append(f"{shard['file']} ({reason})")
            bar.update(shard["bytes"])
    if wrong:
        raise DataError(
            f"{root}: {len(wrong)} of {len(shards)} shards differ from the manifest: "
            f"{several(wrong)}. Delete these files and run the same build again."
        )
    return {split: found["records"] for split, found in manifest["splits"].items()}


def _difference(path: Path, shard: dict[str, Any]) -> str | None:
    """What is wrong with a shard; None if nothing is."""
    try:
        size = path.stat().st_size
        if size != shard["bytes"]:
            return f"{size} bytes, expected {shard['bytes']}"
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                digest.update(block)
        if digest.hexdigest() != shard["sha256"]:
            return "checksum"
        if len(record_lengths(path)) != shard["records"]:
            return "count"
    except FileNotFoundError:
        return "missing"
    except (OSError, DataError) as error:
        return str(error)
    return None
