"""Files that are signed, and held to their signature."""

from __future__ import annotations

import os

from backprop import archive, signing
from backprop.atomic import replacing
from backprop.signing import SigningKey, check_key


def sign(filepath: str | os.PathLike, key: SigningKey) -> None:
    """Sign a file that is there, or sign it anew: model, weights or checkpoint.

    Parameters
    ----------
    filepath : path
        An ``.npz``, ``.keras`` or ``.h5`` file. It is replaced as a whole.
    key : SigningKey

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read or written.
    ModelFileError
        It is none of these.
    """
    check_key(key, needed=True)
    path = archive.existing(filepath)
    with archive.faults_named(path):
        contents = signing.unsigned(path.read_bytes())
        with replacing(path, lambda file: signing.unsigned(file.read()) == contents) as file:
            file.write(contents)
            signing.seal(file, key)


def verify(filepath: str | os.PathLike, key: SigningKey) -> None:
    """Raise unless a file was signed with the key, and not a bit of it changed since.

    To read a file that others may change at any time, give the key to `load_model`: what it reads
    is what it verified.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ModelFileError
        It is not signed, or not with this key.
    """
    check_key(key, needed=True)
    path = archive.existing(filepath)
    with archive.faults_named(path):
        signing.contents_of(path, key)
