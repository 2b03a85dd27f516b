"""Self-correction: wrong tokens are planted in a text, and a model that is not told where must put the right ones back.

A share ε of the tokens is replaced, each by another real token, drawn uniformly. A model is told ε, as a sampler is
told the noise of its text, and nothing else. There are two methods; `steps` is the number of evaluations that a window
may cost.

`reverse`  The model's own reverse process. The text is taken as a draw of the forward process at the time t0 at which a
           share ε of the tokens that are seen is expected to be wrong. It is denoised from there to t = 0 in even
           steps: draws from the exact reverse kernel (free ratios: from the analytic step), and at the end the most
           probable token under the posterior. The steps before are draws because the most probable small step is to
           stay; the last is none because it would spoil right tokens at random.
           Where noise cannot replace a token by another (masks) every token that is seen is certain: nothing is ever
           changed, and no evaluation is needed to know that. Discrete-time processes begin at one of their own times,
           and take no more steps than there are below it. Block diffusion repairs block after block, in one step each
           at least, and sees the blocks before as they are repaired. Gaussian noise has no wrong tokens: the text's
           vectors are made noisy (as in SDEdit, Meng et al. 2022) up to the first time at which a share ε of them would
           be misread by the nearest vector. An autoregressive model has no such process: what is written stays.

`relook`   For whatever predicts a token from the others (after the self-correction of GIDD, von Rütte et al. 2025).
           Every token is compared with what its surroundings expect, by the leave-one-out odds

               max_{v ≠ z_i} p(x_i = v | z without z_i) / p(x_i = z_i | z without z_i).

           The changes with the highest odds are made if these exceed 1: as many per window as errors are expected, in
           equal parts over the sweeps, each of which sees what those before it changed. Where noise goes to other
           tokens a sweep is one evaluation of the text as it stands, at the time t0 of `reverse`; Gaussian noise is
           drawn anew for each. A model of masks is asked about hidden tokens: a sweep is `PASSES` evaluations, each
           with another random part of the window hidden. There are no more sweeps than changes. Autoregressive models
           are asked as the text stands and judge by the left side alone; block diffusion by that and the block.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..decode.canvas import Canvas, start
from ..decode.decoder import Decoder
from ..decode.loop import denoise, finished
from ..decode.proposal import Filters
from ..decode.strategies.gaussian_ancestral import GaussianAncestral
from ..decode.strategies.greedy_tail import GreedyTail
from ..decode.strategies.strategy import best
from ..errors import UserError, did_you_mean
from ..language_model import LanguageModel
from ..likelihood.windows import chunks, windows
from ..predictor import Predictor
from ..process.prediction import Prediction
from ..process.process import Process
from ..process.scores import LATEST
from ..randomness import Draws
from ..types import Batch, Noised, State
from ..vocabulary import Vocabulary

METHODS = ("reverse", "relook")
PASSES = 8
"""Parts of a window that are hidden one after the other, where a token must be hidden to be judged."""
TIMES = 1 << 14
"""Times among which that of a share of errors is looked for."""
SAMPLE = 2048
"""Tokens that say how many are misread, where it depends on the token."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Windows of text with wrong tokens: what stands there, what should, where they differ, and the share asked for."""

    ids: Int[Tensor, "n L"]
    truth: Int[Tensor, "n L"]
    wrong: Bool[Tensor, "n L"]
    share: float


def plant(ids: Int[Tensor, "n L"], share: float, vocabulary: Vocabulary, seed: int) -> Planted:
    """Replace a share of the tokens of every window, to within one token, by other real ones, uniformly drawn.

    It depends on the ids, the share, the vocabulary's real tokens and the seed alone. UserError if nothing can be
    planted.
    """
    if not 0 < share < 1:
        raise UserError(f"the share of errors must lie strictly between 0 and 1, not {share}")
    if ids.ndim != 2 or not ids.numel():
        raise UserError("there is no window of text to plant errors in")
    if vocabulary.size < 2:
        raise UserError("errors need a vocabulary of two tokens or more")
    rows, length = ids.shape
    draws = Draws.seeded(seed, ids.device).stream("errors").at(torch.arange(rows, device=ids.device))
    # windows that hold no whole number of errors take turns
    ends = (torch.arange(rows + 1, device=ids.device).double() * share * length).round().long()
    if not int(ends[-1]):
        raise UserError(f"{share} of {rows * length} tokens is no token: take a larger share, or more text")
    wrong = draws.stream("place").along(length).order() < ends.diff()[:, None]
    real = torch.tensor(vocabulary.predictable, device=ids.device)
    number = torch.searchsorted(real, ids).clamp(max=len(real) - 1)
    known = real[number] == ids  # a control symbol is no token that could be drawn again
    other = draws.stream("token").along(length).integers(vocabulary.size - known.long())
    other = other + (known & (other >= number))
    return Planted(torch.where(wrong, real[other], ids), ids, wrong, share)


