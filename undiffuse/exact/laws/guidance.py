"""Guidance: kernels and samples of the guided model against those of the language given the condition."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...decode.canvas import Canvas, start
from ...decode.decoder import Decoder
from ...decode.guidance.classifier import Classifier
from ...decode.guidance.first_order import FirstOrder
from ...decode.guidance.guidance import Guidance
from ...decode.guidance.prompt import Prompt
from ...decode.passes import Sites, predict_at
from ...decode.strategies.ancestral import Ancestral
from ...decode.strategies.strategy import Strategy
from ...predictor import Predictor
from ...process.interpolating import Interpolating
from ...process.prediction import Prediction
from ...types import State
from ..catalog import golden
from ..denoiser import bayes_predictor
from ..expectation import interpolating
from ..instruments import canvas, finish, gap, log_rows, number, text_surprise
from ..law import LAST_DIGIT, Law, in_last_digits
from ..noise import Noise
from ..reverse import distance, kernel_rows, renoised, sampler_law, step_rows
from ..world import World, small_worlds, toy_a
from . import decoding
from .marginals import every_process, letters
from .samplers import STEPS, uniform_toy
from .steps import PAIRS, predictions

SCALES = (0.0, 0.5, 1.0, 2.0, 3.0)
# Total variation from P(x | y) on toy A after T steps on an even grid from 1 to 1e-4, told one time for the whole text
ONE_TIME = ("0.1537", "0.0440", "0.0116", "0.0030", "0.0008")
LIKES = (0.9, 0.2, 0.5, 0.1)
"""p(y | x) of the four texts of toy A."""


@dataclass(frozen=True)
class Case:
    """A language, its noise, and p(y | text) of a condition."""

    world: World
    process: Interpolating
    likes: Tensor

    @property
    def given(self) -> World:
        """The language given the condition."""
        law = self.world.law * self.likes
        return replace(self.world, law=law / law.sum())

    def classifier(self, ids: Tensor, t: Tensor, valid: Tensor) -> Tensor:
        """ln p(y | z) by Bayes' rule, each position at its own time; ½ where z cannot be."""
        evidence = Noise(self.process).evidence(self.world.numbers(ids), t)
        joint = self.world.law * torch.stack(
            [evidence[:, i, self.world.texts[:, i]] for i in range(self.world.length)]
        ).prod(0)
        total = joint.sum(-1)
        return torch.where(total > 0, (joint * self.likes).sum(-1) / total.where(total > 0, 1.0), 0.5).log()

    def told_one_time(self, ids: Tensor, t: Tensor, valid: Tensor) -> Tensor:
        return self.classifier(ids, t.amax(-1, keepdim=True).expand_as(t), valid)


def toy() -> Case:
    return Case(toy_a(), uniform_toy().process, torch.tensor(LIKES, dtype=torch.float64))


def cases() -> dict[str, Case]:
    """The golden processes on a language of three positions, with a condition that some texts exclude."""
    small = small_worlds()["K=2 L=3"]
    likes = torch.tensor([0.9, 0.2, 0.0, 0.7, 0.5, 0.4, 1.0, 0.1], dtype=torch.float64)
    return {name: Case(small, process, likes) for name, process in golden(small).items()}


def requests(world: World, ids: Tensor, free: Tensor) -> Canvas:
    """One request per row of table ids, pending where `free` (L,)."""
    one = start(ids[0], free, key=0)
    return one.select(torch.zeros(len(ids), dtype=torch.long)).replace(ids=ids)


def guided(predictor: Predictor, guidance: Guidance, canvas: Canvas, t: Tensor) -> Prediction:
    """What guidance makes of the network at every position, which is at time t (R, L)."""
    seen, times = guidance.expand(predictor, canvas, t)
    everywhere = Sites.of(torch.ones_like(seen.pending))
    prediction, rows = predict_at(predictor, seen, everywhere, times), len(canvas.ids)
    parts = tuple(
        Prediction(logits, prediction.kind, lambda copy=copy: prediction.evidence()[copy * rows : (copy + 1) * rows])  # type: ignore[misc]
        for copy, logits in enumerate(prediction.logits.split(rows))
    )
    return guidance.guide(predictor, canvas, everywhere.select(torch.arange(rows)), t, parts)


def guided_rows(predictor: Predictor, guidance: Guidance, world: World, canvas: Canvas, t: Tensor, s: Tensor) -> Tensor:
    """p(z_s | z_t) at every position of every request, (R, L, N), from the code under test."""
    process = interpolating(predictor)
    prediction = guided(predictor, guidance, canvas, t)
    mixture = prediction.mixture
    assert mixture is not None
    laws = tuple(
        process.law.transition(part.leave_one_out(), State(canvas.ids), t, s.expand_as(t)) for part in mixture.parts
    )
    rows = mixture.at(s.expand_as(t))(laws).softmax(-1)
    return rows[..., world.rows[: Noise(process).states]]


