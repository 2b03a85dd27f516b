"""One look at the canvas: choose rows, run the network on them, read the head where logits are needed."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..models.features import Features
from ..models.kept import Kept
from ..predictor import Predictor
from ..process.prediction import Prediction
from ..types import State, Tags
from .canvas import Canvas

PADDING = 4 / 3
"""Requests share a forward pass while the longest has at most so many times the rows of the shortest."""


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

    def select(self, rows: Tensor) -> "Sites":
        return Sites(self.index[rows], self.live[rows])

    def gather(self, values: Tensor) -> Tensor:
        """Values (R, L, …) at the sites, (R, M, …)."""
        index = self.index.view(*self.index.shape, *[1] * (values.ndim - 2))
        return values.gather(1, index.expand(-1, -1, *values.shape[2:]))

    def scatter(self, values: Tensor, into: Tensor) -> Tensor:
        """`into` (R, L) with the values (R, M) at live sites."""
        kept = torch.where(self.live, values.to(into.dtype), into.gather(1, self.index))
        return into.scatter(1, self.index, kept)


@dataclass(frozen=True, eq=False)
class View:
    """What a network sees besides tokens, under continuous noise: the latents, and its own earlier estimate of them."""

    latent: Float[Tensor, "R L d"]
    feedback: Float[Tensor, "R L d"] | None = None

    def select(self, rows: Tensor) -> "View":
        return View(self.latent[rows], None if self.feedback is None else self.feedback[rows])


def look(predictor: Predictor, canvas: Canvas, sites: Sites, t: Float[Tensor, "R L"]) -> Prediction:
    """A prediction at the sites (R, M) from one forward pass over the whole canvas."""
    hidden = run(predictor, canvas, sites, t, canvas.valid)[0]
    return read(predictor, canvas, sites, t, hidden)


def read(
    predictor: Predictor,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "R L"],
    hidden: Float[Tensor, "R M D"],
    view: View | None = None,
) -> Prediction:
    """The head at the sites."""
    latent = None if view is None else sites.gather(view.latent)
    return predictor.read(hidden, State(sites.gather(canvas.ids), latent), sites.gather(t))


def run(
    predictor: Predictor,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "R L"],
    rows: Bool[Tensor, "R L"],
    kv: Kept | None = None,
    shadowed: Bool[Tensor, "R M"] | None = None,
    view: View | None = None,
) -> tuple[Float[Tensor, "R M D"], Int[Tensor, " R"]]:
    """Hidden states that speak of the sites, and how many rows of each request went through the trunk.

    `rows` says which positions are run (none: the request is left out). Positions that a shifted network needs to speak
    of the sites are added here, and nowhere else. Where `shadowed`, a site is read from a shadow row: a mask that
    stands at its position and sees everything but the token there. Requests whose numbers of rows differ much are run
    in separate passes, so that they do not pad each other.
    """
    running = rows.any(-1)
    if predictor.traits.logit_row:
        at = Sites(predictor.source(sites.index), sites.live)
        rows = rows | torch.zeros_like(rows.long()).scatter_add(1, at.index, at.live.long()).bool() & running[:, None]
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


def _groups(sizes: list[int]) -> list[list[int]]:
    """Requests that share a pass: sorted by size, a new group where the sizes fall too low. Requests of size 0 rest."""
    groups: list[list[int]] = []
    for request in sorted((r for r in range(len(sizes)) if sizes[r]), key=lambda r: -sizes[r]):
        if groups and sizes[groups[-1][0]] <= PADDING * sizes[request]:
            groups[-1].append(request)
        else:
            groups.append([request])
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
    view: View | None,
) -> Float[Tensor, "R M D"]:
    """One forward pass of the trunk over up to `size` rows of each request."""
    at = Sites.of(rows, size)
    whole = size == canvas.ids.shape[1]
    if whole:  # also the padding: no gather is needed
        at = Sites(canvas.positions, rows)
    ids, time, editable = (v if whole else at.gather(v) for v in (predictor.seen(canvas.ids), t, canvas.editable))
    level = predictor.told(t, canvas.valid)
    level = level if level is None or whole else at.gather(level)
    blocks = predictor.traits.block_length is not None
    tags = Tags(
        at.index,
        live=at.live,
        span=canvas.span if blocks else None,
        clean=at.gather(canvas.finished_blocks) if blocks else None,
    )
    if shadowed is not None:
        ids, time, editable, tags = _with_shadows(predictor, canvas, sites, t, (ids, time, editable, tags))
        level = None if level is None else level[:, :1].expand(time.shape)
    latent, feedback = (None, None) if view is None else (view.latent, view.feedback)
    if not whole:
        latent, feedback = (None if v is None else at.gather(v) for v in (latent, feedback))
    hidden = predictor.trunk(State(ids, latent), time, tags, editable, kv, feedback, level)
    source = predictor.source(sites.index)
    if not whole:
        place = torch.zeros_like(canvas.ids).scatter(
            1, at.index, torch.arange(size, device=ids.device).expand_as(at.index)
        )
        source = place.gather(1, source)
    if shadowed is not None:
        own = size + torch.arange(sites.index.shape[1], device=ids.device)
        source = torch.where(shadowed, own, source)
    return hidden.gather(1, source[..., None].expand(-1, -1, hidden.shape[-1]))


def _with_shadows(
    predictor: Predictor,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "R L"],
    rows: tuple[Tensor, Tensor, Tensor, Tags],
) -> tuple[Tensor, Tensor, Tensor, Tags]:
    """The rows of a pass with one shadow row per site appended: a mask at its position."""
    ids, time, editable, tags = rows
    mask = predictor.process.vocabulary.mask
    assert mask is not None
    assert tags.live is not None
    shadow = torch.ones_like(sites.live)
    noisy = torch.where(canvas.window, t, 0.0).amax(-1, keepdim=True).expand(sites.index.shape)
    return (
        torch.cat((ids, torch.full_like(sites.index, mask)), dim=1),
        torch.cat((time, noisy), dim=1),
        torch.cat((editable, shadow), dim=1),
        Tags(
            torch.cat((tags.position, sites.index), dim=1),
            live=torch.cat((tags.live, sites.live), dim=1),
            shadow=torch.cat((torch.zeros_like(tags.live), shadow), dim=1),
        ),
    )
