"""Decoding under Gaussian noise: the latents of a canvas, which the network sees, on their way from noise to text."""

from abc import abstractmethod
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..process.gaussian import FIRST, Gaussian
from ..process.needs import Need, moves_vectors
from ..process.prediction import Prediction
from .canvas import Canvas
from .passes import Latents
from .strategies.strategy import Decision, Memory, Observation, Step, Strategy


class Denoising(Strategy[Gaussian]):
    """Strategies that move vectors. A canvas reads as the best token of every pending position until the last step.

    Memory holds the latents and the network's last estimate of the clean ones, which it sees again (self-conditioning).
    Tokens are chosen in the last step, by the filters. In the steps before, the estimate is the mean of the embeddings
    under the posterior after temperature and filters: top_k = 1 takes the nearest embedding, which is the clamping of
    Diffusion-LM. A network that predicts embeddings has its own estimate, wherever filters and constraints leave its
    tokens as they are; its last step is one of the latents too, and tokens are read from those.
    """

    progressive = False
    needs = (
        Need(moves_vectors, "this strategy moves vectors, and this model's noise has none; use strategy 'ancestral'"),
    )
    moves_vectors = True

    def begin(self, process: Gaussian, canvas: Canvas) -> Memory:
        draws = canvas.draws.stream("prior")
        latent = process.prior(draws).latent
        assert latent is not None
        begins = canvas.begins[:, None].expand(canvas.ids.shape)
        own = process.corrupt(canvas.ids, begins, draws, canvas.valid).state.latent
        assert own is not None
        latent = torch.where((begins < 1)[..., None], own, latent)
        return {"latent": latent, "estimate": torch.zeros_like(latent)}

    def latents(self, canvas: Canvas, memory: Memory) -> Latents | None:
        return Latents(memory["latent"], memory["estimate"])

    @abstractmethod
    def moved(
        self,
        process: Gaussian,
        estimate: Float[Tensor, "R M d"],
        latent: Float[Tensor, "R M d"],
        times: tuple[Float[Tensor, "R M"], Float[Tensor, "R M"]],
        seen: Observation,
    ) -> Float[Tensor, "R M d"]:
        """Latents at the second of the times, from those at the first."""

    def advance(self, process: Gaussian, seen: Observation, step: Step, memory: Memory) -> Decision:
        t, s = (time[:, None].expand(seen.ids.shape) for time in (step.t, step.s))
        log_p = seen.prediction.posterior()
        if seen.allowed is not None:
            log_p = log_p.masked_fill(~seen.allowed, -torch.inf).log_softmax(-1)
        ranks = log_p if self.filters.neutral else self.filters.apply(log_p)
        estimate = _estimate(process, seen, log_p, ranks).double()
        here = {name: _gather(value, seen.sites.index) for name, value in memory.items()}
        after = self.moved(process, estimate, here["latent"], (t, s.clamp(min=FIRST)), seen)
        final = seen.open & (s <= 0)
        read = log_p
        if seen.prediction.vectors is not None:
            read = torch.where((s <= 0)[..., None], process.round_latent(after, s.clamp(min=FIRST)), log_p)
        posterior = Prediction(read, "posterior", seen.prediction.evidence)
        proposal = self.propose(replace(seen, prediction=posterior))
        # what a constraint holds back in the last step takes it again
        moves = (seen.open & ~final)[..., None]
        new = {
            "latent": _scatter(torch.where(moves, after, here["latent"]), seen.sites.index, memory["latent"]),
            "estimate": _scatter(
                torch.where(seen.open[..., None], estimate, here["estimate"]), seen.sites.index, memory["estimate"]
            ),
        }
        ids = torch.where(final, proposal.ids, ranks.argmax(-1))
        return Decision(seen.open, torch.where(seen.open, ids, seen.ids), seen.open & ~final, proposal.logp, new)


def _estimate(
    process: Gaussian, seen: Observation, log_p: Float[Tensor, "R M V"], ranks: Float[Tensor, "R M V"]
) -> Float[Tensor, "R M d"]:
    """The mean embedding under `ranks`, or the network's own vector where they are its unchanged prediction."""
    own = seen.prediction.vectors
    if own is not None and ranks is log_p and seen.allowed is None:
        return own
    mean = process.estimate(Prediction(ranks, "posterior", seen.prediction.evidence))
    if own is None or ranks is not log_p:
        return mean
    assert seen.allowed is not None
    limited = (seen.prediction.logits.isfinite() & ~seen.allowed).any(-1, keepdim=True)
    return torch.where(limited, mean, own)


def _gather(values: Float[Tensor, "R L d"], index: Int[Tensor, "R M"]) -> Float[Tensor, "R M d"]:
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def _scatter(
    values: Float[Tensor, "R M d"], index: Int[Tensor, "R M"], into: Float[Tensor, "R L d"]
) -> Float[Tensor, "R L d"]:
    return into.scatter(1, index[..., None].expand_as(values), values)
