"""One step, and what the loop writes while it takes many."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from tiny import SETTINGS, STEPS, later, write_text

from undiffuse.data.readers import read
from undiffuse.data.split import split
from undiffuse.errors import UserError
from undiffuse.randomness import Draws
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training.assembly import Assembly
from undiffuse.training.gradients import backward, normalize
from undiffuse.training.loop import take_step
from undiffuse.training.metrics import read_metrics
from undiffuse.training.plan import Budget
from undiffuse.training.planning import make_plan
from undiffuse.training.recipe import resolve


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    parts = split(read([write_text(tmp_path_factory.mktemp("text") / "text.txt")]))
    return parts.train, parts.valid


def built(corpora, *overrides: str, tokenizer: Tokenizer | None = None):
    settings = later(*SETTINGS, "training.rows=12", "training.dtype=float32", *overrides)
    configuration = resolve("default", settings).configuration
    tokenizer = tokenizer or Tokenizer.train([document.text for document in corpora[0].documents], 280)
    assembly = Assembly(configuration, *corpora, tokenizer, 0, torch.device("cpu"))
    return assembly.build(make_plan(assembly, Budget(steps=100)))


@pytest.mark.parametrize("objective", ["bound", "cross-entropy"])
def test_accumulation_changes_nothing(corpora, objective):
    """Loss, gradient and weights agree to rounding, also where parts of the batch hold different numbers of sites."""
    results = []
    for parts in (1, 2, 3, 12):
        job, state = built(corpora, f"objective={objective}", f"training.accumulation={parts}", "optimizer.lr=0.02")
        for _ in range(3):
            take_step(job, state)
        results.append((state.window.nats_per_token, state.window.gradient_norm, state.optimizer.masters))
    for nats, norm, weights in results[1:]:
        assert nats == pytest.approx(results[0][0], rel=1e-5)
        torch.testing.assert_close(norm, results[0][1], rtol=1e-4, atol=0)
        for name, weight in weights.items():
            torch.testing.assert_close(weight, results[0][2][name], rtol=1e-3, atol=1e-4)


def test_parts_are_added_in_float32():
    """Many small parts on top of a large one: in bfloat16 each of them would be lost."""
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.bfloat16))
    shares = torch.tensor([256.0] + [0.75] * 63, dtype=torch.bfloat16)

    class Share:
        def loss(self, predictor, batch, draws, rows):
            value = batch.ids[0, 0] * weight
            return type("L", (), {"sum": value})

    class Rows:
        ids = shares[:, None]

        def rows(self, index):
            part = Rows()
            part.ids = self.ids[index]
            return part

    @dataclass(frozen=True)
    class Anyone:
        dropout: torch.Generator | None = None

    backward(Anyone(), Share(), Rows(), Draws.seeded(0), [weight], count=64)
    assert weight.grad == torch.tensor(256 + 0.75 * 63, dtype=torch.bfloat16) != 256


def test_gradients_are_divided_by_the_weight_then_clipped():
    weights = [torch.nn.Parameter(torch.zeros(n)) for n in (2, 1)]

    def clipped(limit: float):
        weights[0].grad, weights[1].grad = torch.tensor([6.0, 0.0]), torch.tensor([8.0])
        return normalize(weights, torch.tensor(2.0), limit).item(), [w.grad.tolist() for w in weights]

    assert clipped(100.0) == (5.0, [[3.0, 0.0], [4.0]])
    assert clipped(1.0) == (5.0, [pytest.approx([0.6, 0.0]), pytest.approx([0.8])])


def test_the_average_forgets_the_first_weights_and_follows_the_last(corpora):
    job, state = built(corpora, "training.ema=0.5")
    first = {name: value.clone() for name, value in state.average.items()}
    for _ in range(12):
        take_step(job, state)
    average = {name: value.clone() for name, value in state.average.items()}
    take_step(job, state)
    for name, master in state.optimizer.masters.items():
        torch.testing.assert_close(state.average[name], 0.5 * average[name] + 0.5 * master)
    assert any(not torch.equal(first[name], state.average[name]) for name in first)


def test_it_learns_a_text_that_repeats(corpora, tmp_path):
    """ab ab ab … has one bit of entropy in all: the loss goes from ln K toward nothing."""
    text = tmp_path / "ab.txt"
    text.write_text("ab" * 2000)
    train, valid = (replace(c, documents=read([text]).documents) for c in corpora)
    job, state = built((train, valid), "optimizer.lr=0.05", tokenizer=Tokenizer.byte_level())
    take_step(job, state)
    assert state.window.nats_per_token > 0.9 * math.log(256)
    for _ in range(60):
        state.window.clear()
        take_step(job, state)
    assert state.window.nats_per_token < 0.4 * math.log(256)


def test_a_line_of_metrics_every_ten_steps_and_at_the_end(train_tiny):
    run = train_tiny(steps=STEPS + 1)
    lines = read_metrics(run.directory / "metrics.jsonl")
    losses = [line for line in lines if "buckets" in line]
    assert [line["step"] for line in losses] == [10, 20, 25]
    assert [line["step"] for line in lines if "validation" in line] == [12, 25]
    for line in losses:
        assert line["tokens"] == line["step"] * 4 * 16
        assert len(line["buckets"]) == 10
        assert line["gradient_norm"] > 0
        assert line["time"]["seconds"] > 0
        assert 0 < line["learning_rate"] <= 1
    # a text of two-byte tokens and more has fewer bits per byte than per token
    assert 0 < losses[-1]["bits_per_byte"] < losses[-1]["nats_per_token"] / math.log(2)


def test_a_loss_that_is_not_finite_stops_the_run(train_tiny):
    with pytest.raises(UserError, match=r"the loss is nan after step 10, .* lower learning rate"):
        train_tiny("optimizer=adamw", "optimizer.lr=1e38")


def test_held_out_windows_are_the_same_throughout_and_spread_over_the_text(corpora):
    job, state = built(corpora, "training.windows=3")
    first, again = (job.validation.part(state.average) for _ in range(2))
    assert first.json() == again.json()
    assert first.estimate.tokens <= 3 * 16
    whole = job.validation.whole(state.average)
    assert whole.estimate.tokens == job.validation.held_out.tokens
    assert whole.bytes == job.validation.held_out.bytes
    # weights of zero in the head: every token equally likely, so the bound is ln K per token, exactly
    assert whole.nats_per_token[0] == pytest.approx(math.log(276), rel=0.02)


def test_every_step_has_its_own_draws_and_its_own_learning_rate(corpora, monkeypatch):
    job, state = built(corpora, "training.warmup=0.03", "training.decay=0.5")
    seen, rates = [], []
    step = state.optimizer.step

    class Watched:
        def at(self, progress):
            return self

        def loss(self, predictor, batch, draws, rows):
            seen.append((draws.key.item(), batch.ids.tolist()))
            return job.objective.loss(predictor, batch, draws, rows)

    monkeypatch.setattr(state.optimizer, "step", lambda scale: (rates.append(scale), step(scale)))
    state.objective = Watched()
    for state.step in (0, 1, 10, 99, 1):
        take_step(job, state)
    assert seen[4] == seen[1]
    assert len({key for key, _ in seen}) == 4
    assert rates == pytest.approx([1 / 4, 2 / 4, 1.0, 1 / 51, 2 / 4])


def test_a_line_holds_the_means_since_the_line_before(train_tiny, tmp_path):
    """Ten lines of one step each say together what one line of ten steps says."""
    fine, coarse = (
        [line for line in read_metrics(run.directory / "metrics.jsonl") if "buckets" in line]
        for run in (train_tiny(f"training.report_every={n}", steps=20, out=tmp_path / str(n)) for n in (1, 10))
    )
    assert (len(fine), len(coarse)) == (20, 2)
    for line, lines in zip(coarse, (fine[:10], fine[10:]), strict=True):
        assert line["gradient_norm"] == pytest.approx(sum(x["gradient_norm"] for x in lines) / 10)
        assert line["nats_per_token"] == pytest.approx(sum(x["nats_per_token"] for x in lines) / 10, rel=0.01)
        seen = [[x["buckets"][i] for x in lines if x["buckets"][i] is not None] for i in range(10)]
        for value, values in zip(line["buckets"], seen, strict=True):
            assert (value is None) == (not values)
            assert value is None or min(values) <= value <= max(values)
