"""Decoding in terms of ids: what the published loops of each family do, on the one loop."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..decode.canvas import Canvas, start
from ..decode.loop import denoise, finished
from ..errors import UserError
from ..randomness import Draws
from .arguments import many, whole
from .settings import Settings
from .trained import Trained

Prompts = Int[Tensor, "R P"] | Sequence[Sequence[int] | Int[Tensor, " P"]]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What became of each request; the first three hold one tensor (P + N,) per request, prompt included.

    `commit_step` is the request's own step in which a position was decided: −1 in the prompt, −2 where a stop id left
    it undecided (its id is the mask). `commit_logprob` is ln p of the decided token in that step, from the model's
    distribution over the tokens that are not banned, without temperature or filters (nats; 0 in the prompt). Per
    request, `nfe` counts passes of the network, `nfe_denoise` those that served a step of decoding, without passes that
    only filled a cache (our caches need none), and `rows` the rows that went through the network.
    """

    ids: tuple[Int[Tensor, " n"], ...]
    commit_step: tuple[Int[Tensor, " n"], ...]
    commit_logprob: tuple[Float[Tensor, " n"], ...]
    nfe: Int[Tensor, " R"]
    nfe_denoise: Int[Tensor, " R"]
    rows: Int[Tensor, " R"]


def decode(
    model: Trained,
    prompt_ids: Prompts,
    length: int,
    settings: Settings,
    stop: tuple[int, ...] = (),
    banned: tuple[int, ...] = (),
    early: bool = False,
    window: int | None = None,
) -> Decoded:
    """See `LanguageModel.decode`."""
    length = whole("length", length)
    prompts = _prompts(model, prompt_ids, settings)
    blocks = model.predictor.traits.block_length
    if blocks is None:
        if window is not None:
            raise UserError("window_length cuts attention blocks, which this network does not have: use block_length")
        _check_windows(length, settings)
    else:
        blocks = settings.block_length or blocks
        if window is not None and blocks % window:
            raise UserError(f"windows of {window} positions do not divide attention blocks of {blocks}")
    _check_banned(model, banned)
    key = Draws.seeded(settings.seed).stream("decode")
    floating = model.predictor.traits.floating
    canvases = [
        _canvas(prompt, length, blocks, window, settings, key.at(number), floating)
        for number, prompt in enumerate(prompts)
    ]
    longest = max(canvas.ids.shape[1] for canvas in canvases)
    if longest > model.context:
        raise UserError(
            f"a prompt and {length} new tokens take {longest} positions, and the model was trained on {model.context}"
        )
    canvas = Canvas.concatenate(canvases).to(model.device)
    done = finished(denoise(model.predictor, canvas, settings.decoder(stop=stop, banned=banned, early=early))).to("cpu")
    sizes = [canvas.ids.shape[1] for canvas in canvases]

    def each(values: Tensor) -> tuple[Tensor, ...]:
        return tuple(row[:size] for row, size in zip(values, sizes, strict=True))

    return Decoded(each(done.ids), each(done.commit_step), each(done.commit_logp), done.nfe, done.nfe, done.rows)


def _prompts(model: Trained, prompt_ids: Prompts, settings: Settings) -> list[Tensor]:
    """The prompts as tensors, each of whole numbers that may stand in a text."""
    vocabulary = model.predictor.process.vocabulary
    prompts = [_ids(prompt) for prompt in many("prompts", prompt_ids)]
    if not prompts:
        raise UserError("there is no prompt: give one list of ids per request (it may be empty)")
    for number, prompt in enumerate(prompts):
        outside = prompt[(prompt < 0) | (prompt >= vocabulary.rows)]
        if outside.numel():
            raise UserError(f"prompt {number}: id {outside[0]} lies outside the table of {vocabulary.rows} rows")
        if vocabulary.mask is not None and bool((prompt == vocabulary.mask).any()):
            raise UserError(f"prompt {number} holds the mask id {vocabulary.mask}: fill blanks with model.fill")
        if settings.guidance is not None and not len(prompt):
            raise UserError(f"prompt {number} is empty, and guidance by the prompt needs one: use guidance=1")
    return prompts


def _ids(prompt: Sequence[int] | Tensor) -> Tensor:
    try:
        ids = torch.as_tensor(prompt, device="cpu")
    except (TypeError, ValueError):
        ids = torch.zeros(())
    if ids.ndim != 1 or (ids.numel() and (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)):
        raise UserError("prompts must be a list of lists of ids, or a tensor (R, P) of whole numbers")
    return ids.long()


def _check_windows(length: int, settings: Settings) -> None:
    """Windows and steps of LLaDA: all windows of the same length, with the same number of steps."""
    block = settings.block_length or length
    windows, rest = divmod(length, block)
    if rest:
        good = max(size for size in range(1, min(block, length) + 1) if length % size == 0)
        raise UserError(f"blocks of {block} tokens do not divide a length of {length}: use block_length={good}")
    if settings.steps is not None and settings.steps % windows and not settings.limited:
        good = windows * max(1, round(settings.steps / windows))
        raise UserError(f"{settings.steps} steps do not divide into {windows} blocks of {block}: use steps={good}")


def _check_banned(model: Trained, banned: tuple[int, ...]) -> None:
    if set(model.predictor.process.vocabulary.predictable) <= set(banned):
        raise UserError("banned_ids leave no token to write")


def _canvas(
    prompt: Tensor,
    length: int,
    blocks: int | None,
    window: int | None,
    settings: Settings,
    key: Draws,
    floating: bool,
) -> Canvas:
    """The prompt and what follows it, pending. With attention blocks, up to the end of the last one."""
    planned = settings.strategy.planned
    first = len(prompt) if floating else 0  # where blocks are counted from
    size = len(prompt) + length
    if blocks is not None:
        size = first + -(-(size - first) // blocks) * blocks
    ids = torch.cat((prompt, prompt.new_zeros(size - len(prompt))))
    pending = torch.arange(size) >= len(prompt)
    if blocks is None:
        windows = settings.block_length
        return start(ids, pending, key=key, steps=settings.steps, block_length=windows, planned=planned)
    limit = settings.steps if settings.limited else None
    canvas = start(
        ids, pending, key=key, span=blocks, floating=floating, steps=limit, block_length=window, planned=planned
    )
    if settings.steps is None or settings.limited:
        return canvas
    # a block that the prompt has begun keeps the steps of a whole one, until nothing is pending in it
    taken = torch.full_like(canvas.taken, 0 if floating else len(prompt) % (window or blocks))
    return canvas.replace(steps=torch.full_like(canvas.steps, settings.steps), taken=taken)
