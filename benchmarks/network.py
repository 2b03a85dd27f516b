"""One training step, as the library does it and as one would first write it, and how many operations it has."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.bound import Bound
from undiffuse.objective.times.equal_count import EqualCount
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.randomness import Draws
from undiffuse.training.optimizers.muon import Muon
from undiffuse.types import Batch, Rows, State, Tags
from undiffuse.vocabulary import Vocabulary

SIZES = {
    "1M": {"width": 128, "depth": 6, "heads": 4},
    "3M": {"width": 192, "depth": 7, "heads": 6},
    "10M": {"width": 384, "depth": 6, "heads": 6},
}

FLOPS = (
    "FLOPs of a training step: 6 per hidden weight and token (2 forward, 4 backward), 6·D·V per token that reaches the "
    "head (the masked ones alone), and 12·L·D per token and layer for the two products of attention. Those of "
    "normalizations, softmaxes and the optimizer are not counted."
)


def config(size: str, rows: int, context: int) -> TransformerConfig:
    return TransformerConfig(rows=rows, context=context, **SIZES[size])


def batch_of(network: TransformerConfig, rows: int) -> Batch:
    """Random tokens; the last row of the table is the mask."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, network.rows - 1, (rows, network.context), generator=generator)
    yes, name = torch.ones_like(ids, dtype=torch.bool), torch.arange(rows)
    positions = torch.arange(network.context).expand_as(ids)
    return Batch(ids, yes, yes, positions, index=name, epoch=torch.zeros_like(name), slot=name)


def flops(network: TransformerConfig, rows: int) -> float:
    """Of one step; see FLOPS. Half the tokens and half a token per row are masked on average."""
    tokens, length = rows * network.context, network.context
    hidden = sum(weight.numel() for weight, _ in Transformer(network).matrices)
    attention = 12 * length * network.width * network.depth
    return tokens * (6 * hidden + attention) + 6 * network.width * network.rows * rows * (length + 1) / 2


def library_parts(
    network: TransformerConfig, rows: int, device: str | torch.device = "cpu"
) -> tuple[Callable[[], None], Callable[[], None]]:
    """The library's gradient and optimizer step: equal-count bound, head at masked positions, bfloat16 with masters."""
    torch.manual_seed(0)
    model = Transformer(network).to(device).bfloat16()
    process = Interpolating(Vocabulary(network.rows, mask=network.rows - 1), OneMinusT(), Mask())
    predictor = Predictor(model, process, "leave_one_out")
    objective, optimizer = Bound(EqualCount()), Muon().build(model)
    batch, draws = batch_of(network, rows).to(torch.device(device)), Draws.seeded(0, device)

    def gradient() -> None:
        loss = objective.loss(predictor, batch, draws, rows)
        (loss.sum / loss.weight).backward()

    return gradient, lambda: optimizer.step(0.1)


def plain_step(network: TransformerConfig, rows: int) -> Callable[[], None]:
    """The same network in float32 with torch's fused attention, logits at every position, and torch's AdamW."""
    torch.manual_seed(0)
    model = Transformer(network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch = batch_of(network, rows)
    tags = Tags(batch.positions)

    def step() -> None:
        share = torch.rand(rows, 1)
        masked = torch.rand(batch.ids.shape) < share
        ids = batch.ids.masked_fill(masked, network.rows - 1)
        hidden = model.trunk(Rows(State(ids), tags))
        nats = F.cross_entropy(model.head(hidden).flatten(0, 1), batch.ids.flatten(), reduction="none")
        loss = (nats.view(ids.shape) * masked / share).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