@dataclass(frozen=True)
class Repair:
    """Counts of tokens, and evaluations per window.

    `planted` are errors, `repaired` those restored, `moved` those changed to another wrong token; `sound` are tokens
    that were right, `damaged` those of them that were changed.
    """

    method: str
    share: float
    planted: int
    repaired: int
    moved: int
    sound: int
    damaged: int
    nfe: int

    def json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def repair(model: LanguageModel, planted: Planted, method: str, steps: int, seed: int) -> Repair:
    """Let a model repair a text by one of `METHODS`, with at most `steps` evaluations per window.

    UserError for an unknown method, for windows beyond the model's context, and for a method that a model cannot have.
    """
    _refuse(model, planted, method, steps)
    predictor, ids = model.predictor, planted.ids.to(model.device)
    t0 = 0.0 if predictor.traits.one_sided else error_time(predictor.process, ids, planted.share)
    key = Draws.seeded(seed, model.device).stream("repair")
    found, nfe = [], 0
    for part in chunks(windows(ids.tolist(), ids.shape[1]).to(model.device)):
        task = Task(predictor, part, t0, planted.share, steps, key.at(part.index)[:, None].at(part.positions))
        text, cost = task.reverse() if method == "reverse" else task.relook()
        found.append(text)
        nfe = max(nfe, cost)
    return _count(planted, torch.cat(found).to(planted.ids.device), method, nfe)


def _refuse(model: LanguageModel, planted: Planted, method: str, steps: int) -> None:
    if method not in METHODS:
        raise UserError(f"there is no method of repair {method!r}{did_you_mean(method, METHODS)}")
    if steps < 1:
        raise UserError(f"repair needs at least 1 step, not {steps}")
    length = planted.ids.shape[1]
    if length > model.context:
        raise UserError(f"windows of {length} tokens are longer than the model's context of {model.context}")
    if method == "reverse" and model.predictor.traits.one_sided:
        raise UserError(
            "an autoregressive model has no reverse process that takes a token back: what it wrote stays. Use method "
            "'relook', which ranks tokens by their left side"
        )


def _count(planted: Planted, found: Int[Tensor, "n L"], method: str, nfe: int) -> Repair:
    wrong, right, same = planted.wrong, found == planted.truth, found == planted.ids
    return Repair(
        method=method,
        share=planted.share,
        planted=int(wrong.sum()),
        repaired=int((wrong & right).sum()),
        moved=int((wrong & ~right & ~same).sum()),
        sound=int((~wrong).sum()),
        damaged=int((~wrong & ~right).sum()),
        nfe=nfe,
    )


# The time of a share of errors


def error_time(process: Process, ids: Int[Tensor, "n L"], share: float) -> float:
    """The first time at which so many of the tokens that are seen are wrong, on average; 1 if there are never so many.

    In discrete time the one of its own times that comes nearest. `ids` are the text that is taken to be noisy.
    """
    grid = process.steps or TIMES
    low, high = 0, grid
    while high - low > 1:  # more errors the later, under every noise
        middle = (low + high) // 2
        low, high = (low, middle) if _errors(process, ids, middle / grid) >= share else (middle, high)
    if process.steps and low and share - _errors(process, ids, low / grid) < _errors(process, ids, high / grid) - share:
        high = low
    return high / grid


def _errors(process: Process, ids: Int[Tensor, "n L"], t: float) -> float:
    """The expected share of wrong tokens among those that are seen at a time."""
    tokens = ids.flatten()[:SAMPLE]
    time = torch.tensor(t, dtype=torch.float64, device=ids.device)
    draws = Draws.seeded(0, ids.device).stream("misread").at(torch.arange(len(tokens), device=ids.device))
    return process.error_share(tokens, time, draws).item()


# The two methods


