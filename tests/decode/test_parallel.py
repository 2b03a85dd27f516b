"""Strategies that decide how many positions to commit: against plain accounts, and without the published defects."""

import itertools
import math

import pytest
import torch
from table import TOKENS, confident, table
from toy import VOCABULARY, predictor, strategies

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.loop import walk
from undiffuse.decode.passes import Sites, predict_at
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.certified import Certified
from undiffuse.decode.strategies.dynamic import Dynamic
from undiffuse.decode.strategies.entropy_bounded import EntropyBounded
from undiffuse.decode.strategies.factor import Factor
from undiffuse.decode.strategies.greedy_tail import GreedyTail
from undiffuse.decode.strategies.threshold import Threshold
from undiffuse.errors import UserError
from undiffuse.exact.catalog import golden
from undiffuse.exact.denoiser import bayes_predictor
from undiffuse.exact.world import world
from undiffuse.randomness import Draws
from undiffuse.types import State


def blank(length: int, **options) -> Canvas:
    return start(torch.zeros(length, dtype=torch.long), torch.ones(length).bool(), key=options.pop("key", 7), **options)


def run(model, canvas, strategy) -> list[Canvas]:
    return [after for after, _ in walk(model, canvas, strategy)]


def steps(model, strategy, **plan) -> list[list[int]]:
    """Which positions each step commits."""
    done = run(model, blank(len(model.denoiser.logits), **plan), strategy)[-1]
    return [(done.commit_step[0] == step).nonzero()[:, 0].tolist() for step in range(int(done.step[0]))]


def test_factor_does_not_commit_the_candidate_that_fails():
    """Fast-dLLM and dInfer commit all four, and both of two: the last candidate, though the rule fails there."""
    assert steps(confident(0.999, 0.999, 0.999, 0.1), Factor(1.0)) == [[0, 1, 2], [3]]
    assert steps(confident(0.2, 0.1), Factor(1.0)) == [[0], [1]]


def test_factor_commits_all_that_pass():
    """d2Cache commits one too few when every candidate passes."""
    assert steps(confident(0.999, 0.999, 0.999, 0.999), Factor(1.0)) == [[0, 1, 2, 3]]


def test_factor_stops_at_the_first_failure():
    """(2 + 1)(1 − 0.6) = 1.2 fails, (3 + 1)(1 − 0.6) would too; what comes later cannot repair it."""
    assert steps(confident(0.6, 0.9, 0.6), Factor(1.1)) == [[1], [0], [2]]
    assert steps(confident(0.6, 0.9, 0.6), Factor(1.2 + 1e-9)) == [[0, 1], [2]]


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 3.0])
def test_entropy_bounded_against_brute_force(metric, gamma):
    """The longest of all prefixes in metric order whose sum of entropies exceeds the largest by at most gamma."""
    draw = torch.Generator().manual_seed(int(10 * gamma))
    rows = (2.5 * torch.randn(4, 7, 5, generator=draw, dtype=torch.float64)).softmax(-1)
    for p in rows.tolist():
        entropies = [-sum(q * math.log(q) for q in row) for row in p]
        score = {
            "entropy": lambda i, h=entropies: -h[i],
            "confidence": lambda i, p=p: max(p[i]),
            "margin": lambda i, p=p: sorted(p[i])[-1] - sorted(p[i])[-2],
        }[metric]
        order = sorted(range(7), key=lambda i: -score(i))
        prefixes = [order[:n] for n in range(1, 8)]
        holds = [u for u in prefixes if sum(entropies[i] for i in u) - max(entropies[i] for i in u) <= gamma + 1e-12]
        assert steps(table(p), EntropyBounded(gamma, metric))[0] == sorted(max(holds, key=len))


def test_entropy_bounded_is_per_request():
    """d2Cache takes the running maximum over the batch."""
    draw = torch.Generator().manual_seed(3)
    model = table((2 * torch.randn(12, 4, generator=draw, dtype=torch.float64)).softmax(-1))
    halves = [torch.arange(12) < 6, torch.arange(12) >= 6]
    canvases = [start(torch.zeros(12, dtype=torch.long), half, key=0) for half in halves]
    together = run(model, Canvas.concatenate(canvases), EntropyBounded(0.5))[-1]
    for row, canvas in enumerate(canvases):
        assert torch.equal(run(model, canvas, EntropyBounded(0.5))[-1].commit_step[0], together.commit_step[row])


def test_dynamic_commits_what_exceeds_the_threshold_or_the_quota():
    model = confident(0.9, 0.5, 0.95, 0.4, 0.3, 0.2)
    assert steps(model, Dynamic(0.85), steps=6) == [[0, 2], [1], [3], [4], [5]]
    assert steps(model, Dynamic(0.85), steps=2) == [[0, 1, 2], [3, 4, 5]], "fewer than the quota of three exceed it"
    assert steps(model, Dynamic(1.0), steps=6) == [[2], [0], [1], [3], [4], [5]]


def test_dynamic_threshold_must_be_exceeded_and_that_of_threshold_be_reached():
    """With one possible token the confidence is 1 exactly."""
    model = table([[0.0, 1.0, 0.0]] * 3)
    assert steps(model, Threshold(1.0)) == [[0, 1, 2]]
    assert steps(model, Dynamic(1.0)) == [[0], [1], [2]]


