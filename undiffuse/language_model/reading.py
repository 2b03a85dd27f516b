"""Every token of some texts as the network expects it from the rest: what proofreading judges by (`check`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..decode.evaluation import Evaluate, Evaluated
from ..errors import not_finite
from ..types import State, Tags
from .many import batches
from .trained import Trained

Words = Sequence[tuple[int, int]]
"""Begin and end of each word, in tokens."""


@dataclass(frozen=True, eq=False)
class Reading:
    """ln p of each token of a text as it was read, and the best tokens there (nats); n tokens, K best."""

    own: Float[Tensor, " n"]
    best: Float[Tensor, "n K"]
    best_ids: Int[Tensor, "n K"]


@dataclass(frozen=True)
class Glance:
    """One row through the network: `length` tokens of a text from `first`, those `hidden` masked, those `read` read."""

    text: int
    first: int
    length: int
    read: tuple[int, int]
    hidden: tuple[int, int] = (0, 0)


@torch.no_grad()
def read(model: Trained, texts: Sequence[tuple[Sequence[int], Words]], count: int) -> Evaluated[list[Reading]]:
    """Every token given the rest of its text, the words hidden whole where noise has a mask."""
    count = min(count, model.predictor.process.vocabulary.size)
    truth = [torch.tensor(ids, device=model.device) for ids, _ in texts]
    values: list[list[tuple[Tensor, ...]]] = [[] for _ in texts]
    masked = model.predictor.process.mask is not None
    for row in _hidden(model, texts) if masked else _as_they_stand(model, texts):
        for together in batches([glance.length for glance in row], [1] * len(row)):
            glances = [row[number] for number in together]
            sizes = [glance.read[1] - glance.read[0] for glance in glances]
            yield Evaluate(sum(glance.length for glance in glances))
            for glance, log_p in zip(glances, _look(model, truth, glances).split(sizes), strict=True):
                own = log_p.gather(-1, truth[glance.text][slice(*glance.read), None])[:, 0]
                best = log_p.double().topk(count)
                values[glance.text].append((own.double().cpu(), best.values.cpu(), best.indices.cpu()))
    return [Reading(*(torch.cat(column) for column in zip(*each, strict=True))) for each in values]


def _hidden(model: Trained, texts: Sequence[tuple[Sequence[int], Words]]) -> Iterator[list[Glance]]:
    """One row per token, hidden with what follows it of its word; the row's text lies around the token."""
    glances = []
    for number, (ids, words) in enumerate(texts):
        length = min(model.room, len(ids))
        for begin, end in words:
            for token in range(begin, end):
                first = min(max(token - length // 2, 0), len(ids) - length)
                glances.append(Glance(number, first, length, (token, token + 1), (token, end)))
    yield glances


def _as_they_stand(model: Trained, texts: Sequence[tuple[Sequence[int], Words]]) -> Iterator[list[Glance]]:
    """One row per half a context, of which the middle is read; the first of every text, then the second, …"""
    for row in zip_longest(*(_halves(model.room, number, len(ids)) for number, (ids, _) in enumerate(texts))):
        yield [glance for glance in row if glance is not None]


def _halves(context: int, number: int, size: int) -> Iterator[Glance]:
    length = min(context, size)
    stride, margin = max(1, length // 2), length // 4
    last, done = size - length, 0
    for first in [*range(0, last, stride), last]:
        end = size if first == last else first + margin + stride
        yield Glance(number, first, length, (done, end))
        done = end


def _look(model: Trained, texts: Sequence[Int[Tensor, " n"]], glances: Sequence[Glance]) -> Float[Tensor, "n V"]:
    """ln p at what is read, row after row.

    At the noise level at which as many tokens are noise, on average, as are hidden (without a mask: one).
    """
    process = model.predictor.process
    before, after = (
        torch.tensor(side, dtype=torch.long, device=model.device) for side in (model.around.before, model.around.after)
    )
    ids = pad_sequence(
        [
            torch.cat((before, texts[glance.text][glance.first : glance.first + glance.length], after))
            for glance in glances
        ],
        batch_first=True,
    )
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    length = torch.tensor([glance.length for glance in glances], device=ids.device)
    place = positions + torch.tensor([[glance.first - len(before)] for glance in glances], device=ids.device)

    def within(ranges: Sequence[tuple[int, int]]) -> Tensor:
        begin, end = torch.tensor(ranges, device=ids.device).T[..., None]
        return (place >= begin) & (place < end)

    hidden, sites = within([glance.hidden for glance in glances]), within([glance.read for glance in glances])
    noise = torch.ones_like(length)
    if process.mask is not None:
        ids, noise = ids.masked_fill(hidden, process.mask), hidden.sum(-1)
    t = process.time_at(1 - noise.double() / length)[:, None].expand(ids.shape)
    state, valid = State(ids), positions < length[:, None] + model.around.size
    tags = Tags(positions, live=None if bool(valid.all()) else valid)
    found = model.predictor.run(model.predictor.rows(state, t, tags, valid))
    prediction = model.predictor.read(found[sites], state[sites], t[sites])
    log_p = prediction.leave_one_out() if process.mask is None else prediction.posterior()
    if bool(log_p.isnan().any()):
        raise not_finite(found.dtype)
    return log_p