def transition_error(process: Interpolating) -> float:
    """The kernel written out over the table is the mixture of its branches; no other row has mass."""
    states, worst = Noise(process).states, 0.0
    z = torch.arange(states)[:, None].expand(1, states, len(predictions()))
    log_x = log_rows(letters(), predictions()).expand(1, states, -1, -1)
    for s, t in [*PAIRS, (0.0, 0.6)]:
        at, to = (torch.tensor([time], dtype=torch.float64) for time in (t, s))
        rows = process.law.transition(log_x, State(letters().rows[z]), at.view(1, 1, 1), to.view(1, 1, 1)).exp()
        expected = torch.zeros_like(rows)
        expected[..., letters().rows[:states]] = kernel_rows(process, log_x, z, at, to, letters())
        worst = max(worst, gap(rows, expected))
    return worst


def classifier_error(case: Case) -> float:
    """At scale 1 every step is that of the optimal network of the language given y, wherever that has probability."""
    world, noise = case.world, Noise(case.process)
    states, worst = world.states(noise.states), 0.0
    canvas = requests(world, world.rows[states], torch.ones(world.length, dtype=torch.bool))
    for s, t in [(0.3, 0.8), (0.0, 0.4), (0.55, 0.6)]:
        at, to = torch.tensor([t], dtype=torch.float64), torch.tensor([s], dtype=torch.float64)
        found = guided_rows(
            bayes_predictor(world, case.process),
            Classifier(1.0, log_probability=case.classifier),
            world,
            canvas,
            at.expand(states.shape),
            to,
        )
        expected = step_rows(bayes_predictor(case.given, case.process), case.given, at, to)[0]
        reached = case.given.law @ noise.of_texts(world.texts, states, at[:, None].expand(1, world.length))[0] > 0
        worst = max(worst, (found - expected)[reached].abs().max().item())
    return worst


def toys() -> dict[str, tuple[Callable[..., Tensor], tuple[str, ...] | None]]:
    case = toy()
    return {"uniform, one time": (case.told_one_time, ONE_TIME), "uniform, own times": (case.classifier, None)}


def toy_error(case: tuple[Callable[..., Tensor], tuple[str, ...] | None]) -> float:
    """In units of the last printed digit; told every position's own time, the distance is that of plain sampling."""
    classifier, printed = case
    found = [toy_distance(Classifier(1.0, log_probability=classifier), steps) for steps in STEPS]
    if printed is None:
        given = bayes_predictor(toy().given, toy().process)
        printed = tuple(f"{distance(_push(step_rows, given, steps), toy().given.law):.8f}" for steps in STEPS)
    return max(in_last_digits(value, text) for value, text in zip(found, printed, strict=True))


def toy_distance(guidance: Guidance, steps: int) -> float:
    """Total variation between P(x | y) and the law after the steps of an even grid from 1 to 1e-4."""
    case = toy()

    def rows(predictor: Predictor, world: World, t: Tensor, s: Tensor) -> Tensor:
        states = world.states(world.tokens)
        ids = world.rows[states].repeat(len(t), 1)
        at, to = (time.repeat_interleave(len(states))[:, None].expand(ids.shape) for time in (t, s))
        canvas = requests(world, ids, torch.ones(world.length, dtype=torch.bool))
        return guided_rows(predictor, guidance, world, canvas, at, to).view(len(t), *states.shape, -1)

    return distance(_push(rows, bayes_predictor(case.world, case.process), steps), case.given.law)


def _push(rows: Callable[..., Tensor], predictor: Predictor, steps: int) -> Tensor:
    """The law over the states of toy A at time 1e-4."""
    world, grid = toy_a(), torch.linspace(1.0, 1e-4, steps + 1, dtype=torch.float64)
    states = world.states(world.tokens)
    law = renoised(Noise(interpolating(predictor)), grid[0])[states].prod(-1)
    for row in rows(predictor, world, grid[:-1], grid[1:]):
        law = law @ torch.stack([row[:, i][:, states[:, i]] for i in range(world.length)]).prod(0)
    return law


