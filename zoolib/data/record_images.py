"""What goes into a record: a JPEG of more than one pixel that decodes to the end.

The reference's rule (specification, 4.3), `odd="skip"`: greyscale pictures are used, pictures of
any other mode than RGB (CMYK) and of any other format (a PNG named .JPEG) are left out. Of
ILSVRC2012 that leaves 1,281,144 of 1,281,167 training and 49,999 of 50,000 validation images.
`odd="convert"` decodes those as well and stores them as RGB JPEGs, so that none is lost. Files
that are empty, truncated or no picture at all are left out either way.

Deviations: a greyscale JPEG is stored as it is (a reader asks for three channels and gets the same
pixels; the reference encoded it a second time, with loss). The reference did not look for
truncated files; its training stopped at one.
"""

from __future__ import annotations

import io
from typing import NamedTuple, Optional

from PIL import Image, ImageOps

ODD = ("skip", "convert")
_QUALITY = 95  # of pictures that have to be encoded


class Inspected(NamedTuple):
    """The verdict on a file.

    Attributes:
        jpeg: what to store; None to leave the file out.
        note: what is odd about the file and what was done; None if it is an ordinary one.
        width, height: pixels of what is stored.
    """

    jpeg: Optional[bytes]
    note: Optional[tuple[str, str]]
    width: int = 0
    height: int = 0


def inspect(content: bytes, odd: str) -> Inspected:
    """Decide about one file.

    Args:
        content: the file.
        odd: "skip" or "convert", see the module.
    """
    if not content:
        return _left_out("empty file, 0 bytes")
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, mode = image.format, image.mode
            if image.size == (1, 1):
                return _left_out("one pixel only")
            strange = _strange(kind, mode)
            if strange is None:
                size = image.size
                # The whole file is read, but only an eighth of the resolution is made.
                image.draft(mode, (max(1, size[0] // 8), max(1, size[1] // 8)))
                image.load()
                note = ("greyscale", "kept as it is") if mode == "L" else None
                return Inspected(content, note, *size)
            if odd == "skip":
                return _left_out(strange)
            jpeg, size = _encoded(image)
            return Inspected(jpeg, (strange, "converted to an RGB JPEG"), *size)
    except Exception as error:  # decoders raise whatever they meet
        return _left_out(" ".join(f"cannot be decoded: {error}".split()))


def encode(image: Image.Image) -> bytes:
    """An RGB picture as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _left_out(reason: str) -> Inspected:
    return Inspected(None, (reason, "left out"))


def _strange(kind: str | None, mode: str) -> str | None:
    """Why a picture cannot be stored as it is; None if it can."""
    if kind != "JPEG":
        return f"{kind} in place of JPEG"
    if mode not in ("RGB", "L"):
        return f"JPEG in mode {mode}"
    return None


def _encoded(image: Image.Image) -> tuple[bytes, tuple[int, int]]:
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA", "P"):  # what is transparent becomes white
        layers = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    rgb = upright.convert("RGB")
    return encode(rgb), rgb.size
