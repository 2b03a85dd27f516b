"""A window is finished when nothing in it is pending; strategies that revise may have to come back to it."""

from jaxtyping import Bool
from torch import Tensor

from .strategies.strategy import Observation


def held_open(seen: Observation, pending: Bool[Tensor, "R M"], goes_on: Bool[Tensor, " R"]) -> Bool[Tensor, "R M"]:
    """One site per request to keep pending with its token, where `goes_on` and nothing of the window would be pending.

    It is the first that was open: an undecided position stays one for longer, and no decision is taken back for it.
    """
    canvas, live = seen.canvas, seen.sites.live
    after = seen.sites.scatter(pending & live, canvas.pending & canvas.window)
    closing = goes_on & ~after.any(-1) & ~canvas.done
    first = seen.open & (seen.open.cumsum(-1) == 1)
    return first & closing[:, None]