def first_order_error(case: Case) -> float:
    """With ln p(y | z) linear in the one-hot tokens, first order is exact, at every scale."""
    world, process = case.world, case.process
    states = world.states(Noise(process).states)
    canvas = requests(world, world.rows[states], torch.ones(world.length, dtype=torch.bool))
    weights = torch.sin(torch.arange(world.length * world.vocabulary.rows)).view(world.length, -1).double()
    t, s = torch.full(states.shape, 0.7, dtype=torch.float64), torch.tensor([0.4], dtype=torch.float64)

    def one_hot(tokens: Tensor, times: Tensor, valid: Tensor) -> Tensor:
        return (tokens.double() * weights).sum((-2, -1)) - 5.0

    def plain(ids: Tensor, times: Tensor, valid: Tensor) -> Tensor:
        return one_hot(torch.nn.functional.one_hot(ids, world.vocabulary.rows), times, valid)

    network, worst = bayes_predictor(world, process), 0.0
    for scale in SCALES:
        linear = guided_rows(network, FirstOrder(scale, log_probability=one_hot), world, canvas, t, s)
        exact = guided_rows(network, Classifier(scale, log_probability=plain), world, canvas, t, s)
        worst = max(worst, (linear - exact).abs().max().item())
    return worst


def prompt_error(case: Case) -> float:
    """With the first token as the prompt: p_c^γ p_u^(1−γ) / Z of the steps under P(· | first) and under P itself.

    Under masked noise it is the predictions that are mixed. Scales 0 and 1 are the two laws themselves. The tolerance
    is that of reading times back from noise levels.
    """
    world, process, worst = case.world, case.process, 0.0
    noise = Noise(process)
    rest = world.states(noise.states)
    rest = rest[rest[:, 0] == 0]  # states of the last two positions
    predictor = bayes_predictor(world, process)
    for first in range(world.tokens):
        ids = world.rows[rest].clone()
        ids[:, 0] = world.rows[first]
        free = torch.tensor([False, True, True])
        t = torch.where(free, 0.8, 0.0).double().expand(ids.shape)
        s = torch.tensor([0.5], dtype=torch.float64)
        texts = world.law.view(world.tokens, -1)
        laws = [
            step_rows(bayes_predictor(small, process), small, t[:1, 1], s)[0]
            for small in (_shorter(world, texts[first]), _shorter(world, texts.sum(0)))
        ]
        for scale in SCALES:
            guidance = Prompt(scale)
            canvas = requests(world, ids, free)
            if guidance.by_step(process):
                found = guided_rows(predictor, guidance, world, canvas, t, s)[:, 1:]
                expected = _power(laws[0], laws[1], scale)
            else:
                log_p = guided(predictor, guidance, canvas, t).posterior()[:, 1:, world.rows[:-1]]
                masked = rest[:, 1:] == world.tokens
                found = log_p.exp() * masked[..., None]
                denoised = [law[..., :-1] / law[..., :-1].sum(-1, keepdim=True) for law in laws]
                expected = _power(denoised[0], denoised[1], scale) * masked[..., None]
            worst = max(worst, (found - expected).abs().max().item())
    return worst


def _shorter(world: World, law: Tensor) -> World:
    return World(world.tokens, world.length - 1, law / law.sum())


def _power(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    possible = (conditional > 0) | (scale == 0)
    ratio = torch.where(possible & (unconditional > 0), conditional / unconditional, 0.0)
    product = torch.where(possible, unconditional * ratio**scale, 0.0)
    return product / product.sum(-1, keepdim=True)


def sampled_error(case: Case) -> float:
    """Four guided steps through the loop have the law of four steps of the language given y."""
    world = case.world
    decoder = Decoder(Ancestral(), guidance=Classifier(1.0, log_probability=case.classifier))
    end = finish(bayes_predictor(world, case.process), canvas(world, 8_000, steps=4), decoder)
    expected = sampler_law(
        bayes_predictor(case.given, case.process), case.given, torch.linspace(1, 0, 5, dtype=torch.float64)
    )
    return text_surprise(world, end, expected)


def one_by_one() -> dict[str, Strategy]:
    return {name: found.strategy for name, found in decoding.any_order().items()}


def chain_error(strategy: Strategy) -> float:
    """One token at a time under masked noise, in whatever order: samples of P(x | y), and their log-probabilities."""
    case = cases()["mask"]
    decoder = Decoder(strategy, guidance=Classifier(1.0, log_probability=case.classifier))
    end = finish(bayes_predictor(case.world, case.process), canvas(case.world), decoder)
    expected = case.given.law[number(case.world, end.ids)].log()
    return max(text_surprise(case.world, end, case.given.law), gap(end.commit_logp.double().sum(-1), expected) * 1e5)


LAWS = (
    Law("guidance/transition", every_process, transition_error, 1e-12),
    Law("guidance/classifier-golden", toys, toy_error, LAST_DIGIT),
    Law("guidance/classifier-exact", cases, classifier_error, 1e-12),
    Law("guidance/first-order", cases, first_order_error, 1e-6),
    Law("guidance/prompt", cases, prompt_error, 1e-9),
    Law("guidance/samples", cases, sampled_error, 6.0),
    Law("guidance/chain-rule", one_by_one, chain_error, 6.0),
)
