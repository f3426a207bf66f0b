"""Stand-ins for the archives of CIFAR, SVHN and STL-10, in every form in which they are handed out.

So the readers and builders run with no download. A picture is its class's colour with noise.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zoolib.data.draws import uniforms
from zoolib.data.matfile import write_arrays

CIFAR_FORMS = ("python", "binary", "matlab")


def coloured(labels: np.ndarray, size: int, seed: int = 0) -> np.ndarray:
    """Pictures of these classes, uint8 [n, size, size, 3]; the same class has the same colours."""
    classes = int(labels.max()) + 1
    base = uniforms(seed, "coloured/class", range(classes), 3)[labels][:, None, None]
    noise = uniforms(seed, "coloured/noise", range(len(labels)), size * size * 3)
    images = 0.7 * base + 0.3 * noise.reshape(len(labels), size, size, 3)
    return np.floor(images * 256).astype(np.uint8)


def write_cifar(
    path: Path, form: str, labels: np.ndarray, test: np.ndarray, hundred: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Write an archive like cifar-10-python.tar.gz and its fellows.

    Args:
        path: the .tar.gz.
        form: one of `CIFAR_FORMS`.
        labels: of the training images, in file order; CIFAR-10 deals them to five files.
        test: labels of the test images.
        hundred: in the form of CIFAR-100.

    Returns:
        The training and test images, uint8 [n, 32, 32, 3].
    """
    images, others = coloured(labels, 32), coloured(test, 32, seed=1)
    stems = ["train"] if hundred else [f"data_batch_{i}" for i in range(1, 6)]
    parts = list(zip(stems, np.array_split(images, len(stems)), np.array_split(labels, len(stems))))
    parts.append(("test" if hundred else "test_batch", others, test))
    folder = f"cifar-100-{form}" if hundred else f"cifar-10-batches-{form}"
    ending = {"python": "", "binary": ".bin", "matlab": ".mat"}[form]
    contents = {
        f"{folder}/{stem}{ending}": _cifar_file(form, pixels, numbers, hundred, path)
        for stem, pixels, numbers in parts
    }
    names = [f"class_{c}" for c in range(int(labels.max()) + 1)]
    contents.update(_cifar_meta(form, folder, names, hundred, path))
    write_tar(path, contents)
    return images, others


def _cifar_file(
    form: str, images: np.ndarray, labels: np.ndarray, hundred: bool, near: Path
) -> bytes:
    data = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    key = "fine_labels" if hundred else "labels"
    if form == "binary":
        ahead = np.stack([labels // 5, labels] if hundred else [labels], axis=1)
        return np.concatenate([ahead.astype(np.uint8), data], axis=1).tobytes()
    if form == "python":
        return pickle.dumps({"batch_label": "some", "data": data, key: labels.tolist()}, protocol=2)
    return _mat(near, {"data": data, key: labels.astype(np.uint8)[:, None]})


def _cifar_meta(
    form: str, folder: str, names: list[str], hundred: bool, near: Path
) -> dict[str, bytes]:
    stem, key = ("meta", "fine_label_names") if hundred else ("batches.meta", "label_names")
    if form == "binary":
        file = "fine_label_names.txt" if hundred else "batches.meta.txt"
        return {f"{folder}/{file}": ("\n".join(names) + "\n\n").encode()}
    if form == "python":
        return {f"{folder}/{stem}": pickle.dumps({key: names}, protocol=2)}
    return {f"{folder}/{stem}.mat": _mat(near, {key: names})}


def _mat(near: Path, variables: Mapping[str, object]) -> bytes:
    scratch = near.with_name(f".{near.name}.mat")
    write_arrays(scratch, variables)
    content = scratch.read_bytes()
    scratch.unlink()
    return content


def write_svhn(folder: Path, **parts: np.ndarray) -> dict[str, np.ndarray]:
    """Write train_32x32.mat and so on: part -> classes 0 to 9, stored as 1 to 10. The images."""
    images = {part: coloured(labels, 32, seed=len(part)) for part, labels in parts.items()}
    for part, labels in parts.items():
        table = {"X": images[part].transpose(1, 2, 3, 0), "y": (labels + 1.0)[:, None]}
        write_arrays(folder / f"{part}_32x32.mat", table)
    return images


def write_stl10(
    path: Path, train: np.ndarray, test: np.ndarray, unlabelled: int, folds: str = ""
) -> dict[str, np.ndarray]:
    """Write an archive like stl10_binary.tar.gz; the images uint8 [n, 96, 96, 3] of each part."""
    labels = {"train": train, "test": test, "unlabeled": np.arange(unlabelled) % 10}
    images = {part: coloured(numbers, 96, seed=len(part)) for part, numbers in labels.items()}
    contents = {"stl10_binary/fold_indices.txt": folds.encode()} if folds else {}
    for part, pixels in images.items():
        contents[f"stl10_binary/{part}_X.bin"] = pixels.transpose(0, 3, 2, 1).tobytes()
        if part != "unlabeled":
            contents[f"stl10_binary/{part}_y.bin"] = (labels[part] + 1).astype(np.uint8).tobytes()
    write_tar(path, contents)
    return images


def write_tar(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write a compressed tar archive of files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
