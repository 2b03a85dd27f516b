"""How long a hole of undetermined length should be: the one score that chooses, and the choice.

A model that sees both sides says how probable each candidate filling is; longer ones multiply more probabilities, so
candidates are compared by the mean log-probability of their tokens at commitment (the pseudo-likelihood of the filling
per token). The largest wins, the shortest among equals.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from .canvas import Canvas


def length_score(canvas: Canvas, hole: Bool[Tensor, "R L"]) -> Float[Tensor, " R"]:
    """Mean ln p at commitment over the hole's tokens, one value per finished request (nats per token)."""
    return (canvas.commit_logp * hole).sum(-1) / hole.sum(-1)
