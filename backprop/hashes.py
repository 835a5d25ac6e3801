"""Hashes of strings that are the same on every machine and in every run, many at once.

`fingerprints` is Fingerprint64 of FarmHash, `keyed` is SipHash-2-4: what TensorFlow, and so Keras,
sorts categories into bins with. `crossed` joins the hashes of several features into one.

All arithmetic is modulo 2⁶⁴, which is that of NumPy's uint64. A formula of these hashes depends on
a string's length, and not on what is in it, so strings of one length are hashed together: they are
the rows of a matrix of bytes, and a word of eight bytes is a column of numbers.

Sources: G. Pike, FarmHash, 2014 (the part that is called NA); J.-P. Aumasson, D. J. Bernstein,
SipHash: a fast short-input PRF, 2012; FingerprintCat64 of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
K_CROSS = 0xC6A4A7935BD1E995
WRAP = (1 << 64) - 1
SIP_BEGIN = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573


def fingerprints(keys: Sequence[bytes]) -> Array:
    """FarmHash's Fingerprint64 of each key, as uint64.

    Examples
    --------
    >>> [hex(h) for h in fingerprints([b"", b"abc"]).tolist()]
    ['0x9ae16a3b2f90404f', '0x24a5b3a074e7f369']
    """
    return by_length(keys, farm)


def keyed(keys: Sequence[bytes], key: tuple[int, int]) -> Array:
    """SipHash-2-4 of each key under a secret of two integers of 64 bits, as uint64.

    Examples
    --------
    >>> hex(keyed([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908))[0])  # the paper's
    '0xa129ca6149be45e5'
    """
    return by_length(keys, sip_under(key))


def crossed(before: Array, after: Array) -> Array:
    """TensorFlow's FingerprintCat64: the hash of a hash and a further one."""
    h = before ^ np.uint64(K_CROSS) ^ (_mix(after * np.uint64(K_CROSS)) * np.uint64(K_CROSS))
    return _mix(_mix(h * np.uint64(K_CROSS)) * np.uint64(K_CROSS))


def by_length(keys: Sequence[bytes], hash_rows: Callable[[Array], Array]) -> Array:
    """The hashes of keys, those of one length at once: `hash_rows` gets them as rows of bytes."""
    found = np.empty(len(keys), np.uint64)
    for _, places in together(np.fromiter(map(len, keys), np.intp, len(keys))):
        joined = b"".join([keys[i] for i in places.tolist()])
        rows = np.frombuffer(joined, np.uint8).reshape(len(places), -1 if joined else 0)
        found[places] = hash_rows(rows)
    return found


def of_rows(rows: Array, lengths: Array, hash_rows: Callable[[Array], Array]) -> Array:
    """The hashes of keys that are the first bytes of rows."""
    found = np.empty(len(rows), np.uint64)
    for length, places in together(lengths):
        found[places] = hash_rows(rows[places, :length])
    return found


def together(lengths: Array) -> Iterator[tuple[int, Array]]:
    """Each length, and where it is."""
    if lengths.max(initial=0) < 1 << 16:  # short numbers are sorted by their digits
        lengths = lengths.astype(np.uint16)
    order = np.argsort(lengths, kind="stable")
    ends = np.flatnonzero(np.diff(lengths[order].astype(np.intp), append=-1)) + 1
    for places in np.split(order, ends[:-1]) if len(ends) else ():
        yield int(lengths[places[0]]), places


