"""Guidance on the loop: the published formula, what it may never do, and what it refuses. Laws hold the mathematics."""

import math
import re

import pytest
import torch
from toy import VOCABULARY, predictor

from undiffuse.decode.caches.block import Block
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.constraint import Constraint
from undiffuse.decode.decoder import Decoder, Limits
from undiffuse.decode.guidance.classifier import Classifier
from undiffuse.decode.guidance.first_order import FirstOrder
from undiffuse.decode.guidance.guidance import geometric
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.loop import walk
from undiffuse.decode.passes import Sites, predict_at
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.language_model.settings import Settings
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.types import State, Tags

FAVORITE = 6
INFINITE = -torch.inf


def likes(ids, t, valid):
    """ln p(y | text): higher with every copy of one token, less so the earlier the times."""
    return ((ids == FAVORITE) * valid * (1.5 - t)).sum(-1) - 20.0


def likes_one_hot(tokens, t, valid):
    return (tokens[..., FAVORITE] * valid * 1.5).sum(-1) - 20.0


def request(prompt: list[int], length: int, key: int = 0, **options) -> Canvas:
    ids = torch.tensor(prompt + [0] * length)
    return start(ids, torch.arange(len(ids)) >= len(prompt), key=key, **options)


def last(model: Predictor, canvas: Canvas, decoder: Decoder) -> Canvas:
    return [after for after, _ in walk(model, canvas, decoder)][-1]


def every_kind():
    return [
        *((Prompt(scale), d, s) for scale in (0.4, 3.0) for d, s in CASES),
        *((Classifier(2.0, log_probability=likes), d, s) for d, s in CASES),
        *((FirstOrder(2.0, log_probability=likes_one_hot), d, s) for d, s in CASES),
    ]


CASES = [
    ("mask", Confidence()),
    ("mask", Ancestral()),
    ("mix", Confidence()),
    ("mix", Ancestral()),
    ("growing-mask", Ancestral()),
    ("uniform", Ancestral()),
]
each = pytest.mark.parametrize(("guidance", "destination", "strategy"), every_kind())


def model_of(destination: str) -> Predictor:
    if destination != "growing-mask":
        return predictor(destination)
    process = Interpolating(VOCABULARY, SCHEDULES.load("gidd")(), DESTINATIONS.load(destination)())
    return Predictor(predictor().denoiser, process, "leave_one_out")


class Only(Constraint):
    """The same few tokens everywhere."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens

    def select(self, rows):
        return self

    def allowed(self, canvas, sites):
        allowed = torch.zeros(*sites.index.shape, VOCABULARY.rows, dtype=torch.bool)
        allowed[..., self.tokens] = True
        return allowed

    def together(self, canvas, sites, chosen, ids):
        return chosen


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 2.5])
def test_impossible_tokens_stay_impossible_at_every_scale(scale):
    """Against p_c^γ p_u^(1−γ) in probabilities, where 0⁰ = 1 and what would be infinite is excluded."""
    values = [0.0, 0.2, 0.7]
    c, u = torch.cartesian_prod(torch.tensor(values), torch.tensor(values)).double().T[:, None, None]
    expected = [
        0.0 if (scale > 1 and pu == 0) else (pc**scale if scale else 1.0) * (pu ** (1 - scale) if scale != 1 else 1.0)
        for pc in values
        for pu in values
    ]
    found = geometric(c.log(), u.log(), scale)
    torch.testing.assert_close(found.exp()[0, 0], torch.tensor(expected).double())


def test_where_guidance_excludes_everything_the_conditional_law_stands():
    c, u = torch.tensor([[[0.0, INFINITE]]]), torch.tensor([[[INFINITE, 0.0]]])
    assert torch.equal(geometric(c, u, 2.0), c)


@pytest.mark.parametrize("w", [0.0, 0.5, 2.0])
def test_the_scale_is_one_more_than_that_of_llada(w):
    """LLaDA's loop: logits = un + (w + 1)(cond − un), un from a copy with the prompt masked; one token per step."""
    model, canvas = predictor(), request([1, 2, 3], 5)
    ids, pending = canvas.ids.clone(), canvas.pending
    ids[pending] = VOCABULARY.mask
    order = []
    while (ids == VOCABULARY.mask).any():
        blind = ids.masked_fill(~pending, VOCABULARY.mask)
        conditional, unconditional = (_logits(model, canvas, z) for z in (ids, blind))
        logits = unconditional + (w + 1) * (conditional - unconditional)
        logits[..., list(VOCABULARY.unpredictable)] = INFINITE
        best, token = logits.softmax(-1).max(-1)
        place = int(best.masked_fill(ids != VOCABULARY.mask, -1).argmax())
        ids[0, place] = token[0, place]
        order.append(place)
    done = last(model, canvas, Decoder(Confidence(), guidance=Prompt(w + 1)))
    assert torch.equal(done.ids, ids)
    assert done.commit_step[0, 3:].argsort().tolist() == [place - 3 for place in order]


