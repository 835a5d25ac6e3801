"""Files of data that lie inside the package."""

from __future__ import annotations


def unpacked(name: str, sha256: str) -> bytes:
    """What a gzipped file in `backprop/datasets/data` holds, after its checksum has been compared.

    Parameters
    ----------
    name : str
    sha256 : str
        Of the file as it was shipped, in hexadecimal digits.

    Raises
    ------
    OSError
        If the file is missing or is not what was shipped.
    """
    # imported here: importing the package should not pay for what only this function needs
    import gzip
    import hashlib
    from importlib.resources import files

    packed = files("backprop.datasets").joinpath("data", name).read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != sha256:
        raise OSError(
            f"{name} inside backprop is damaged: its SHA-256 should begin with {sha256[:12]} and "
            f"begins with {found[:12]}; install backprop again"
        )
    return gzip.decompress(packed)
