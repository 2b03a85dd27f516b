"""Which device each layer of a network lies on: a plan, made of sizes alone."""

from collections.abc import Sequence

HALVINGS = 30


def spread(beside: int, layers: Sequence[int], room: Sequence[float]) -> tuple[int, ...] | None:
    """The number of the device of each layer, from bytes; None where they do not fit.

    `beside` is what stands before and after the layers, which is on the first device: there a text is, and there its
    logits are read. Where all fit on the first they are there. Else layers follow each other from device to device, so
    that of the fullest device the smallest share is taken, which leaves room for what passes need.
    """
    if beside + sum(layers) <= room[0]:
        return (0,) * len(layers)
    found, low, high = _filled(beside, layers, room), 0.0, 1.0
    for _ in range(HALVINGS if found else 0):
        share = (low + high) / 2
        better = _filled(beside, layers, [share * size for size in room])
        if better is None:
            low = share
        else:
            found, high = better, share
    return found


def _filled(beside: int, layers: Sequence[int], room: Sequence[float]) -> tuple[int, ...] | None:
    """Each device as full as can be before the next begins."""
    if beside > room[0]:
        return None
    device, left, where = 0, room[0] - beside, []
    for size in layers:
        while size > left:
            device += 1
            if device == len(room):
                return None
            left = room[device]
        left -= size
        where.append(device)
    return tuple(where)
