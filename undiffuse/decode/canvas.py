"""The text that is being denoised: R requests side by side, with the state of every position explicit."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..randomness import Draws

UNDECIDED = -1
CANCELLED = -2
GIVEN = -3


@dataclass(frozen=True, eq=False)
class Canvas:
    """One row per request; every request has its own steps, windows and random key.

    `pending` positions are undecided; only `editable` ones may ever be written (editable implies valid); `valid` exist.
    `window_number` is the window in which an editable position is decoded, in order; fixed ones have UNDECIDED. `steps`
    (R, W) is the number of steps planned for each window, `clock` how many were taken in the present one. `commit_step`
    and `commit_logp` say when the present token was decided (the request's own step) and with which log-probability
    (model's distribution over what is allowed, no temperature or filter; nats); CANCELLED marks positions that an end
    of text before them left undecided, GIVEN those that were decided at the beginning and may be written. `nfe` counts
    network evaluations, `rows` the rows that went through the trunk. `span` is the length of the network's attention
    blocks, counted from position 0, or from `origin` (0: one block). `aborted` requests ended as they were, and may
    have something pending. `begins` is the time of the noise at the beginning: at 1 it is for the loop to draw, below
    it is in the text, and the steps of every window lead from there to 0. `certificate` is the largest that the
    strategy gave in any step: below 1, one token at a time would have decided the same (see `certified`); ∞ where a
    step came without one. `taken` is how many positions of the first window a prompt holds, where its steps are those
    of all of it. `held` is the window that a strategy keeps open although nothing may be pending in it (UNDECIDED:
    none).
    """

    ids: Int[Tensor, "R L"]
    pending: Bool[Tensor, "R L"]
    editable: Bool[Tensor, "R L"]
    valid: Bool[Tensor, "R L"]
    window_number: Int[Tensor, "R L"]
    steps: Int[Tensor, "R W"]
    key: Int[Tensor, " R"]
    clock: Int[Tensor, " R"]
    step: Int[Tensor, " R"]
    nfe: Int[Tensor, " R"]
    rows: Int[Tensor, " R"]
    span: Int[Tensor, " R"]
    origin: Int[Tensor, " R"]
    aborted: Bool[Tensor, " R"]
    begins: Float[Tensor, " R"]
    certificate: Float[Tensor, " R"]
    taken: Int[Tensor, " R"]
    held: Int[Tensor, " R"]
    commit_step: Int[Tensor, "R L"]
    commit_logp: Float[Tensor, "R L"]

    @cached_property
    def positions(self) -> Int[Tensor, "R L"]:
        return torch.arange(self.ids.shape[1], device=self.ids.device).expand_as(self.ids)

    @cached_property
    def done(self) -> Bool[Tensor, " R"]:
        return ~(self.pending.any(-1) | (self.held >= 0)) | self.aborted

    @cached_property
    def current(self) -> Int[Tensor, " R"]:
        """Number of the window that each request is in: the first that is open (0 when done)."""
        last = self.steps.shape[1]
        first = self.window_number.masked_fill(~self.pending, last).amin(-1)
        first = torch.where(self.held >= 0, torch.minimum(first, self.held), first)
        return first.where(first < last, 0)

    @cached_property
    def window(self) -> Bool[Tensor, "R L"]:
        """Editable positions of the present window of each request that is not done."""
        return self.editable & (self.window_number == self.current[:, None]) & ~self.done[:, None]

    @property
    def shared(self) -> Int[Tensor, " R"]:
        """Over how many tokens the steps of the present window are shared out: its own, and those that are taken."""
        return self.window.sum(-1) + self.taken.where(self.current == 0, 0)

    @cached_property
    def blocks(self) -> Int[Tensor, "R L"]:
        """The attention block of each position; what stands before `origin` is block 0."""
        span = torch.where(self.span > 0, self.span, self.ids.shape[1])[:, None]
        return (self.positions - self.origin[:, None] + span * (self.origin > 0)[:, None]).clamp(min=0) // span

    @cached_property
    def finished_blocks(self) -> Bool[Tensor, "R L"]:
        """Positions of attention blocks in which nothing is open (all, or none, where one block is everything)."""
        block = self.blocks
        unfinished = self.pending | (self.window_number == self.held[:, None]) & (self.held >= 0)[:, None]
        open_ = torch.zeros_like(self.pending).long().scatter_add(1, block, unfinished.long())
        return open_.gather(1, block) == 0

    @cached_property
    def draws(self) -> Draws:
        """One key per position, of (request's seed, its own step, absolute position)."""
        return Draws(self.key).at(self.step)[:, None].at(self.positions)

    def certain(
        self, revocable: bool | Bool[Tensor, "R 1"], early: bool | Bool[Tensor, "R 1"] = False
    ) -> Bool[Tensor, "R L"]:
        """Written text that stays as it is: decided without a gap from where a request begins to write.

        Under block diffusion its block must be finished, unless it is asked `early`, and strategies that may take a
        token back (`revocable`) finish their window.
        """
        settled = ~self.pending & self.editable
        settled &= ~(self.window & revocable)
        settled &= self.finished_blocks | (self.span == 0)[:, None] | early
        return settled & ((self.editable & ~settled).cumsum(-1) == 0)

    def select(self, rows: Tensor | slice) -> "Canvas":
        """The given rows, by index, boolean mask or slice: how requests leave a batch or are copied."""
        return Canvas(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def put(self, rows: Tensor, other: "Canvas") -> "Canvas":
        """This canvas with the given rows replaced by those of another of the same size."""
        return Canvas(
            **{f.name: getattr(self, f.name).index_copy(0, rows, getattr(other, f.name)) for f in fields(self)}
        )

    def narrowed(self, length: int, windows: int) -> "Canvas":
        """The first positions and windows alone: a request without the padding of those that it shared a batch with."""
        widths = {"steps": windows}
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return Canvas(**{k: v if v.ndim == 1 else v[:, : widths.get(k, length)] for k, v in columns.items()})

    def to(self, device: torch.device | str) -> "Canvas":
        return Canvas(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @staticmethod
    def concatenate(canvases: "list[Canvas]") -> "Canvas":
        """Requests of several canvases as one batch, padded on the right to the longest."""
        length = max(canvas.ids.shape[1] for canvas in canvases)
        windows = max(canvas.steps.shape[1] for canvas in canvases)
        fill = {"window_number": UNDECIDED, "commit_step": UNDECIDED}
        columns: dict[str, list[Tensor]] = {f.name: [] for f in fields(Canvas)}
        for canvas in canvases:
            for name, column in columns.items():
                value = getattr(canvas, name)
                if value.ndim == 2:
                    width = windows if name == "steps" else length
                    value = torch.nn.functional.pad(value, (0, width - value.shape[1]), value=fill.get(name, 0))
                column.append(value)
        return Canvas(**{name: torch.cat(column) for name, column in columns.items()})

    def replace(self, **changes: Tensor) -> "Canvas":
        return replace(self, **changes)


def start(
    ids: Int[Tensor, " L"],
    pending: Bool[Tensor, " L"],
    *,
    key: int | Draws,
    steps: int | None = None,
    block_length: int | None = None,
    span: int | None = None,
    floating: bool = False,
    planned: Callable[[Int[Tensor, " W"]], Int[Tensor, " W"]] = lambda sizes: sizes,
    editable: Bool[Tensor, " L"] | None = None,
    begins: float = 1.0,
) -> Canvas:
    """A canvas of one request, whose editable positions are its pending ones unless more are given.

    Editable positions that are not pending hold tokens that strategies may take back. With `begins` below 1 the pending
    positions hold a text that is noisy at that time: tokens and masks as they are; where noise is on vectors, the clean
    text, whose vectors the strategy makes noisy.

    Windows of `block_length` tile the span from the first to the last pending position (one window when None), skipping
    those without anything pending. With `span`, the length of the network's attention blocks, windows are those blocks,
    or parts of `block_length` positions of them, which it must divide. Blocks are counted from position 0, or if they
    are `floating` from the first editable position.
    `steps` is spread over windows in proportion to what is pending in them, at least one each, however few there are;
    None plans what `planned` makes of the numbers of pending positions, one step each if it is not given.
    """
    if not 0 < begins <= 1:
        raise UserError(f"the noise of a canvas begins at a time in (0, 1], not at {begins}; 1 is noise alone")
    editable = pending if editable is None else editable
    if bool((pending & ~editable).any()):
        raise UserError("pending positions are there to be written: make them editable, or decide them")
    place = editable.nonzero()[:, 0]
    number = torch.full_like(ids, UNDECIDED)
    if len(place):
        first = 0 if span and not floating else place[0]
        tile = (place - first) // (block_length or span or len(ids))
        number[place] = tile.unique(return_inverse=True)[1]
    sizes = torch.bincount(number[pending], minlength=int(number.max()) + 1 if len(place) else 1)
    draws = key if isinstance(key, Draws) else Draws.seeded(key)
    zero = torch.zeros(1, dtype=torch.long)
    return Canvas(
        ids=ids[None],
        pending=pending[None],
        editable=editable[None],
        valid=torch.ones_like(pending)[None],
        window_number=number[None],
        steps=(planned(sizes) if steps is None else spread(steps, sizes))[None],
        key=draws.key.view(1),
        clock=zero,
        step=zero,
        nfe=zero,
        rows=zero,
        span=zero + (span or 0),
        origin=place[:1] if span and floating and len(place) else zero,
        aborted=torch.zeros(1, dtype=torch.bool),
        begins=torch.full((1,), begins, dtype=torch.float64),
        certificate=torch.zeros(1, dtype=torch.float64),
        taken=zero,
        held=zero + UNDECIDED,
        commit_step=torch.full_like(ids, UNDECIDED).masked_fill(editable & ~pending, GIVEN)[None],
        commit_logp=torch.zeros(ids.shape, dtype=torch.float32)[None],
    )


def spread(steps: int, sizes: Int[Tensor, " W"]) -> Int[Tensor, " W"]:
    """`steps` over windows in proportion to their sizes, at least one each, by cumulative rounding."""
    extra = max(steps - len(sizes), 0)
    shares = (sizes.cumsum(0).double() * extra / sizes.sum().clamp(min=1)).round().long()
    return 1 + shares.diff(prepend=torch.zeros(1, dtype=torch.long))
