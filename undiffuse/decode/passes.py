"""One pass over the canvas: choose rows, run the network on them, read the head where logits are needed."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import not_finite
from ..models.features import Features
from ..models.kept import Kept
from ..predictor import Predictor
from ..process.prediction import Prediction
from ..types import State, Tags, columns
from .canvas import Canvas

PADDING = 4 / 3
"""Requests share a forward pass while the longest has at most so many times the rows of the shortest."""
FREE = 32
"""Rows of padding that cost no more than a pass of its own: it reads all weights, and starts all operations."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Up to M positions per request, ascending; `live` is false where a request has fewer."""

    index: Int[Tensor, "R M"]
    live: Bool[Tensor, "R M"]

    @classmethod
    def of(cls, wanted: Bool[Tensor, "R L"], size: int | None = None) -> "Sites":
        """The wanted positions of each row; `size`, how many at most, is read from the device unless it is known."""
        if size is None:
            size = int(wanted.sum(-1).max())
        index = (~wanted).byte().argsort(dim=-1, stable=True)[:, :size]
        return cls(index, wanted.gather(1, index))

    def select(self, rows: Tensor | slice) -> "Sites":
        return Sites(self.index[rows], self.live[rows])

    def gather(self, values: Tensor) -> Tensor:
        """Values (R, L, …) at the sites, (R, M, …)."""
        return columns(values, self.index)

    def scatter(self, values: Tensor, into: Tensor) -> Tensor:
        """`into` (R, L) with the values (R, M) at live sites."""
        kept = torch.where(self.live, values.to(into.dtype), into.gather(1, self.index))
        return into.scatter(1, self.index, kept)


@dataclass(frozen=True, eq=False)
class Latents:
    """What a network sees besides tokens: latents under continuous noise, and its own last estimate (`feedback`)."""

    latent: Float[Tensor, "R L d"] | None = None
    feedback: Float[Tensor, "R L d"] | None = None

    def select(self, rows: Tensor | slice) -> "Latents":
        return Latents(*(None if each is None else each[rows] for each in (self.latent, self.feedback)))


def predict_at(predictor: Predictor, canvas: Canvas, sites: Sites, t: Float[Tensor, "R L"]) -> Prediction:
    """A prediction at the sites (R, M) from one forward pass over the whole canvas."""
    hidden = run(predictor, canvas, sites, t, canvas.valid)[0]
    return read(predictor, canvas, sites, t, hidden)


def read(
    predictor: Predictor,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "R L"],
    hidden: Float[Tensor, "R M D"],
    view: Latents | None = None,
) -> Prediction:
    """The head at the sites; UserError where what it says of a live one is not finite."""
    latent = None if view is None or view.latent is None else sites.gather(view.latent)
    prediction = predictor.read(hidden, State(sites.gather(canvas.ids), latent), sites.gather(t))
    finite = prediction.logits.amax(-1) < torch.inf  # false of NaN
    if bool((sites.live & ~finite).any()):
        raise not_finite(hidden.dtype)
    return prediction


def run(
    predictor: Predictor,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "R L"],
    rows: Bool[Tensor, "R L"],
    kv: Kept | None = None,
    shadowed: Bool[Tensor, "R M"] | None = None,
    view: Latents | None = None,
) -> tuple[Float[Tensor, "R M D"], Int[Tensor, " R"]]:
    """Hidden states that speak of the sites, and how many rows of each request went through the trunk.

    `rows` says which positions are run (none: the request is left out). Positions that a shifted network, or a causal
    one, needs to speak of the sites are added here, and nowhere else. Where `shadowed`, a site is read from a shadow
    row: a mask that stands at its position and sees everything but the token there. Requests whose numbers of rows
    differ much are run in separate passes, so that they do not pad each other.
    """
    running = rows.any(-1) | sites.live.any(-1) & predictor.traits.one_sided
    if predictor.traits.logit_row or predictor.traits.one_sided:
        at = Sites(predictor.speaks(sites.index, sites.index), sites.live)
        speakers = torch.zeros_like(rows.long()).scatter_add(1, at.index, at.live.long()).bool()
        rows = rows | speakers & running[:, None]
        if predictor.traits.block_length is not None:  # a block that nothing is asked of has no part in the answer
            rows = rows & (canvas.finished_blocks | _in_blocks(canvas, speakers))
    counts = rows.sum(-1)
    sizes = counts.tolist()
    found: Tensor | None = None
    for group in _groups(sizes):
        everyone = len(group) == len(sizes)
        chosen = torch.tensor(group, device=rows.device)
        part = slice(None) if everyone else chosen
        hidden = _pass(
            predictor,
            canvas if everyone else canvas.select(chosen),
            sites if everyone else sites.select(chosen),
            t[part],
            rows[part],
            rows.shape[1] if isinstance(kv, Features) else max(sizes[request] for request in group),
            kv if kv is None or (everyone and len(kv.filled) == len(sizes)) else kv.of(chosen),
            shadowed[part] if shadowed is not None else None,
            view if view is None or everyone else view.select(chosen),
        )
        if everyone:
            found = hidden
        else:
            found = hidden.new_zeros(len(sizes), *hidden.shape[1:]) if found is None else found
            found[chosen] = hidden
    if kv is not None:
        whole = running & (counts >= canvas.valid.sum(-1))
        kv.stamp.copy_(torch.where(whole, canvas.current, kv.stamp))
        counts = kv.cost(counts)
    if shadowed is not None:
        counts = counts + sites.live.sum(-1) * running
    assert found is not None
    return found, counts