def test_the_quota_of_dynamic_stays_as_planned():
    """8 over 4 steps are two each; after six at once the next step still asks for two, not one."""
    model = confident(0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.4, 0.3)
    assert steps(model, Dynamic(0.85), steps=4) == [[0, 1, 2, 3, 4, 5], [6, 7]]


def test_a_quota_above_what_is_pending_writes_nothing_else():
    """SDAR overwrites the prompt there."""
    ids, pending = torch.tensor([1, 2, 0, 3]), torch.tensor([False, False, True, False])
    done = run(confident(0.1, 0.2, 0.3, 0.4), start(ids, pending, key=0, steps=1, span=4), Dynamic())[-1]
    assert done.ids[0].tolist() == [1, 2, TOKENS[0], 3]


def test_without_a_confident_position_the_best_one_is_committed():
    """Not the leftmost: one of JetEngine's two paths takes that."""
    for strategy in (Threshold(0.9), Factor(0.5), EntropyBounded(0.0), Dynamic(0.9), Certified()):
        assert steps(confident(0.2, 0.4, 0.3), strategy) == [[1], [2], [0]]


def test_a_network_that_prefers_the_mask_everywhere_still_ends():
    """dInfer excludes such positions and never ends; here the mask has no probability to begin with."""
    for strategy in strategies().values():
        done = run(confident(*[0.2] * 6), blank(6), strategy)[-1]
        assert done.done.all()
        assert (done.ids != VOCABULARY.mask).all()


def test_beyond_the_theorem_parallel_is_not_sequential():
    """Marginals of 0.65 at both zeros, whose joint is the least probable text but one: factor 1.2 takes it."""
    small = world(2, 2, [30, 35, 35, 0])
    model = bayes_predictor(small, golden(small)["mask"])
    canvas = start(small.rows[torch.zeros(2).long()], torch.ones(2).bool(), key=0)
    texts = {}
    for name, strategy in (("parallel", Factor(1.2)), ("certified", Certified()), ("one", Threshold(2.0))):
        texts[name] = small.numbers(run(model, canvas, strategy)[-1].ids)[0].tolist()
    assert texts["parallel"] == [0, 0]
    assert texts["certified"] == texts["one"] == [0, 1]


def test_the_certificate_is_the_largest_of_all_steps():
    model = confident(0.99, 0.9, 0.5)
    done = run(model, blank(3), Certified())
    assert steps(model, Certified()) == [[0, 1], [2]]
    assert [float(after.certificate[0]) for after in done] == pytest.approx([0, 3 * 0.1, 3 * 0.1])
    assert float(run(model, blank(3), Threshold(2.0))[-1].certificate[0]) == math.inf


def test_certified_is_about_greedy_decoding_of_the_model_itself():
    with pytest.raises(UserError, match="temperature must be 0, not 1"):
        Certified(Filters(temperature=1.0))
    with pytest.raises(UserError, match="needs confidence 'raw'"):
        Certified(Filters(confidence="filtered"))


@pytest.mark.parametrize("destination", ["mask", "uniform", "mix"])
def test_the_greedy_tail_is_the_best_of_the_last_transition(destination):
    """Against the kernel written out: p(z_0 | z_t) of every position that was open before the last step."""
    model = predictor(destination, sharpness=1.0)
    *_, before, after = run(model, blank(12, steps=4), GreedyTail())
    sites = Sites.of(before.window & before.pending)
    t, s = torch.tensor([[0.25]]).double(), torch.zeros(1, 1).double()
    prediction = predict_at(model, before, sites, torch.where(before.pending, 0.25, 0.0).double())
    law = model.process.law.transition(prediction.leave_one_out(), State(sites.gather(before.ids)), t, s)
    assert torch.equal(sites.gather(after.ids), law.argmax(-1))


def test_the_greedy_tail_keeps_tokens_that_the_raw_output_would_rewrite():
    """Under uniform noise nearly all tokens of the last step are right as they stand."""
    model = predictor("uniform", sharpness=1.0)
    keys = Draws.seeded(1).at(torch.arange(20)).key
    many = blank(12, steps=24).select(torch.zeros(20).long()).replace(key=keys)
    *_, before, after = run(model, many, GreedyTail())
    assert (before.ids == after.ids).float().mean() > 0.9


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Factor(0.0), "factor must be positive, not 0.0"),
        (lambda: Dynamic(-1.0), "threshold must be positive, not -1.0"),
        (lambda: EntropyBounded(-0.1), "gamma must be 0 or more, not -0.1"),
        (lambda: EntropyBounded(0.1, "entropie"), "no metric 'entropie'; did you mean 'entropy'"),
        (lambda: Factor(math.nan), "factor must be positive"),
    ],
)
def test_bad_numbers_are_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_fewer_evaluations_with_more_allowance():
    """γ and the factor buy steps monotonically on one network."""
    model, counts = predictor(sharpness=12.0), {}
    for name, strategy in itertools.chain(
        ((f"gamma {g}", EntropyBounded(g)) for g in (0.0, 0.3, 3.0, 99.0)),
        ((f"factor {f}", Factor(f)) for f in (0.01, 1.0, 2.0, 99.0)),
    ):
        counts[name] = int(run(model, blank(16), strategy)[-1].nfe[0])
    gammas, factors = (list(counts.values())[part] for part in (slice(0, 4), slice(4, 8)))
    for found in (gammas, factors):
        assert found == sorted(found, reverse=True)
        assert found[-1] == 1
        assert len(set(found)) >= 3
