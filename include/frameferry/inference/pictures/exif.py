"""Read one thing of EXIF: how a picture is turned."""

from __future__ import annotations

import struct
from typing import Final

_ORIENTATION_TAG: Final = 0x0112
TURNS: Final = range(1, 9)


def orientation(exif: bytes) -> int:
    """
    Read the EXIF orientation, 1 to 8; 1 if there is none or it makes no sense.

    Source: TIFF 6.0, image file header and IFD entry; Exif 2.32, tag 274.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}L", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(entries):
            tag, _, _, turn = struct.unpack_from(f"{order}HHLH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return int(turn) if turn in TURNS else 1
    except struct.error:
        return 1
    return 1