def bytes_of(x: Array) -> tuple[Array, Array] | None:
    """The bytes of an array of strings, each filled up with zeros, and their lengths; None where
    characters are longer than a byte."""
    x = np.ascontiguousarray(x).ravel()
    if not x.dtype.isnative or not x.dtype.itemsize:
        return None
    code = np.dtype(np.uint32 if x.dtype.kind == "U" else np.uint8)
    codes = x.view(code).reshape(len(x), x.dtype.itemsize // code.itemsize)
    if x.dtype.kind == "U" and codes.max(initial=0) > 127:
        return None
    return codes.astype(np.uint8, copy=False), np.strings.str_len(x)


def hashed(x: Array, key: tuple[int, int] | None = None) -> Array:
    """The hash of each entry of an array of strings or integers, as uint64 in its shape.

    An integer is hashed as its decimal digits, a truth as "true" or "false". What is there many
    times is hashed once.

    Parameters
    ----------
    x : ndarray of str, of bytes, of both as objects, or of integers
    key : tuple of two int, optional
        For SipHash. Default: Fingerprint64.
    """
    rows = bytes_of(x) if x.dtype.kind in "SU" else None
    if rows is not None:
        return of_rows(*rows, farm if key is None else sip_under(key)).reshape(x.shape)
    known, places = distinct(x)
    if x.dtype.kind == "b":
        known = [str(entry).lower() for entry in known]
    keys = [k if isinstance(k, bytes) else str(k).encode() for k in known]
    found = fingerprints(keys) if key is None else keyed(keys, key)
    return found[places].reshape(x.shape)


def distinct(x: Array) -> tuple[list[Any], Array]:
    """The entries of an array, each once, and for each place the number of its entry."""
    if x.dtype.kind != "O":
        known, places = np.unique(x, return_inverse=True)
        return known.tolist(), places.reshape(-1)
    numbers: dict[Any, int] = {}
    places = [numbers.setdefault(entry, len(numbers)) for entry in x.ravel().tolist()]
    return list(numbers), np.array(places, np.intp)


# ------------------------------------------------------------------------------------------ words


def _word(rows: Array, at: int, size: int = 8) -> Array:
    """`size` bytes of each row from the place `at` on, as a number; the first is the lowest."""
    part = np.zeros((len(rows), 8), np.uint8)
    part[:, :size] = rows[:, at : at + size]
    return part.view("<u8")[:, 0].astype(np.uint64, copy=False)


def _turn(h: Array, n: int) -> Array:
    """The bits of h moved n places down, and those that fall out put on top."""
    return (h >> np.uint64(n)) | (h << np.uint64(64 - n))


def _mix(h: Array) -> Array:
    return h ^ (h >> np.uint64(47))


# --------------------------------------------------------------------------------------- FarmHash


def _pair(u: Array, v: Array, factor: Any) -> Array:
    """One number from two."""
    return _mix((v ^ _mix((u ^ v) * factor)) * factor) * factor


def farm(rows: Array) -> Array:
    length = rows.shape[1]
    if length > 64:
        return _farm_long(rows)
    factor = np.uint64((K2 + 2 * length) & WRAP)
    if length > 16:
        return _farm_to_32(rows, factor) if length <= 32 else _farm_to_64(rows, factor)
    if length >= 8:
        a, b = _word(rows, 0) + np.uint64(K2), _word(rows, length - 8)
        return _pair(_turn(b, 37) * factor + a, (_turn(a, 25) + b) * factor, factor)
    if length >= 4:
        a, b = _word(rows, 0, 4), _word(rows, length - 4, 4)
        return _pair(np.uint64(length) + (a << np.uint64(3)), b, factor)
    if length > 0:
        first, middle, last = (_word(rows, i, 1) for i in (0, length // 2, length - 1))
        y = first + (middle << np.uint64(8))
        z = np.uint64(length) + (last << np.uint64(2))
        return _mix(y * np.uint64(K2) ^ z * np.uint64(K0)) * np.uint64(K2)
    return np.full(len(rows), K2, np.uint64)


def _ends(rows: Array, k: int, factor: Any) -> tuple[Array, Array, Array]:
    """What the first and the last 16 bytes come to, and the first word."""
    length = rows.shape[1]
    a, b = _word(rows, 0) * np.uint64(k), _word(rows, 8)
    c, d = _word(rows, length - 8) * factor, _word(rows, length - 16) * np.uint64(K2)
    y = _turn(a + b, 43) + _turn(c, 30) + d
    return y, a + _turn(b + np.uint64(K2), 18) + c, a


def _farm_to_32(rows: Array, factor: Any) -> Array:
    y, z, _ = _ends(rows, K1, factor)
    return _pair(y, z, factor)


def _farm_to_64(rows: Array, factor: Any) -> Array:
    length = rows.shape[1]
    y, z, a = _ends(rows, K2, factor)
    z = _pair(y, z, factor)
    e, f = _word(rows, 16) * factor, _word(rows, 24)
    g = (y + _word(rows, length - 32)) * factor
    h = (z + _word(rows, length - 24)) * factor
    return _pair(_turn(e + f, 43) + _turn(g, 30) + h, e + _turn(f + a, 18) + g, factor)


def _weak(rows: Array, at: int, a: Array, b: Array) -> tuple[Array, Array]:
    """Two numbers from 32 bytes and two."""
    first, second, third, last = (_word(rows, at + i) for i in (0, 8, 16, 24))
    a = a + first
    b = _turn(b + a + last, 21)
    sum_of_three = a + second + third
    return sum_of_three + last, b + _turn(sum_of_three, 44) + a


def _round(rows: Array, at: int, state: tuple, factor: Any, weight: int) -> tuple:
    """64 bytes taken into a state of seven numbers."""
    x, y, z, v0, v1, w0, w1 = state
    k = np.uint64(weight)
    x = _turn(x + y + v0 + _word(rows, at + 8), 37) * factor ^ w1 * k
    y = _turn(y + v1 + _word(rows, at + 48), 42) * factor + v0 * k + _word(rows, at + 40)
    z = _turn(z + w0, 33) * factor
    v0, v1 = _weak(rows, at, v1 * factor, x + w0)
    w0, w1 = _weak(rows, at + 32, z + w1, y + _word(rows, at + 16))
    return z, y, x, v0, v1, w0, w1


def _farm_long(rows: Array) -> Array:
    length = rows.shape[1]
    zero = np.zeros(len(rows), np.uint64)
    y = zero + np.uint64((81 * K1 + 113) & WRAP)
    z = _mix(y * np.uint64(K2) + np.uint64(113)) * np.uint64(K2)
    state = _word(rows, 0) + np.uint64((81 * K2) & WRAP), y, z, zero, zero, zero, zero
    for at in range(0, (length - 1) // 64 * 64, 64):
        state = _round(rows, at, state, np.uint64(K1), 1)
    x, y, z, v0, v1, w0, w1 = state
    factor = np.uint64(K1) + ((z & np.uint64(255)) << np.uint64(1))
    w0 = w0 + np.uint64((length - 1) & 63)
    v0 = v0 + w0
    state = x, y, z, v0, v1, w0 + v0, w1
    x, y, z, v0, v1, w0, w1 = _round(rows, length - 64, state, factor, 9)
    first = _pair(v0, w0, factor) + _mix(y) * np.uint64(K0) + z
    return _pair(first, _pair(v1, w1, factor) + x, factor)


# ---------------------------------------------------------------------------------------- SipHash


def sip_under(key: tuple[int, int]) -> Callable[[Array], Array]:
    """SipHash-2-4 under a secret, of rows of bytes."""
    return lambda rows: _sip(rows, key[0] & WRAP, key[1] & WRAP)


def _sip(rows: Array, k0: int, k1: int) -> Array:
    n, length = rows.shape
    state = tuple(
        np.full(n, k ^ begin, np.uint64)
        for k, begin in zip((k0, k1, k0, k1), SIP_BEGIN, strict=True)
    )
    whole = length // 8 * 8
    last = _word(rows, whole, length - whole) | np.uint64((length & 255) << 56)
    for word in [*(_word(rows, at) for at in range(0, whole, 8)), last]:
        a, b, c, d = _sip_round(_sip_round((*state[:3], state[3] ^ word)))
        state = a ^ word, b, c, d
    a, b, c, d = state
    state = a, b, c ^ np.uint64(255), d
    for _ in range(4):
        state = _sip_round(state)
    a, b, c, d = state
    return a ^ b ^ c ^ d


def _sip_round(state: tuple) -> tuple:
    a, b, c, d = state
    a, c = a + b, c + d
    b, d = _turn(b, 51) ^ a, _turn(d, 48) ^ c
    a, c = _turn(a, 32) + d, c + b
    b, d = _turn(b, 47) ^ c, _turn(d, 43) ^ a
    return a, b, _turn(c, 32), d
