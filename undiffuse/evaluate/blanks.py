"""Single hidden tokens, guessed by any model from what it sees: the one question that all of them can be asked.

The hidden position is noise of t = 1 in its prior state, everything else is fixed and clean, and the answer is the most
probable token under the posterior of one evaluation. Masks: the mask. Noise between tokens: a token drawn from the
prior, and the mean of the posteriors of `DRAWS` of them, since what stands there says nothing about the answer.
Gaussian noise: a position without a latent, which is unknown. An autoregressive model, which is never shown the token
it predicts, answers from the left side alone, or, asked with tokens of the `right` side, with the one of its best
candidates from the left that is most probable given both (`likelihood/candidates.py`); block diffusion answers from the
left side and from its block.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from ..errors import UserError
from ..language_model import LanguageModel
from ..likelihood.candidates import CANDIDATES, tokens_between
from ..likelihood.windows import windows
from ..randomness import Draws
from ..types import Batch, Noised, State
from .infill import Accuracy, TokenBlank

DRAWS = 4
"""Prior tokens over which the answer is averaged, where noise is a token."""


@torch.no_grad()
def infill(
    model: LanguageModel,
    blanks: Sequence[TokenBlank],
    rows: int = 32,
    right: int = 0,
    candidates: int = CANDIDATES,
) -> Accuracy:
    """How often the model's best token is the hidden one; `rows` windows share an evaluation.

    `right` and `candidates` are for causal models (`answers`). UserError without blanks, and for windows beyond the
    model's context.
    """
    found = answers(model, blanks, rows, right, candidates)
    truth = [blank.ids[blank.position] for blank in blanks]
    return Accuracy(sum(token == true for token, true in zip(found, truth, strict=True)), len(blanks))


@torch.no_grad()
def answers(
    model: LanguageModel,
    blanks: Sequence[TokenBlank],
    rows: int = 32,
    right: int = 0,
    candidates: int = CANDIDATES,
) -> list[int]:
    """The model's best token for each blank. It does not depend on the others, nor on the hidden tokens.

    A causal model may be asked with so many tokens of the `right` side: they rank its best `candidates`.
    """
    if not blanks:
        raise UserError("there is no blank to fill")
    if rows < 1:
        raise UserError(f"rows must be at least 1, not {rows}")
    longest = max(len(blank.ids) for blank in blanks)
    if longest > model.context:
        raise UserError(f"windows of {longest} tokens are longer than the model's context of {model.context}")
    if right:
        return [_between(model, blank, right, candidates) for blank in blanks]
    found = [0] * len(blanks)
    for numbers in _groups(blanks, rows):
        for number, token in zip(numbers, _ask(model, [blanks[n] for n in numbers]).tolist(), strict=True):
            found[number] = token
    return found


def _groups(blanks: Sequence[TokenBlank], rows: int) -> Iterator[list[int]]:
    """Numbers of blanks of one length, so many at a time: no window is padded."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, blank in enumerate(blanks):
        by_length[len(blank.ids)].append(number)
    for numbers in by_length.values():
        for start in range(0, len(numbers), rows):
            yield numbers[start : start + rows]


def _ask(model: LanguageModel, blanks: Sequence[TokenBlank]) -> Int[Tensor, " n"]:
    """The best tokens of windows of one length."""
    predictor = model.predictor
    batch = windows([blank.ids for blank in blanks], len(blanks[0].ids)).to(model.device)
    place = torch.tensor([blank.position for blank in blanks], device=model.device)
    batch = replace(batch, editable=batch.positions == place[:, None])
    posteriors = [
        predictor.predict(_hidden(model, batch, draw), batch, batch.editable).posterior().double().exp()
        for draw in range(DRAWS if _drawn(model) else 1)
    ]
    return torch.stack(posteriors).sum(0).argmax(-1)


def _between(model: LanguageModel, blank: TokenBlank, right: int, candidates: int) -> int:
    """The best token of a causal model from both sides."""
    if not model.predictor.traits.one_sided:
        raise UserError("this model reads both sides as it is: leave out right, which is for causal models")
    left, after = blank.ids[: blank.position], blank.ids[blank.position + 1 :]
    tokens, log_p = tokens_between(model.predictor, [*model.trained.begins, *left], after[:right], candidates)
    return int(tokens[log_p.argmax()])


def _drawn(model: LanguageModel) -> bool:
    """Whether noise is a token that is seen."""
    return not model.predictor.traits.one_sided and model.predictor.process.unread_is_drawn


def _hidden(model: LanguageModel, batch: Batch, draw: int) -> Noised:
    """The windows with noise in place of their editable token, which nothing of is left."""
    process = model.predictor.process
    draws = Draws.seeded(0, model.device).stream("blanks").at(draw, batch.positions)
    ids = torch.where(batch.editable, process.unread(draws), batch.ids)
    return Noised(ids, State(ids), batch.editable.double(), batch.editable)