def _in_blocks(canvas: Canvas, some: Bool[Tensor, "R L"]) -> Bool[Tensor, "R L"]:
    """Every position of the attention blocks that hold some of the positions."""
    block = canvas.blocks
    return torch.zeros_like(block).scatter_add(1, block, some.long()).gather(1, block) > 0


def _groups(sizes: list[int]) -> list[list[int]]:
    """Requests that share a pass: sorted by size, a new group where the sizes fall too low. Requests of size 0 rest."""
    groups: list[list[int]] = []
    padding = 0
    for request in sorted((r for r in range(len(sizes)) if sizes[r]), key=lambda r: -sizes[r]):
        most = sizes[groups[-1][0]] if groups else 0
        padding += most - sizes[request]
        if groups and (most <= PADDING * sizes[request] or padding <= FREE):
            groups[-1].append(request)
        else:
            groups.append([request])
            padding = 0
    return [sorted(group) for group in groups]


def _pass(
    predictor: Predictor,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "R L"],
    rows: Bool[Tensor, "R L"],
    size: int,
    kv: Kept | None,
    shadowed: Bool[Tensor, "R M"] | None,
    view: Latents | None,
) -> Float[Tensor, "R M D"]:
    """One forward pass of the trunk over up to `size` rows of each request."""
    blocks, length = predictor.traits.block_length is not None, canvas.ids.shape[1]
    tags = Tags(
        canvas.positions,
        live=canvas.valid,
        span=canvas.span if blocks else None,
        origin=canvas.origin if blocks and predictor.traits.floating else None,
        clean=canvas.finished_blocks if blocks else None,
    )
    latent, feedback = (None, None) if view is None else (view.latent, view.feedback)
    # where everything is run, also the padding: no gather is needed
    at = Sites.of(rows, size) if size < length else None
    index, live, of = (None, rows, sites.index) if at is None else (at.index, at.live, sites.index)
    texts = State(canvas.ids, latent), t, tags, canvas.editable
    if shadowed is not None:
        texts = _with_shadows(predictor, canvas, sites, texts)
        columns_of = torch.arange(sites.index.shape[1], device=of.device).expand_as(of) + length
        live = torch.cat((live, sites.live), dim=1)
        index = None if index is None else torch.cat((index, columns_of), dim=1)
        of = torch.where(shadowed, columns_of, of)
    return predictor.run(predictor.rows(*texts, feedback=feedback, at=index, live=live, of=of), kv)


def _with_shadows(
    predictor: Predictor, canvas: Canvas, sites: Sites, texts: tuple[State, Tensor, Tags, Tensor]
) -> tuple[State, Tensor, Tags, Tensor]:
    """The texts with one shadow column per site appended: a mask at its position, which has no part in the text."""
    state, t, tags, editable = texts
    mask = predictor.process.vocabulary.mask
    assert mask is not None
    shadow = torch.ones_like(sites.live)
    noisy = torch.where(canvas.window, t, 0.0).amax(-1, keepdim=True).expand(sites.index.shape)
    return (
        State(torch.cat((state.ids, torch.full_like(sites.index, mask)), dim=1)),
        torch.cat((t, noisy), dim=1),
        Tags(
            torch.cat((tags.position, sites.index), dim=1),
            live=torch.cat((canvas.valid, ~shadow), dim=1),
            shadow=torch.cat((torch.zeros_like(canvas.valid), shadow), dim=1),
        ),
        torch.cat((editable, shadow), dim=1),
    )
