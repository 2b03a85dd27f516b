"""`xz` as a baseline in bits per byte: with and without having seen the training text."""

import lzma


def xz_bits_per_byte(held_out: bytes) -> float:
    """The held-out text compressed by itself: xz has to learn the language from these bytes alone."""
    return 8 * _size(held_out) / len(held_out)


def xz_bits_per_byte_after(train: bytes, held_out: bytes) -> float:
    """What the held-out text adds to the compressed training text: xz has seen as much as a trained model."""
    return 8 * (_size(train + held_out) - _size(train)) / len(held_out)


def _size(data: bytes) -> int:
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME))
