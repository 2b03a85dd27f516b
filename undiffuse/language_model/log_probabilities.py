"""Log-probabilities of the tokens of a written text, by name, since three numbers are easily taken for one another.

Of the tokens x_i that were written, the rest of the text r being given (nats):

    commit   ln p(x_i | what was decided before the step that decided it), of what was allowed there, without
             temperature and filters. The loop keeps it; it costs nothing.
    final    ln p(x_i | all other tokens of the finished text), as far as the network sees them: of a causal network
             those before it, of one with attention blocks those before it and those of its block.
    elbo     the token's share of the bound: what it adds to the estimate of a lower bound on ln p(written | r), of
             which the shares are the sum. Of a causal network it is exact: ln p(x_i | all before it).

Neither commit nor final adds up to a likelihood, but for causal networks. Where noise hides tokens, final takes a row
of the network for each; where it shows them, and where the text is read from the left, one pass reads all. The bound is
that of `score` with its number of draws (`likelihood/bound.py`); its standard error is that of the sum.

A text that was written in parts, being longer than the context, is read in these parts.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..decode.canvas import CANCELLED, Canvas
from ..decode.evaluation import Evaluate, Evaluated
from ..decode.passes import Sites, predict_at
from ..errors import UserError, not_finite
from ..likelihood.bound import bounded
from ..predictor import Predictor
from ..types import Batch
from .many import in_batches

COMMIT, FINAL, ELBO = "commit", "final", "elbo"
DEFINITIONS = {
    COMMIT: "in the step that decided the token, given what was decided before",
    FINAL: "given all other tokens of the finished text that the network sees from there",
    ELBO: "the token's share of the bound on ln p of all that was written",
}


@dataclass(frozen=True)
class Numbers:
    """ln p of some tokens (nats), in order; for `elbo` what kind of number their sum is, of how many draws, ± what."""

    tokens: list[int]
    log_p: list[float]
    facts: dict[str, str | int | float | None] = field(default_factory=dict)


def definition_of(name: str) -> str:
    """UserError for a name of none."""
    if name not in DEFINITIONS:
        raise UserError(f"there are no log-probabilities {name!r}: they are {', '.join(DEFINITIONS)}")
    return name


def refuse(predictor: Predictor, name: str) -> None:
    """UserError where a definition has no meaning for a network."""
    if name == FINAL and predictor.traits.gives == "embedding":
        raise UserError(
            "log-probabilities 'final' do not exist for this model: it predicts vectors, whose rounding is no "
            "distribution; use commit, or elbo"
        )


@torch.no_grad()
def log_probabilities(
    name: str, predictor: Predictor, canvas: Canvas, ends: Collection[int], seed: int
) -> Evaluated[Numbers]:
    """Those of one finished request (a canvas of one row), up to the first token that ends a text."""
    written = canvas.editable & ~canvas.pending & (canvas.commit_step != CANCELLED)
    ending = written & torch.isin(canvas.ids, torch.tensor(sorted(ends), device=canvas.ids.device))
    written &= ending.cumsum(-1) == 0
    ids = canvas.ids[written]
    if not len(ids):
        return Numbers([], [])
    if name == COMMIT:
        return Numbers(ids.tolist(), canvas.commit_logp[written].tolist())
    if name == FINAL:
        log_p = yield from _final(predictor, canvas, written)
        return Numbers(ids.tolist(), log_p.tolist())
    return (yield from _elbo(predictor, canvas, written, seed))


def _final(predictor: Predictor, canvas: Canvas, written: Bool[Tensor, "1 L"]) -> Evaluated[Float[Tensor, " n"]]:
    process = predictor.process
    if predictor.traits.one_sided or (process.mask is None and not process.moves_vectors):
        sites, length = Sites.of(written), int(canvas.valid.sum())
        # a text in which one token is noise, on average, as `check` reads it; from the left nothing is
        t = torch.zeros(written.shape, dtype=torch.float64, device=written.device)
        if not predictor.traits.one_sided:
            t += process.time_at(torch.tensor(1 - 1 / length, dtype=torch.float64, device=t.device))
        yield Evaluate.of(canvas.ids)
        prediction = predict_at(predictor, canvas, sites, t)
        # a causal network's row has not seen the token, as in `likelihood/chain.py`: there is no evidence in it
        found = prediction.logits.log_softmax(-1) if predictor.traits.one_sided else prediction.apart()
        log_p = found.gather(-1, sites.gather(canvas.ids)[..., None])[0, :, 0]
    else:
        noise = process.prior(canvas.draws.stream("prior")).ids
        log_ps = []
        for places in in_batches(written[0].nonzero()[:, 0].tolist(), canvas.ids.shape[1]):
            some = torch.tensor(places, device=written.device)
            rows = canvas.select(torch.zeros_like(some))
            alone = rows.positions == some[:, None]
            state = rows.replace(ids=torch.where(alone, noise, rows.ids), pending=rows.pending | alone)
            yield Evaluate.of(state.ids)
            prediction = predict_at(predictor, state, Sites.of(alone, 1), state.pending.double())
            log_ps.append(prediction.log_prob(canvas.ids[0, some, None])[:, 0])
        log_p = torch.cat(log_ps)
    if bool(log_p.isnan().any()):
        raise not_finite(log_p.dtype)
    return log_p.double()


def _elbo(predictor: Predictor, canvas: Canvas, written: Bool[Tensor, "1 L"], seed: int) -> Evaluated[Numbers]:
    text = Batch(
        ids=canvas.ids,
        editable=written,
        valid=canvas.valid & (written | ~canvas.editable),
        positions=canvas.positions,
        index=torch.zeros_like(canvas.key),
        epoch=torch.zeros_like(canvas.key),
        slot=torch.zeros_like(canvas.key),
    )
    estimate = yield from bounded(predictor, text, draws=None, precision=None, seed=seed)
    if bool(estimate.per_token.isnan().any()):
        raise not_finite(predictor.denoiser.number_format)
    told = predictor.told(text) if predictor.traits.one_sided else written
    stderr = estimate.stderr if math.isfinite(estimate.stderr) else None
    facts: dict[str, str | int | float | None] = {"kind": estimate.kind, "draws": estimate.draws, "stderr": stderr}
    return Numbers(canvas.ids[told].tolist(), (-estimate.per_token).tolist(), facts)
