"""Arrays without a codec: NumPy's files, never pickled, and raw frames."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.lib import format as npy

from frameferry.inference.card import Spec
from frameferry.inference.pictures.picture import (
    BYTE_BITS,
    WORD_BITS,
    Picture,
    of_samples,
    refuse_size,
)
from frameferry.inference.undecodable import BadPictureError, Reason

_MAX_HEADER_BYTES = 4096
_KINDS = {("u", 1): BYTE_BITS, ("u", 2): WORD_BITS}


def read_npy(value: bytes, spec: Spec) -> Picture:
    """
    Read a `.npy` file of (height, width) or (height, width, channels), uint8 or uint16.

    Raises:
        BadPictureError: It holds something else, or less than it announces.
    """
    shape, is_fortran, dtype, start = _npy_header(value)
    bits = _KINDS.get((dtype.kind, dtype.itemsize))
    if bits is None or dtype.hasobject or len(shape) not in {2, 3}:
        detail = f"an array of {dtype} and shape {shape}; expected uint8 or uint16, two or three"
        raise BadPictureError(Reason.UNFIT, detail)
    height, width, channels = (*shape, 1)[:3]
    refuse_size(width, height, spec, channels)
    wanted = math.prod(shape) * dtype.itemsize
    if len(value) - start < wanted:
        detail = f"{len(value) - start:,} of {wanted:,} bytes"
        raise BadPictureError(Reason.TRUNCATED, detail)
    flat = np.frombuffer(value, dtype, math.prod(shape), start)
    whole = flat.reshape(shape, order="F" if is_fortran else "C")
    return of_samples(whole.astype(dtype.newbyteorder("=")), bits, spec)


def _npy_header(value: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(value)
    try:
        version = npy.read_magic(stream)
        # A header over the bound is not evaluated.
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(stream, max_header_size=_MAX_HEADER_BYTES)
    except (ValueError, SyntaxError, TypeError, RecursionError) as error:
        raise BadPictureError(Reason.DAMAGED, " ".join(str(error).split())[:160]) from error
    return tuple(int(length) for length in shape), is_fortran, dtype, stream.tell()


def read_raw(value: bytes, spec: Spec) -> Picture:
    """
    Read a frame whose geometry only the pipeline's file says.

    Raises:
        BadPictureError: It has not exactly as many bytes as that geometry.
    """
    frame = spec.pictures.raw
    assert frame is not None, "formats and raw are checked together"
    refuse_size(frame.width_pixels, frame.height_pixels, spec, frame.channels)
    shape = (frame.height_pixels, frame.width_pixels, frame.channels)
    dtype = np.dtype(np.uint8 if frame.bits == BYTE_BITS else np.uint16)
    wanted = math.prod(shape) * dtype.itemsize
    if len(value) != wanted:
        reason = Reason.TRUNCATED if len(value) < wanted else Reason.DAMAGED
        raise BadPictureError(reason, f"{len(value):,} bytes; a raw frame has {wanted:,}")
    stored = np.frombuffer(value, dtype.newbyteorder(frame.byte_order)).reshape(shape)
    return Picture(stored.astype(dtype), frame.bits, frame.channels)
