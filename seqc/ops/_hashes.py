"""Hashes of texts, as TensorFlow has them: FarmHash's Fingerprint64, SipHash-2-4, and one number of several.

FarmHash: Geoff Pike, Google, 2014 (`farmhashna::Hash64`, which never changes). SipHash: Aumasson and Bernstein, 2012.
All numbers are unsigned, of 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import unpack_from

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CROSSING = 0xC6A4A7935BD1E995
# TensorFlow's, where nobody gives another.
CROSS_KEY = 0xDECAFCAFFE


def fingerprint(text: bytes) -> int:
    """Returns FarmHash's Fingerprint64."""
    size = len(text)
    if size <= 16:
        return _up_to_16(text, size)
    if size <= 32:
        return _up_to_32(text, size)
    return _up_to_64(text, size) if size <= 64 else _longer(text, size)


def crossed(hashes: Iterable[int]) -> int:
    """Returns one number of several, in their order."""
    result = CROSS_KEY
    for one in hashes:
        result ^= _CROSSING
        result ^= _shift_mix(one * _CROSSING & _MASK) * _CROSSING & _MASK
        result = result * _CROSSING & _MASK
        result = _shift_mix(_shift_mix(result) * _CROSSING & _MASK)
    return result


def sip_hash(text: bytes, key: tuple[int, int]) -> int:
    """Returns SipHash-2-4 with a key of two numbers."""
    k0, k1 = (k & _MASK for k in key)
    v = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    size = len(text)
    padded = text + bytes(-(size + 1) % 8) + bytes([size & 255])
    for at in range(0, len(padded), 8):
        word = _word(padded, at)
        v = (v[0], v[1], v[2], v[3] ^ word)
        v = _round(*_round(*v))
        v = (v[0] ^ word, v[1], v[2], v[3])
    v = (v[0], v[1], v[2] ^ 0xFF, v[3])
    for _ in range(4):
        v = _round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a, c = a + b & _MASK, c + d & _MASK
    b, d = _left(b, 13) ^ a, _left(d, 16) ^ c
    a, c = _left(a, 32) + d & _MASK, c + b & _MASK
    b, d = _left(b, 17) ^ c, _left(d, 21) ^ a
    return a, b, _left(c, 32), d


def _left(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & _MASK


def _right(x: int, bits: int) -> int:
    return _left(x & _MASK, 64 - bits)


def _shift_mix(x: int) -> int:
    return x ^ x >> 47


def _word(text: bytes, at: int) -> int:
    return int(unpack_from("<Q", text, at)[0])


def _half_word(text: bytes, at: int) -> int:
    return int(unpack_from("<I", text, at)[0])


def _two(u: int, v: int, factor: int) -> int:
    a = _shift_mix(((u ^ v) & _MASK) * factor & _MASK)
    return _shift_mix(((v ^ a) & _MASK) * factor & _MASK) * factor & _MASK


def _up_to_16(text: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    if size >= 8:
        a, b = _word(text, 0) + _K2 & _MASK, _word(text, size - 8)
        return _two(_right(b, 37) * factor + a & _MASK, (_right(a, 25) + b) * factor & _MASK, factor & _MASK)
    if size >= 4:
        return _two(size + (_half_word(text, 0) << 3), _half_word(text, size - 4), factor)
    if size:
        y, z = text[0] + (text[size >> 1] << 8), size + (text[-1] << 2)
        return _shift_mix((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _up_to_32(text: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    a, b = _word(text, 0) * _K1 & _MASK, _word(text, 8)
    c, d = _word(text, size - 8) * factor & _MASK, _word(text, size - 16) * _K2 & _MASK
    first = _right(a + b, 43) + _right(c, 30) + d
    return _two(first & _MASK, a + _right(b + _K2, 18) + c & _MASK, factor)


def _up_to_64(text: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    a, b = _word(text, 0) * _K2 & _MASK, _word(text, 8)
    c, d = _word(text, size - 8) * factor & _MASK, _word(text, size - 16) * _K2 & _MASK
    y = _right(a + b, 43) + _right(c, 30) + d & _MASK
    z = _two(y, a + _right(b + _K2, 18) + c & _MASK, factor)
    e, f = _word(text, 16) * factor & _MASK, _word(text, 24)
    g, h = (y + _word(text, size - 32)) * factor & _MASK, (z + _word(text, size - 24)) * factor & _MASK
    return _two(_right(e + f, 43) + _right(g, 30) + h & _MASK, e + _right(f + a, 18) + g & _MASK, factor)


def _pair(text: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """Returns two numbers of 32 bytes and two numbers."""
    w, x, y, z = unpack_from("<4Q", text, at)
    a = a + w & _MASK
    b = _right(b + a + z, 21)
    c, a = a, a + x + y & _MASK
    return a + z & _MASK, b + _right(a, 44) + c & _MASK


def _longer(text: bytes, size: int) -> int:
    seed = 81
    y = seed * _K1 + 113 & _MASK
    z = _shift_mix(y * _K2 + 113 & _MASK) * _K2 & _MASK
    x, v, w = seed * _K2 + _word(text, 0) & _MASK, (0, 0), (0, 0)
    end = (size - 1) // 64 * 64
    for at in range(0, end, 64):
        x = _right(x + y + v[0] + _word(text, at + 8), 37) * _K1 & _MASK
        y = _right(y + v[1] + _word(text, at + 48), 42) * _K1 & _MASK
        x, y = x ^ w[1], y + v[0] + _word(text, at + 40) & _MASK
        z = _right(z + w[0], 33) * _K1 & _MASK
        v = _pair(text, at, v[1] * _K1 & _MASK, x + w[0])
        w = _pair(text, at + 32, z + w[1], y + _word(text, at + 16))
        z, x = x, z
    factor, at, rest = _K1 + ((z & 0xFF) << 1), size - 64, (size - 1) & 63
    w = (w[0] + rest & _MASK, w[1])
    v = (v[0] + w[0] & _MASK, v[1])
    w = (w[0] + v[0] & _MASK, w[1])
    x = _right(x + y + v[0] + _word(text, at + 8), 37) * factor & _MASK
    y = _right(y + v[1] + _word(text, at + 48), 42) * factor & _MASK
    x, y = x ^ w[1] * 9 & _MASK, y + v[0] * 9 + _word(text, at + 40) & _MASK
    z = _right(z + w[0], 33) * factor & _MASK
    v = _pair(text, at, v[1] * factor & _MASK, x + w[0])
    w = _pair(text, at + 32, z + w[1], y + _word(text, at + 16))
    z, x = x, z
    first = _two(v[0], w[0], factor) + _shift_mix(y) * _K0 + z & _MASK
    return _two(first, _two(v[1], w[1], factor) + x & _MASK, factor)
