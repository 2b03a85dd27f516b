"""The likelihood estimator against enumeration of every mask, and its statistics."""

import itertools
import math

import pytest
import torch
from scipy import stats

from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.likelihood.bound import bound
from undiffuse.likelihood.estimate import student_t
from undiffuse.likelihood.windows import windows
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.times.equal_count import EqualCount
from undiffuse.objective.times.shared_offset import SharedOffset
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.geometric import Geometric
from undiffuse.types import Noised, State, Tags
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(7, mask=6)


def predictor(destination="mask", schedule="one-minus-t", **model) -> Predictor:
    torch.manual_seed(2)
    network = Transformer(TransformerConfig(rows=7, width=16, depth=1, heads=2, context=8, **model)).double()
    torch.nn.init.normal_(network.unembedding.weight)
    process = Interpolating(VOCABULARY, SCHEDULES.load(schedule)(), DESTINATIONS.load(destination)())
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def enumerated(model: Predictor, ids: list[int], prompt: int = 0) -> float:
    """Σ_l (1/l) · mean over subsets of size l of Σ_{i∈S} −ln p(x_i | rest): the any-order bound of one window."""
    total, size = 0.0, len(ids) - prompt
    text = torch.tensor([ids])
    for count in range(1, size + 1):
        subsets = list(itertools.combinations(range(prompt, len(ids)), count))
        for subset in subsets:
            masked = text.clone()
            masked[0, list(subset)] = 6
            positions = torch.arange(len(ids))[None]
            yes = torch.ones_like(text, dtype=torch.bool)
            tags = Tags(positions, live=yes)
            hidden = model.run(model.rows(State(masked), torch.zeros(text.shape), tags, yes))
            log_p = model.denoiser.head(hidden)[0, :, :6].log_softmax(-1)
            total += -sum(log_p[i, ids[i]].item() for i in subset) * size / count / len(subsets) / size
    return total


def enumerated_in_blocks(model: Predictor, ids: list[int], span: int) -> float:
    """The same inside each block, behind the clean text before it: all subsets of the block's tokens are hidden."""
    total, text = 0.0, torch.tensor([ids])
    for first in range(0, len(ids), span):
        places = range(first, min(first + span, len(ids)))
        for count in range(1, len(places) + 1):
            subsets = list(itertools.combinations(places, count))
            for subset in subsets:
                masked = text.clone()
                masked[0, list(subset)] = 6
                noised = Noised(text, State(masked), torch.full(text.shape, 0.5).double(), text >= 0)
                log_p = model.predict(noised, windows([ids], 8), text >= 0).logits[:, :6].log_softmax(-1)
                total += -sum(log_p[i, ids[i]].item() for i in subset) / count / len(subsets)
    return total


TEXTS = [[0, 1, 2, 3, 4], [5, 5, 1]]


@pytest.mark.slow
def test_the_estimate_covers_the_enumerated_bound():
    """Equal counts: within the 95 % interval of the exact value in close to 95 % of 60 seeds."""
    model = predictor()
    exact = sum(enumerated(model, ids) for ids in TEXTS)
    text = windows(TEXTS, 8)
    estimates = [bound(model, text, draws=32, seed=seed) for seed in range(60)]
    means = torch.tensor([e.nats for e in estimates], dtype=torch.float64)
    assert abs(means.mean() - exact) < 4 * means.std() / math.sqrt(60)
    covered = sum(abs(e.nats - exact) <= student_t(7) * e.stderr for e in estimates)
    assert covered >= 51  # P(fewer | 95 %) < 0.002
    # the standard error is the spread that the estimates really have
    claimed = math.sqrt(sum(e.stderr**2 for e in estimates) / 60)
    assert 0.75 < claimed / means.std().item() < 1.35


@pytest.mark.slow
@pytest.mark.parametrize("span", [1, 2, 3])
def test_blocks_are_scored_one_after_the_other(span):
    """Levels per block, and one shared by the blocks of a window, estimate the enumerated value; one token is exact."""
    model = predictor(block_length=span)
    exact = sum(enumerated_in_blocks(model, ids, span) for ids in TEXTS)
    for times in (None, SharedOffset(), EqualCount(per="row")):
        estimate = bound(model, windows(TEXTS, 8), draws=48, times=times)
        assert abs(estimate.nats - exact) <= 4 * estimate.stderr + 1e-9 * exact
        assert (estimate.kind == "exact") == (span == 1 and times is None)


@pytest.mark.slow
def test_a_prompt_is_a_condition():
    model = predictor()
    text = windows([[0, 1, 2, 3]], 8, prompts=[2])
    estimate = bound(model, text, draws=400)
    assert estimate.tokens == 2
    assert abs(estimate.nats - enumerated(model, [0, 1, 2, 3], prompt=2)) < 4 * estimate.stderr


def test_one_token_windows_are_exact():
    model = predictor()
    estimate = bound(model, windows([[3], [1]], 8), draws=2)
    assert estimate.kind == "exact"
    assert estimate.stderr == 0
    assert estimate.nats == pytest.approx(enumerated(model, [3]) + enumerated(model, [1]), rel=1e-6)
    value, low, high = estimate.perplexity
    assert value == low == high


@pytest.mark.slow
def test_time_draws_estimate_the_same_number_as_counts():
    """Any schedule, with or without equal counts: one value."""
    exact = sum(enumerated(predictor(), ids) for ids in TEXTS)
    for schedule in ("one-minus-t", "cos", "one-minus-cos", "polynomial"):
        estimate = bound(predictor(schedule=schedule), windows(TEXTS, 8), draws=320, times=SharedOffset())
        assert abs(estimate.nats - exact) < 4 * estimate.stderr
        assert estimate.stderr < 0.3 * exact  # inverse-time weights have heavy tails


