"""How true a cache is: its predictions beside exact ones, along a trajectory that neither of them chose.

The trajectory of an uncached decoding is replayed: at every step the cache holds what its policy would hold there, and
both predict the pending positions of the windows from the same canvas. With exact p and cached q at a site,

    KL = Σ_v p(v) ln p(v)/q(v)   (nats),      flip = argmax p ≠ argmax q.

So errors do not add up as they would if each decoded its own text: what is measured is the approximation alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..models.kept import Kept
from ..predictor import Predictor
from ..process.prediction import Prediction
from .advance import times
from .caches.cache import CachePolicy
from .canvas import Canvas
from .loop import walk
from .passes import Sites, predict_at, read, run
from .strategies.strategy import Strategy


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Per step of the trajectory, over the requests that were not done: KL (nats) and flips are sums over `sites`.

    `rows` is what the cache ran, `everything` what a pass without one runs.
    """

    kl: Float[Tensor, " S"]
    flips: Int[Tensor, " S"]
    sites: Int[Tensor, " S"]
    rows: Int[Tensor, " S"]
    everything: Int[Tensor, " S"]

    @property
    def mean_kl(self) -> float:
        """Nats per pending position."""
        return float(self.kl.sum() / self.sites.sum().clamp(min=1))

    @property
    def flip_share(self) -> float:
        """The share of pending positions whose most probable token changes."""
        return float(self.flips.sum() / self.sites.sum().clamp(min=1))

    @property
    def row_share(self) -> float:
        """Rows that went through the network, of those that a pass without a cache takes."""
        return float(self.rows.sum() / self.everything.sum().clamp(min=1))


def trajectory(predictor: Predictor, canvas: Canvas, strategy: Strategy) -> list[Canvas]:
    """The canvases of an uncached decoding, from the noise at the start to the text."""
    return [seen for seen, _ in walk(predictor, canvas, strategy)]


@torch.no_grad()
def fidelity(predictor: Predictor, canvases: Sequence[Canvas], strategy: Strategy, cache: CachePolicy) -> Fidelity:
    """Replays a trajectory of `strategy` under a cache. UserError where the network cannot have that cache."""
    cache.check(predictor)
    cache = cache.settle(predictor, canvases[0])
    kv = cache.memory(predictor, canvases[0], len(canvases[0].ids), strategy.shadows)
    steps = [_step(predictor, canvas, strategy, cache, kv) for canvas in canvases if not bool(canvas.done.all())]
    return Fidelity(*(torch.stack(column) for column in zip(*steps, strict=True)))


def _step(
    predictor: Predictor, canvas: Canvas, strategy: Strategy, cache: CachePolicy, kv: Kept | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One canvas read twice: the fields of `Fidelity`, of one step."""
    t = times(canvas, strategy.step(predictor.process, canvas))
    sites = Sites.of(canvas.window & canvas.pending)
    rows = cache.recompute(canvas, kv) & ~canvas.done[:, None]
    hidden, counts = run(predictor, canvas, sites, t, rows, kv)
    live = sites.live & ~canvas.done[:, None]
    p = _log_p(predict_at(predictor, canvas, sites, t), live)
    q = _log_p(read(predictor, canvas, sites, t, hidden), live)
    # rows that are excluded have p = q = 0
    kl = (p.exp() * (p - q).masked_fill(p == -torch.inf, 0.0)).sum()
    everything = (canvas.valid & ~canvas.done[:, None]).sum()
    return kl, (p.argmax(-1) != q.argmax(-1)).sum(), live.sum(), counts.sum(), everything


def _log_p(prediction: Prediction, live: Tensor) -> Float[Tensor, "n V"]:
    """ln p(x_i = · | z) in float64, at the live sites."""
    return prediction.posterior()[live].double().log_softmax(-1)
