"""What tells the kinds of heads apart: how logits answer when a position's own noisy token is exchanged.

Derivation, in the order of the code. l_v are the logits of one position, whose own noisy token is a; whatever else the
network sees stays when b takes its place. λ_v(a) = ln q_t(a | v) is the evidence of the token.

1  Share.   Leave-one-out logits do not depend on the own token; posterior ones are those plus λ. Normalization adds a
            constant over v, so with both differences centred over v,

                l_v(a) − l_v(b) = share·(λ_v(a) − λ_v(b)),   share 0 for leave-one-out, 1 for the posterior,

            at every noise level and in every context. Over many pairs it is estimated by least squares,
            share = Σ ⟨Δl, Δλ⟩ / Σ |Δλ|². Where a token can only be the clean one λ is infinite and nothing can be
            exchanged: under masked noise the two kinds differ nowhere else, and the label is immaterial.
2  Spread.  Under uniform noise a score is s(v) = (α x_θ(v) + b)/(α x_θ(z) + b), so |ln s| ≤ ln(1 + α/b): at the end of
            the noise it is flat. Predictions tend there to the marginal law of the tokens, which is not.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .prediction import LogLik, Prediction


def evidence_share(one: Prediction, other: Prediction) -> Float[Tensor, ""]:
    """The share of the own token's evidence that the logits hold; NaN where no evidence differs.

    The two predictions are of the same positions (n,), whose own tokens alone were exchanged; the kind that they claim
    is not read.
    """
    first, second = (_columns(each.evidence(), each.logits) for each in (one, other))
    finite = first.isfinite() & second.isfinite() & one.logits.isfinite() & other.logits.isfinite()
    answer = _centred(one.logits.double(), other.logits.double(), finite)
    evidence = _centred(first, second, finite)
    return (answer * evidence).sum() / evidence.square().sum()


def spread(logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead"]:
    """Standard deviation of the finite logits of a position, nats: 0 where all tokens are alike."""
    finite = logits.isfinite()
    own = _centred(logits.double(), torch.zeros_like(logits, dtype=torch.float64), finite)
    return (own.square().sum(-1) / finite.sum(-1)).sqrt()


def _columns(evidence: LogLik, like: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
    """λ over the rows of the table, up to a constant; −∞ at the rows that are."""
    return evidence.add_to(torch.zeros_like(like, dtype=torch.float64).masked_fill(like.isinf(), -torch.inf))


def _centred(one: Tensor, other: Tensor, among: Bool[Tensor, "*lead V"]) -> Tensor:
    """one − other less its mean over the given rows; 0 elsewhere."""
    change = torch.where(among, one - other, 0.0)
    mean = change.sum(-1, keepdim=True) / among.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(among, change - mean, 0.0)