def _logits(model: Predictor, canvas: Canvas, ids: torch.Tensor) -> torch.Tensor:
    t = torch.zeros(ids.shape)
    rows = model.rows(State(ids), t, Tags(canvas.positions), canvas.pending)
    return model.read(model.run(rows), State(ids), t).logits


@pytest.mark.slow
@each
def test_guided_requests_ignore_their_batch_mates(guidance, destination, strategy):
    model = model_of(destination)
    canvases = [request([1, 2], 5, key=1, steps=3), request([3], 6, key=2, block_length=4, steps=4)]
    decoder = Decoder(strategy, guidance=guidance)
    together = last(model, Canvas.concatenate(canvases), decoder)
    for row, canvas in enumerate(canvases):
        alone, length = last(model, canvas, decoder), canvas.ids.shape[1]
        assert torch.equal(alone.ids[0], together.ids[row, :length])
        torch.testing.assert_close(alone.commit_logp[0], together.commit_logp[row, :length])
        assert torch.equal(alone.ids[0, ~canvas.editable[0]], canvas.ids[0, ~canvas.editable[0]])


@each
def test_banned_tokens_and_constraints_hold_under_guidance(guidance, destination, strategy):
    canvas = Canvas.concatenate([request([1, 2], 6, key=key, steps=3) for key in range(12)])
    decoder = Decoder(strategy, guidance=guidance, constraint=Only([0, 2, FAVORITE]), banned=(0,))
    done = last(model_of(destination), canvas, decoder)
    assert set(done.ids[canvas.editable].tolist()) == {2, FAVORITE}
    assert (done.commit_logp[canvas.editable] < 0).all()
    assert done.commit_logp.isfinite().all()


@each
def test_a_budget_completes_guided_text(guidance, destination, strategy):
    decoder = Decoder(strategy, guidance=guidance, limits=Limits(max_nfe=2), banned=(0,))
    done = last(model_of(destination), request([1, 2], 6), decoder)
    assert int(done.nfe) <= 2
    assert torch.isin(done.ids[done.editable], torch.tensor(VOCABULARY.predictable[1:])).all()


@pytest.mark.parametrize(("destination", "strategy"), CASES)
def test_a_classifier_gets_what_it_likes(destination, strategy):
    model, canvas = model_of(destination), request([1, 2], 20, steps=5)
    counts = [
        int((last(model, canvas, Decoder(strategy, guidance=guidance)).ids == FAVORITE).sum())
        for guidance in (
            None,
            Classifier(0.0, log_probability=likes),
            Classifier(20.0, log_probability=likes),
            FirstOrder(20.0, log_probability=likes_one_hot),
        )
    ]
    assert max(counts[:2]) < 10
    assert min(counts[2:]) > 17


@pytest.mark.parametrize(("destination", "strategy"), CASES)
def test_first_order_is_exact_for_a_linear_classifier(destination, strategy):
    """The same draws, so the same text."""
    canvas = request([1, 2], 12, steps=4)
    exact = Classifier(
        1.5, log_probability=lambda ids, t, valid: likes_one_hot(torch.nn.functional.one_hot(ids, 11), t, valid)
    )
    linear = FirstOrder(1.5, log_probability=likes_one_hot)
    done = [last(model_of(destination), canvas, Decoder(strategy, guidance=guidance)) for guidance in (exact, linear)]
    assert torch.equal(done[0].ids, done[1].ids)
    torch.testing.assert_close(done[0].commit_logp, done[1].commit_logp)


def test_the_classifier_is_told_the_time_of_every_position():
    """The changed position is at the end of the step, the prompt clean, everything else at the step's beginning."""
    seen = []

    def watching(ids, t, valid):
        seen.append(t)
        return likes(ids, t, valid)

    canvas = request([1, 2], 2, steps=4)
    list(walk(predictor("uniform"), canvas, Decoder(Ancestral(), guidance=Classifier(1.0, log_probability=watching))))
    first = seen[0][: 2 * len(VOCABULARY.predictable)]
    assert first.unique(dim=0).tolist() == [[0, 0, 0.75, 1.0], [0, 0, 1.0, 0.75]]
    assert seen[-1].unique(dim=0).tolist() == [[0, 0, 0, 0.25], [0, 0, 0.25, 0]]


