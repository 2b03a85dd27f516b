"""`xz` as a baseline in bits per byte: with and without having seen the training text."""

import lzma

SMALLEST, LARGEST = 1 << 12, 1 << 26
"""Bytes of window: the least that xz takes, and what its preset 9 has."""


def xz_bits_per_byte(held_out: bytes) -> float:
    """The held-out text compressed by itself: xz has to learn the language from these bytes alone."""
    return 8 * _size(held_out) / len(held_out)


def xz_bits_per_byte_after(train: bytes, held_out: bytes) -> float:
    """What the held-out text adds to the compressed training text: xz has seen as much as a trained model."""
    return 8 * (_size(train + held_out) - _size(train)) / len(held_out)


def _size(data: bytes) -> int:
    """As `xz -9e` has it. Its window of 64 MiB is cut to the data, which changes no byte and saves clearing it."""
    window = min(LARGEST, max(SMALLEST, 1 << len(data).bit_length()))
    how = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, filters=[how]))