def test_contributions_of_tokens_add_up():
    estimate = bound(predictor(), windows(TEXTS, 8), draws=16)
    assert len(estimate.per_token) == 8
    assert estimate.per_token.sum().item() == pytest.approx(estimate.nats, rel=1e-9)


@pytest.mark.slow
def test_precision_draws_until_it_is_reached():
    model, text = predictor(), windows(TEXTS, 8)
    loose = bound(model, text, draws=2)
    sharp = bound(model, text, draws=2, precision=0.01)
    assert sharp.draws > loose.draws
    assert sharp.stderr <= 0.01 * sharp.nats


def test_every_term_is_reported():
    """A schedule whose ends are not exact has a prior and a reconstruction term."""
    process = Interpolating(VOCABULARY, Geometric(0.01, 3.0), DESTINATIONS.load("uniform")())
    model = Predictor(predictor("uniform").denoiser, process, "leave_one_out")
    estimate = bound(model, windows(TEXTS, 8), draws=8)
    kept = math.exp(-3.0)
    q = torch.tensor([kept + (1 - kept) / 6] + [(1 - kept) / 6] * 5, dtype=torch.float64)
    assert estimate.prior == pytest.approx(8 * (q * (q * 6).log()).sum().item())
    assert estimate.reconstruction > 0
    assert estimate.nats == pytest.approx(
        estimate.diffusion.sum(-1).mean().item() + estimate.prior + estimate.reconstruction
    )
    assert bound(predictor(), windows(TEXTS, 8), draws=8).reconstruction == 0


@pytest.fixture(scope="module")
def noisy_start() -> Predictor:
    """Noise that is visible from the start: there is something to reconstruct, and it varies from draw to draw."""
    process = Interpolating(VOCABULARY, Geometric(0.2, 0.5), DESTINATIONS.load("uniform")())
    return Predictor(predictor("uniform").denoiser, process, "leave_one_out")


def test_every_term_belongs_to_tokens(noisy_start):
    """Those of one text are those of its own tokens, prior and reconstruction included."""
    estimate = bound(noisy_start, windows(TEXTS, 8), draws=8)
    assert estimate.prior > 1
    assert estimate.reconstruction > 1
    assert estimate.per_token.sum().item() == pytest.approx(estimate.nats)
    assert estimate.per_token[:5].sum().item() == pytest.approx(estimate.of_rows(0, 1)[0])


@pytest.mark.slow
def test_every_pass_reconstructs_anew_and_the_standard_error_says_so(noisy_start):
    """100 windows with one text are 100 estimates of one number: their spread is what each of them states."""
    few, many = (bound(noisy_start, windows([TEXTS[0]] * 100, 8), draws=draws) for draws in (64, 256))
    found = torch.tensor([few.of_rows(row, row + 1) for row in range(100)])
    assert 0.83 < found[:, 1].square().mean().sqrt() / found[:, 0].std() < 1.2
    assert few.ends.var() > few.diffusion.var() / 2  # most of the error, if it were left out
    assert few.ends.std() / many.ends.std() == pytest.approx(2, rel=0.15)


def test_short_texts_are_drawn_more_often_and_few_draws_of_them_state_no_error(noisy_start):
    """64 noise levels in all, and 2 say nothing of the spread; of 32 windows 2 draws say enough, in 7 parts."""
    one, many = windows([TEXTS[0]], 8), windows([TEXTS[0]] * 32, 8)
    assert (bound(noisy_start, one).draws, bound(noisy_start, many).draws) == (64, 16)
    assert bound(noisy_start, one, draws=2).stderr == math.inf
    found = bound(noisy_start, many, draws=2)
    assert found.parts.bincount().tolist() == [5, 5, 4, 5, 4, 5, 4]
    assert 0 < found.stderr < found.nats / 4
    assert int(bound(noisy_start, many, draws=16).parts.max()) == 0


def test_parts_are_drawn_independently(noisy_start):
    """The same windows in two parts: no two of them have the same noise, and the total is that of all."""
    found = bound(noisy_start, windows([TEXTS[0]] * 14, 8), draws=2)
    assert len(set(found.diffusion.flatten().tolist())) == 28
    assert found.per_token.sum().item() == pytest.approx(found.nats)


def test_windows_score_each_token_once():
    batch = windows([list(range(6)) * 4, [1, 2]], 8)
    assert batch.ids.shape == (4, 8)
    assert int(batch.editable.sum()) == 26
    assert torch.equal(batch.editable, batch.valid)
    assert batch.ids[batch.valid].tolist() == list(range(6)) * 4 + [1, 2]
    with pytest.raises(ValueError, match="document 0 has 24 tokens with its prompt; the context is 8"):
        windows([list(range(6)) * 4], 8, prompts=[3])


def test_chunking_does_not_change_the_estimate(monkeypatch):
    import undiffuse.likelihood.windows as module

    text = windows([[i % 6, 3, 1, 4] for i in range(20)], 8)
    whole = bound(predictor(), text, draws=8)
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 12)
    parts = bound(predictor(), text, draws=8)
    torch.testing.assert_close(whole.drawn, parts.drawn, rtol=1e-9, atol=0)


def test_student_t_is_the_quantile():
    for degrees in (1, 2, 7, 30, 200, 500):
        assert student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-3)


def test_bad_requests_are_refused():
    model, text = predictor(), windows(TEXTS, 8)
    with pytest.raises(UserError, match="1 draw has no standard error"):
        bound(model, text, draws=1)
    with pytest.raises(UserError, match="precision must lie between 0 and 1"):
        bound(model, text, precision=2.0)
    with pytest.raises(UserError, match="no token"):
        bound(model, windows([[1, 2]], 8, prompts=[2]))
