"""Signatures: whether a file is, to the last byte, what somebody wrote who has the key.

A signature is an HMAC-SHA256 of all that stands before it, and the end of the file:

    ... the file ... backprop-hmac-sha256:<64 hexadecimal digits>

An ``.npz`` or ``.keras`` file is a zip, whose comment it is, and HDF5 has no eye for what is behind
its end. So NumPy, Keras and h5py open a signed file as they open any other.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import struct
from pathlib import Path
from typing import BinaryIO

MARK = b"backprop-hmac-sha256:"
DIGITS = 2 * hashlib.sha256().digest_size
LENGTH = len(MARK) + DIGITS
PIECE = 1 << 20  # bytes that are read at once
LEAST, MOST = 16, 4096  # bytes of a key
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
LAST = struct.Struct("<4s16sH")  # of a zip: a mark, other things, the length of the comment
END = b"PK\x05\x06"


class SigningKey:
    """A secret that signs files, and that tells whether a file was signed with it.

    Whoever can verify with it can sign with it too. It shows itself nowhere: not in `repr`, in no
    error, file or pickle.

    Parameters
    ----------
    secret : bytes
        From 16 bytes on, which nobody can guess: ``secrets.token_bytes(32)``.

    Raises
    ------
    TypeError, ValueError
        If it is no bytes, or too short or too long for a key.

    Examples
    --------
    >>> import os, secrets, tempfile
    >>> import backprop as bp
    >>> key = bp.saving.SigningKey(secrets.token_bytes(32))
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     model.save(path, key=key)
    ...     bp.models.load_model(path, key=key)
    Sequential([InputLayer([2]), Dense(1)], dtype='float32')
    """

    def __init__(self, secret: bytes):
        if not isinstance(secret, bytes):
            raise TypeError(
                f"SigningKey expects bytes, got {type(secret).__name__}: SigningKey.from_file() "
                "and SigningKey.from_environment() read them"
            )
        if not LEAST <= len(secret) <= MOST:
            raise ValueError(f"a key has from {LEAST} to {MOST:,} bytes, got {len(secret)}")
        self._secret = secret

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> SigningKey:
        """The key that a file holds: its bytes, without the line's end behind them.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is too short or too long.
        """
        if not isinstance(path, str | os.PathLike):  # a number would be an open file of somebody's
            raise TypeError(f"SigningKey.from_file() expects a path, got {type(path).__name__}")
        with open(path, "rb") as file:
            return cls.of_text(file.read(MOST + 3), str(path))

    @classmethod
    def from_environment(cls, name: str = "BACKPROP_KEY") -> SigningKey:
        """The key that a variable of the environment holds.

        Raises
        ------
        ValueError
            There is no such variable, or it is too short or too long.
        """
        if not isinstance(name, str):
            raise TypeError(
                f"SigningKey.from_environment() expects a name, got {type(name).__name__}"
            )
        if name not in os.environ:
            raise ValueError(f"the environment has no variable {name!r} with the key")
        return cls.of_text(os.fsencode(os.environ[name]), name)

    @classmethod
    def of_text(cls, found: bytes, where: str) -> SigningKey:
        try:
            return cls(found.removesuffix(b"\n").removesuffix(b"\r"))
        except ValueError as error:
            raise ValueError(f"{where!r} holds no key: {error}") from None

    def start(self) -> hmac.HMAC:
        return hmac.new(self._secret, digestmod="sha256")

    def __repr__(self) -> str:
        return "SigningKey(...)"

    def __copy__(self) -> SigningKey:
        return self

    def __deepcopy__(self, memo: dict) -> SigningKey:
        return self

    def __reduce_ex__(self, protocol: object):
        raise TypeError("a SigningKey is not pickled: read it where it is needed")


def check_key(key: SigningKey | None, needed: bool = False) -> None:
    if (needed or key is not None) and not isinstance(key, SigningKey):
        raise TypeError(
            f"key expects a SigningKey, got {type(key).__name__}: SigningKey.from_file(path) or "
            "SigningKey.from_environment(name)"
        )


def seal(file: BinaryIO, key: SigningKey | None) -> None:
    """Sign what was written to an open file, without a signature of its own; nothing without a
    key."""
    if key is None:
        return
    file.flush()
    with open(file.name, "rb") as written:
        head = written.read(len(HDF5))
        end = written.seek(0, os.SEEK_END)
        if head.startswith(ZIP):
            written.seek(max(end - LAST.size, 0))
            mark, _, comment = LAST.unpack(written.read())
            if mark != END or comment:
                raise ValueError("it has a comment, and is no file of backprop or Keras")
            file.seek(end - 2)
            file.write(struct.pack("<H", LENGTH))
        elif head != HDF5:
            raise ValueError("it is no .npz, .keras or .h5 file, and others are not signed")
        file.seek(end)
        file.write(MARK)
        file.flush()
        written.seek(0)
        mac = key.start()
        while piece := written.read(PIECE):
            mac.update(piece)
    file.write(mac.hexdigest().encode())


def is_signed(contents: bytes) -> bool:
    return contents[-LENGTH:-DIGITS] == MARK


def unsigned(contents: bytes) -> bytes:
    """The contents of a file as they were before it was signed."""
    if not is_signed(contents):
        return contents
    body = contents[:-LENGTH]
    return body[:-2] + b"\0\0" if body.startswith(ZIP) else body


def contents_of(path: str | os.PathLike, key: SigningKey | None) -> bytes:
    """What a file holds, if it was signed with the key, where there is one.

    What was verified is what is returned: nobody can change the file in between.

    Raises
    ------
    ValueError
        It is not signed, or not with this key.
    """
    check_key(key)
    contents = Path(path).read_bytes()
    if key is None:
        return contents
    if not is_signed(contents):
        raise ValueError("it is not signed, and with a key only signed files are read")
    mac = key.start()
    mac.update(memoryview(contents)[:-DIGITS])
    if not hmac.compare_digest(mac.hexdigest().encode(), contents[-DIGITS:]):
        raise ValueError(
            "its signature is not that of the key: the file was changed after it was signed, or "
            "signed with another key"
        )
    return contents


def opened(path: str | os.PathLike, key: SigningKey | None) -> BinaryIO:
    """A file to read, as `contents_of` has it; without a key as it lies on the disk."""
    return open(path, "rb") if key is None else io.BytesIO(contents_of(path, key))
