"""Archives from strangers: nothing leaves the folder, nothing stays after a refusal."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile

import pytest

from zoolib.data.archives import digests, extract, unpacked, verify
from zoolib.data.semi_fixtures import write_tar
from zoolib.errors import DataError, StoreError

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


GOOD = {"set/a.bin": b"1" * 3000, "set/deeper/b.bin": b"", "./c.bin": b"c"}


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_files_arrive(write, tmp_path):
    write(tmp_path / "good", GOOD)
    files = extract(tmp_path / "good", tmp_path / "to")
    assert len(files) == 3 and all(path.is_file() for path in files)
    found = contents(tmp_path / "to")
    assert found == {"set/a.bin": b"1" * 3000, "set/deeper/b.bin": b"", "c.bin": b"c"}
    with pytest.raises(StoreError, match="expected to make this folder"):
        extract(tmp_path / "good", tmp_path / "to")


NAMES = ["../out.txt", "a/../../out.txt", "/out.txt", "..\\out.txt", "c:/out.txt", "a\nb.txt"]


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize("name", NAMES)
def test_names_that_leave_are_refused(write, name, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    write(inner / "bad", {"first.txt": b"x", name: b"boo"})
    with pytest.raises(DataError, match="expected names below its own folder"):
        extract(inner / "bad", inner / "to")
    assert [p.name for p in inner.iterdir()] == ["bad"]
    assert [p.name for p in tmp_path.iterdir()] == ["inner"]


def tar_of(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member, io.BytesIO(b""))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE],
)
def test_links_and_devices_are_refused(kind, tmp_path):
    tar_of(tmp_path / "bad.tar", ("a", tarfile.REGTYPE, ""), ("link", kind, "../elsewhere"))
    with pytest.raises(DataError, match="found a link or device, 'link'"):
        extract(tmp_path / "bad.tar", tmp_path / "to")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tar"]


def test_links_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "../elsewhere")
    with pytest.raises(DataError, match="found a link or device"):
        extract(tmp_path / "bad.zip", tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_limits_hold_whatever_the_archive_says(write, tmp_path):
    write(tmp_path / "bomb", {"zeros": b"\0" * 2_000_000, "more": b"x"})
    with pytest.raises(DataError, match="unpacks to more than the limit"):
        extract(tmp_path / "bomb", tmp_path / "to", largest=1_500_000)
    with pytest.raises(DataError, match="at most 1 members"):
        extract(tmp_path / "bomb", tmp_path / "to", most=1)
    assert not (tmp_path / "to").exists()
    assert len(extract(tmp_path / "bomb", tmp_path / "to", largest=2_000_001)) == 2


def test_a_name_twice_is_refused(tmp_path):
    tar_of(tmp_path / "bad.tar", ("a", tarfile.REGTYPE, ""), ("./a", tarfile.REGTYPE, ""))
    with pytest.raises(DataError, match="found './a' twice"):
        extract(tmp_path / "bad.tar", tmp_path / "to")


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_damaged_archives(write, tmp_path):
    write(tmp_path / "whole", {"a": os.urandom(40_000), "b": os.urandom(40_000)})
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    (tmp_path / "text").write_bytes(b"no archive at all")
    for name in ("cut", "text", "nowhere"):
        with pytest.raises(DataError):
            extract(tmp_path / name, tmp_path / "to")
        assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_flipped_bytes_never_give_another_error(write, tmp_path):
    write(tmp_path / "whole", {"a": b"some text " * 300, "b/c": bytes(range(256)) * 8})
    content = (tmp_path / "whole").read_bytes()
    refused = 0
    for place in range(0, len(content), 7):
        spoilt = bytearray(content)
        spoilt[place] ^= 0xFF
        (tmp_path / "spoilt").write_bytes(spoilt)
        try:
            extract(tmp_path / "spoilt", tmp_path / "to")
            shutil.rmtree(tmp_path / "to")
        except DataError:
            refused += 1
            assert not (tmp_path / "to").exists()
    assert refused > 10


def test_unpacked_cleans_up(tmp_path):
    write_tar(tmp_path / "a.tar.gz", GOOD)
    with unpacked(tmp_path / "a.tar.gz", tmp_path) as folder:
        assert (folder / "c.bin").read_bytes() == b"c"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_checksums(tmp_path):
    path = tmp_path / "empty.gz"
    path.write_bytes(b"")
    assert digests(path, "md5") == (EMPTY_MD5,)
    own = verify(path, md5=[EMPTY_MD5])
    assert verify(path, sha256=[own.upper()], md5=["something else"]) == own
    assert verify(path) == own
    with pytest.raises(DataError, match=f"found {EMPTY_MD5}.*--sha256 {own}"):
        verify(path, md5=["c58f30108f718f92721af3b95e74349a"])
    with pytest.raises(DataError, match="expected the SHA-256 abc, found"):
        verify(path, sha256=["abc"], md5=[EMPTY_MD5])
    with pytest.raises(DataError, match="expected a file, found none"):
        verify(tmp_path / "nowhere")