def test_the_prompt_that_is_not_seen_changes_nothing_at_scale_zero():
    for destination, strategy in CASES:
        ends = [
            last(model_of(destination), request(prompt, 8, key=4, steps=3), Decoder(strategy, guidance=Prompt(0.0)))
            for prompt in ([1, 2, 3], [8, 7, 5])
        ]
        assert torch.equal(ends[0].ids[:, 3:], ends[1].ids[:, 3:]), destination


def test_guidance_under_the_block_cache_is_exact():
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=11, width=24, depth=2, heads=2, context=32, block_length=4))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    model = Predictor(network.requires_grad_(False), predictor().process, "leave_one_out")
    canvas = Canvas.concatenate([request([1, 2, 3], 9, key=1, span=4), request([5, 6, 7, 8, 0], 7, key=2, span=4)])
    for guidance in (Prompt(2.5), Classifier(2.0, log_probability=likes)):
        plain, cached = (last(model, canvas, Decoder(Confidence(), c, guidance)) for c in (NoCache(), Block()))
        assert torch.equal(plain.ids, cached.ids)
        torch.testing.assert_close(plain.commit_logp, cached.commit_logp, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.4, 3.0])
def test_the_evidence_of_the_own_token_counts_once_under_guidance(scale):
    """Guided posterior = guided leave-one-out + evidence; of a known token only the former knows it."""
    model, canvas = predictor("uniform"), request([1, 2], 4)
    everywhere = Sites.of(torch.ones_like(canvas.pending))
    t = torch.where(canvas.pending, 0.6, 0.0).double()
    for guidance in (Prompt(scale), Classifier(scale, log_probability=likes)):
        seen, times = guidance.expand(model, canvas, t)
        parts = [
            predict_at(model, canvas.replace(ids=ids[None]), everywhere, at[None])
            for ids, at in zip(seen.ids, times, strict=True)
        ]
        guided = guidance.guide(model, canvas, everywhere, t, tuple(parts))
        free = canvas.pending[0]
        again = guided.evidence().add_to(guided.leave_one_out())
        # logits are float32
        torch.testing.assert_close(again[0, free], guided.posterior()[0, free], atol=1e-5, rtol=1e-5)
        if isinstance(guidance, Classifier):
            assert guided.posterior().exp()[0, 0, 1] == 1
            assert guided.leave_one_out().exp()[0, 0, 1] < 0.9


@pytest.mark.parametrize("scale", [-0.5, math.nan, math.inf, 1e300])
def test_scales_that_mean_nothing_are_refused(scale):
    said = f"guidance must be 0 or more, and at most 1000000, not {scale}: 1 is off"
    with pytest.raises(UserError, match=re.escape(said)):
        Settings.of("confidence", guidance=scale)


def test_scale_one_costs_nothing():
    assert Settings.of("confidence", guidance=1.0).guidance is None
    assert Settings.of("confidence", guidance=1.5).guidance == Prompt(1.5)
    kept = Classifier(1.0, log_probability=likes)
    assert Settings.of("confidence", guidance=kept).guidance is kept


def test_guidance_by_a_prompt_that_is_not_there_is_refused_before_any_evaluation():
    model = predictor()
    canvas = Canvas.concatenate([request([1], 3), request([], 4)])
    with pytest.raises(
        UserError, match="request 2 of 2 has no fixed text that guidance could follow: give it a prompt"
    ):
        next(walk(model, canvas, Decoder(Confidence(), guidance=Prompt(2.0))))
    assert model.denoiser.calls == 0
    assert last(model, canvas, Decoder(Confidence(), guidance=Classifier(1.0, log_probability=likes))).done.all()


class Unguidable(Ancestral):
    guidable = False


def test_strategies_that_cannot_follow_guided_steps_refuse_uniform_noise():
    decoder = Decoder(Unguidable(), guidance=Prompt(2.0))
    for destination in ("uniform", "mix"):
        with pytest.raises(UserError, match=r"mixes its reverse steps, and this strategy .* use strategy 'ancestral'"):
            next(walk(predictor(destination), request([1], 3), decoder))
    assert next(walk(predictor(), request([1], 3), decoder))


def test_first_order_needs_a_gradient():
    flat = FirstOrder(1.0, log_probability=lambda tokens, t, valid: tokens.argmax(-1).sum(-1).float())
    with pytest.raises(UserError, match="differentiable in its one-hot tokens; use 'classifier'"):
        last(predictor(), request([1], 3), Decoder(Confidence(), guidance=flat))
