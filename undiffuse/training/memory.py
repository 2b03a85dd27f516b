"""Whether a machine can hold a run: what it keeps at the least, counted before anything of it is made.

    weights     twice in the number format of the run (once to judge by), and a gradient of what is trained
    optimizer   of what is trained: averages and at least one moment in float32, and masters beside narrower weights
    batch       the ids of all rows; of the rows of one part what the backward pass reads again: about twelve numbers
                per unit of width, token and layer (norms, queries, keys, values, the inner layer of four times the
                width), scores of attention where they are kept, and the logits of half the tokens twice in float32

Real runs take up to four times as much. A run that fails for memory all the same says what to lower.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ..errors import UserError
from ..language_model.memory import available, shown
from ..models.attention import keeps_scores
from ..models.lora import LowRank
from ..text.codec import Codec
from .assembly import Rows, network_of
from .configuration import Configuration, TrainingSettings
from .plan import Budget, dial, sized
from .trainable import freeze

NUMBERS = 12
"""Saved for the backward pass, per unit of width, token and layer."""
IDS = 10
"""Bytes of a token of a batch: its id, and whether it is learned and valid."""
SMALLER_MODEL = "lower model.width, model.depth or tokenizer.size"
SMALLER_BATCH = "lower training.rows or model.context, or raise training.accumulation"
SIGNS = ("can't allocate memory", "out of memory", "not enough memory", "Storage size calculation overflowed")
"""What torch says where memory ends."""
ASKED = re.compile(r"tried to allocate (\S+ \w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Needs:
    """Bytes that a run keeps at the least: of weights and what moves them, of all ids, of the part that is computed."""

    parameters: int
    weights: int
    ids: int
    part: int

    @property
    def all(self) -> int:
        return self.weights + self.ids + self.part

    @classmethod
    def of(cls, configuration: Configuration, tokenizer: Codec | Rows, device: torch.device) -> "Needs":
        """Those of a configuration without open sizes."""
        settings = configuration.training
        with torch.device("meta"):
            network = network_of(configuration, tokenizer, seed=0)
        freeze(network, configuration.trained)
        if configuration.lora.rank:
            LowRank(configuration.lora.rank, 1.0, configuration.lora.targets).attach(network)
        sizes = {p: p.numel() for p in network.parameters()}
        trained = sum(size for p, size in sizes.items() if p.requires_grad)
        dtype = getattr(torch, settings.dtype)
        narrow = dtype.itemsize < torch.float32.itemsize
        weights = 2 * dtype.itemsize * sum(sizes.values()) + (dtype.itemsize + 8 + 4 * narrow) * trained

        c = network.config
        rows, length = int(settings.rows), c.context * (1 if c.block_length is None else 2)
        part = rows // settings.accumulation
        layer = NUMBERS * c.width * dtype.itemsize * length
        if keeps_scores(device, dtype):
            layer += c.heads * length * length * dtype.itemsize
        logits = c.context // 2 * c.rows * 8
        computed = part * (c.depth * layer + logits)
        return cls(sum(sizes.values()), weights, IDS * rows * c.context, computed)


def refuse_too_large(
    asked: Configuration, tokenizer: Codec | None, text_bytes: int, budget: Budget, device: torch.device
) -> None:
    """UserError, with the arithmetic, for a run on so much text that the device cannot hold.

    Sizes that are open are taken as small as they may become, and a tokenizer that is not trained yet (None) too.
    """
    free = available(device)
    if free is None:
        return
    configuration = sized(asked, dial(0.0 if budget.steps is None else budget.nominal_minutes, text_bytes))
    needs = Needs.of(configuration, tokenizer or Rows.least(asked.tokenizer, text_bytes), device)
    if needs.all <= free:
        return
    settings = configuration.training
    parts = "" if settings.accumulation == 1 else f" in {settings.accumulation:,} parts"
    raise UserError(
        f"the run takes at least {shown(needs.all)}, and {shown(free)} of memory are free on {device}: "
        f"{needs.parameters:,} parameters take {shown(needs.weights)} with gradients and optimizer, "
        f"a step on {settings.rows:,} x {configuration.context:,} tokens{parts} {shown(needs.ids + needs.part)}; "
        f"{_advice(needs, asked.training, settings)}"
    )


def _advice(needs: Needs, asked: TrainingSettings, settings: TrainingSettings) -> str:
    """What to lower, by what takes most."""
    if needs.weights > needs.ids + needs.part:
        return SMALLER_MODEL
    if int(settings.rows) > settings.accumulation:
        return SMALLER_BATCH
    if needs.part > needs.ids:  # one row is too long
        return "lower model.context"
    return "lower training.accumulation" + ("" if asked.rows == "auto" else " and training.rows")


@contextmanager
def explained() -> Iterator[None]:
    """Within the block, memory that ends is a UserError that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's errors are RuntimeErrors with a text
        said = " ".join(str(error).split())
        if not isinstance(error, MemoryError) and not any(sign in said for sign in SIGNS):
            raise
        more = ASKED.search(said)
        where = f" ({more[1]} more were asked for)" if more else ""
        raise UserError(
            f"there is not enough memory for this run{where}: {SMALLER_BATCH}; or {SMALLER_MODEL}"
        ) from error
