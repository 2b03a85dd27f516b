"""The published loop, written plainly: what every ratio of the decoding benchmarks compares with.

LLaDA's `generate` (Nie et al. 2025, remasking "low_confidence", temperature 0): in every step the whole canvas goes
through the network and the head gives logits at every position; the argmax of each is ranked by its softmax
probability, and the step's quota of the present block is committed. It first passes the recorded runs of the published
loop (tests/benchmarks/test_baseline.py). It differs in one point, which favors it: a block that begins after an end of
text in every request is not decoded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undiffuse.predictor import Predictor
from undiffuse.types import State, Tags

Forward = Callable[[Int[Tensor, "R L"]], Float[Tensor, "R L V"]]


@dataclass(frozen=True, eq=False)
class Found:
    """The canvases, in which step each position was decided (−1: given or never), and the number of evaluations."""

    ids: Int[Tensor, "R L"]
    commit_step: Int[Tensor, "R L"]
    nfe: int


def forward_of(predictor: Predictor) -> Forward:
    """The network over whole rows with the head at all positions, and nothing besides."""

    def forward(ids: Tensor) -> Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        everything = torch.ones_like(ids, dtype=torch.bool)
        t = torch.ones_like(ids, dtype=torch.float64)
        hidden = predictor.run(predictor.rows(State(ids), t, Tags(positions), everything))
        return predictor.denoiser.head(hidden).float()

    return forward


@torch.no_grad()
def generate(
    forward: Forward, canvas: Int[Tensor, "R L"], mask: int, block_length: int, steps: int, end: int | None = None
) -> Found:
    """Decode the masks of the canvas in blocks of its positions after the first mask, `steps` in total.

    As in the published loop, the number of blocks divides the steps. Blanks may stand anywhere after the first.
    """
    found = Found(canvas, torch.full_like(canvas, -1), 0)
    first = int((canvas == mask).any(0).nonzero()[0])
    blocks = -(-(canvas.shape[1] - first) // block_length)
    for begin in range(first, canvas.shape[1], block_length):
        if end is not None and bool((found.ids[:, first:begin] == end).any(1).all()):
            break
        found = decode_block(forward, found, mask, begin, begin + block_length, steps // blocks)
    return found


@torch.no_grad()
def decode_block(forward: Forward, before: Found, mask: int, begin: int, stop: int, steps: int) -> Found:
    """The block of positions `begin` to `stop` (exclusive) in so many steps, each a pass over the whole canvas."""
    ids, commit_step, step = before.ids.clone(), before.commit_step.clone(), before.nfe
    for quota in quotas((ids[:, begin:stop] == mask).sum(1), steps).T:
        masked = ids == mask
        probability = forward(ids).softmax(-1)
        confidence, proposal = probability.max(-1)
        confidence = confidence.masked_fill(~masked, -torch.inf)
        confidence[:, stop:] = -torch.inf
        for row, count in enumerate(quota.tolist()):
            chosen = confidence[row].topk(count).indices
            ids[row, chosen] = proposal[row, chosen]
            commit_step[row, chosen] = step
        step += 1
    return Found(ids, commit_step, step)


def quotas(masks: Int[Tensor, " R"], steps: int) -> Int[Tensor, "R steps"]:
    """How many each step commits: masks div steps, and one more in the first (masks mod steps)."""
    count = (masks // steps)[:, None].expand(-1, steps).clone()
    count[torch.arange(steps) < (masks % steps)[:, None]] += 1
    return count
