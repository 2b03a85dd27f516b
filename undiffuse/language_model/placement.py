"""A text with holes as a canvas: where each hole lies once its length is fixed, and what it may hold."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch

from ..decode.canvas import Canvas, start
from ..decode.whole_text import Span, WholeText
from ..errors import UserError
from ..randomness import Draws
from ..text.form import Blank, Form
from ..text.utf8 import HoleText
from .settings import Settings
from .trained import Trained


@lru_cache(maxsize=8)
def hole_text(tokens: tuple[bytes, ...], prefix: bytes) -> HoleText:
    """What a hole may hold, which takes a pass over the vocabulary, many times longer than one over the network."""
    return HoleText(tokens, prefix)


class Placement:
    """A form with a length for every hole: where each hole lies on the canvas, and what it may hold.

    Of a text longer than the context the canvas holds the part around the holes. What stands around every text of the
    model stands around it.
    """

    def __init__(self, model: Trained, form: Form, lengths: Sequence[int]) -> None:
        self.model, self.form, self.lengths = model, form, tuple(lengths)
        remaining = iter(lengths)
        sizes = [next(remaining) if isinstance(part, Blank) else len(part.ids) for part in form.parts]
        places = list(zip(form.parts, accumulate(sizes, initial=0), sizes, strict=False))
        self.holes = [(begin, begin + size) for part, begin, size in places if isinstance(part, Blank)]
        first, stop = self._window(sum(sizes))  # before anything of that size is made
        ids = [token for part, _, size in places for token in ([0] * size if isinstance(part, Blank) else part.ids)]
        around = model.around
        self.ids = torch.tensor([*around.before, *ids[first:stop], *around.after])
        shift = len(around.before) - first
        self.holes = [(begin + shift, end + shift) for begin, end in self.holes]

    def _window(self, size: int) -> tuple[int, int]:
        """The positions on the canvas: all, or a context with the holes in its middle. UserError if they do not fit."""
        context, (begin, end) = self.model.room, (self.holes[0][0], self.holes[-1][1])
        if end - begin > context:
            raise UserError(
                f"the holes and the text between them take {end - begin} tokens and the model was trained on "
                f"{context}: fill them in several calls, or make them shorter"
            )
        traits = self.model.predictor.traits
        if traits.floating and traits.block_length is not None and size - begin > traits.block_length:
            raise UserError(
                f"from the first hole to the end the text takes {size - begin} tokens, and this model sees both sides "
                f"within a canvas of {traits.block_length}: leave out what comes later, or fill with another model"
            )
        first = min(max((begin + end - context) // 2, 0), max(size - context, 0))
        return first, min(first + context, size)

    def canvas(self, keys: Sequence[Draws], settings: Settings) -> Canvas:
        """One request per key."""
        pending = torch.zeros_like(self.ids, dtype=torch.bool)
        for begin, end in self.holes:
            pending[begin:end] = True
        plan = settings.plan(self.model.predictor, settings.steps)
        return Canvas.concatenate([start(self.ids, pending, key=key, **plan) for key in keys])

    def answer(self, canvas: Canvas, row: int, hole: int) -> tuple[str, float]:
        """What a finished request holds in a hole, and the probability of its tokens in their order of commitment."""
        begin, end = self.holes[hole]
        fill = self.model.tokenizer.decode_bytes(canvas.ids[row, begin:end].tolist())
        probability = math.exp(canvas.commit_logp[row, begin:end].double().sum().item())
        return self.form.blanks[hole].shown(fill), probability

    def text(self, canvas: Canvas, row: int) -> str:
        fills = [self.model.tokenizer.decode_bytes(canvas.ids[row, a:b].tolist()) for a, b in self.holes]
        return self.form.text(fills, self.model.tokenizer)


def constraint(placements: Sequence[Placement]) -> WholeText:
    """Every hole of every request, one per placement, holds its prefix and whole characters, or a text of its type."""
    spans = []
    for row, placement in enumerate(placements):
        for (begin, end), blank in zip(placement.holes, placement.form.blanks, strict=True):
            text = blank.language or hole_text(placement.model.tokenizer.tokens, blank.prefix)
            spans.append(Span(row, begin, end, text))
    return WholeText(spans)
