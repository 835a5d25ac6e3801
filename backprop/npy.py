"""The head of an .npy file: what stands before the numbers, written in one spelling and read from
anybody's file."""

from __future__ import annotations

import io
import math
import reprlib
import struct
import sys

import numpy as np

from backprop.spelling import excerpt

AXES = 32  # that an array of any file may have
HEAD = 2**17  # bytes, more than the longest head that NumPy reads
MAGIC = b"\x93NUMPY\x01\x00"


def npy_head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What stands before the numbers in an .npy file, version 1.0: one spelling for one array."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    size = len(MAGIC) + 2 + len(text) + 1
    text += b" " * (-size % 64) + b"\n"
    return MAGIC + struct.pack("<H", len(text)) + text


def read_npy_head(start: bytes | bytearray) -> tuple[np.dtype, tuple[int, ...], int, bool]:
    """What an .npy file of anybody says that it holds, of which these are the first bytes: dtype,
    shape, where the numbers begin, and whether the first axis runs fastest."""
    form, stream = np.lib.format, io.BytesIO(start)
    try:
        one = form.read_magic(stream) == (1, 0)
        read = form.read_array_header_1_0 if one else form.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # Python's parser goes through it, and its errors are many
        # NumPy advises to trust a file whose head is long
        long = "allow_pickle" in str(error)
        raise ValueError("its head is too long" if long else excerpt(error)) from error
    # NumPy counts without those of length 0
    if len(shape) > AXES or math.prod(abs(n) or 1 for n in shape) > sys.maxsize // 8:
        raise ValueError(f"there is no array of shape {reprlib.repr(shape)}")
    return dtype, shape, stream.tell(), fortran