@dataclass(frozen=True, eq=False)
class Task:
    """Some windows of the text to be repaired, the time of its noise, and one key per token."""

    predictor: Predictor
    batch: Batch
    t0: float
    share: float
    steps: int
    draws: Draws

    def reverse(self) -> tuple[Int[Tensor, "B L"], int]:
        """The text after the reverse process from t0, and the evaluations of a window."""
        ids, process = self.batch.ids, self.predictor.process
        if not process.shows_tokens:
            return ids, 0
        span, floating = self.predictor.traits.block_length, self.predictor.traits.floating
        steps = self.steps if process.steps is None else min(self.steps, round(self.t0 * process.steps))
        steps = steps if span is None else max(steps, -(-ids.shape[1] // span))
        begins = min(self.t0, LATEST)
        canvases = [
            start(row, editable, key=Draws(key), steps=steps, span=span, floating=floating, begins=begins)
            for row, editable, key in zip(ids, self.batch.editable, self.draws.key[:, 0], strict=True)
        ]
        how = GaussianAncestral(Filters(temperature=0.0)) if process.moves_vectors else GreedyTail()
        done = finished(denoise(self.predictor, Canvas.concatenate(canvases), Decoder(how)))
        return done.ids, int(done.nfe.max())

    def relook(self) -> tuple[Int[Tensor, "B L"], int]:
        """The text after its most likely changes, and the evaluations of a window."""
        text = self.batch.ids
        rows, length = text.shape
        parts = min(PASSES, self.steps, length) if self._hides else 1
        changes = max(1, round(self.share * length))
        sweeps = min(self.steps // parts, changes)
        for sweep in range(sweeps):
            draws = self.draws.stream("sweep").at(sweep)
            odds, token = self._odds(text, draws, parts)
            made = changes * (sweep + 1) // sweeps - changes * sweep // sweeps
            chosen = best(odds, odds > 0, torch.full((rows,), made, device=text.device))
            text = torch.where(chosen, token, text)
        return text, sweeps * parts

    def _odds(
        self, text: Int[Tensor, "B L"], draws: Draws, parts: int
    ) -> tuple[Float[Tensor, "B L"], Int[Tensor, "B L"]]:
        """ln of the odds of the best other token at every place, and that token."""
        process, mask = self.predictor.process, self.predictor.process.mask
        if process.moves_vectors:
            noisy = process.corrupt(text, self._at(self.t0), draws, self.batch.editable).state
            return _best_other(self._look(noisy, self.t0, text), text)
        if not self._hides:
            return _best_other(self._look(State(text), self.t0, text), text)
        assert mask is not None
        odds, token = torch.zeros(text.shape, device=text.device), text
        part = draws.stream("part").order() % parts
        for number in range(parts):
            hidden = part == number
            found = self._look(State(text.masked_fill(hidden, mask)), _mask_time(process, 1 / parts), text)
            value, other = _best_other(found, text)
            odds, token = torch.where(hidden, value.to(odds.dtype), odds), torch.where(hidden, other, token)
        return odds, token

    @property
    def _hides(self) -> bool:
        """Whether a token must be hidden before anything is said about it."""
        return not self.predictor.traits.one_sided and not self.predictor.process.shows_tokens

    def _look(self, state: State, t: float, text: Int[Tensor, "B L"]) -> Prediction:
        """A prediction at every place, (B·L, V). `text` is what blocks before a place hold, where there are blocks."""
        noised = Noised(text, state, self._at(t), self.batch.editable)
        return self.predictor.predict(noised, self.batch, self.batch.editable)

    def _at(self, t: float) -> Float[Tensor, "B L"]:
        return torch.full(self.batch.ids.shape, t, dtype=torch.float64, device=self.batch.ids.device)


def _mask_time(process: Process, share: float) -> float:
    """The time at which a share of the tokens is hidden; in discrete time one of its own."""
    kept = torch.tensor(1 - share, dtype=torch.float64)
    t = process.time_at(kept).item()
    return t if process.steps is None else max(1, round(t * process.steps)) / process.steps


def _best_other(prediction: Prediction, text: Int[Tensor, "B L"]) -> tuple[Float[Tensor, "B L"], Int[Tensor, "B L"]]:
    """ln of the leave-one-out odds of the best token that is not the present one, and that token."""
    if prediction.kind == "score":  # of free ratios under uniform noise: what is left of their posterior
        prediction = Prediction(prediction.posterior(), "posterior", prediction.evidence)
    log_p, own = prediction.leave_one_out(), text.flatten()[:, None]
    other, token = log_p.scatter(-1, own, -torch.inf).max(-1)
    odds = (other - log_p.gather(-1, own)[:, 0]).nan_to_num(-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    return odds.view(text.shape), token.view(text.shape)
