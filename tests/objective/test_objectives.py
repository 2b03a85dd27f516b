"""Objectives: what they draw, what they score, and that they agree where theory says so."""

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES, TIMES
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.bound import Bound
from undiffuse.objective.cross_entropy import CrossEntropy
from undiffuse.objective.llada import Llada
from undiffuse.objective.times.equal_count import EqualCount
from undiffuse.objective.times.shared_offset import SharedOffset
from undiffuse.objective.times.stratified import Stratified
from undiffuse.objective.times.uniform import Uniform
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.randomness import Draws
from undiffuse.types import Batch
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(9, mask=2)
DRAWS = Draws.seeded(4)


def batch(rows: int = 6, length: int = 10, prompt: int = 3, padding: int = 2) -> Batch:
    ids = torch.arange(rows * length).view(rows, length) * 7 % 9
    ids[ids == 2] = 5
    place = torch.arange(length).expand(rows, length)
    index = torch.arange(rows)
    return Batch(
        ids=ids,
        editable=(place >= prompt) & (place < length - padding),
        valid=place < length - padding,
        positions=place,
        index=index + 40,
        epoch=torch.zeros_like(index),
        slot=index,
    )


def predictor(destination: str = "mask", schedule: str = "one-minus-t", head="leave_one_out", **model) -> Predictor:
    torch.manual_seed(1)
    network = Transformer(TransformerConfig(rows=9, width=16, depth=1, heads=2, context=16, **model))
    torch.nn.init.normal_(network.unembedding.weight)
    process = Interpolating(VOCABULARY, SCHEDULES.load(schedule)(), DESTINATIONS.load(destination)())
    return Predictor(network, process, head)


@pytest.mark.parametrize("kind", TIMES.kinds)
def test_times_are_uniform_and_spread(kind):
    """Pooled over many steps the levels are uniform; spread-out draws have one level in every stratum of the batch."""
    times = TIMES.load(kind)()
    cells = times.cells(batch(64), 64, None)
    pooled = torch.stack([times.quantiles(cells, Draws.seeded(s))[:, 0] for s in range(200)])
    assert ((pooled > 0) & (pooled < 1)).all()
    for moment in (1, 2, 3):
        assert abs((pooled**moment).mean() - 1 / (moment + 1)) < 0.02
    # each single row is uniform too: no row keeps a stratum for itself
    assert (pooled.mean(0) - 0.5).abs().max() < 5 * (1 / 12 / 200) ** 0.5
    strata = (pooled * 64).long().sort(-1).values
    if kind == "uniform":
        assert (strata != torch.arange(64)).any(-1).all()
    else:
        assert (strata - torch.arange(64)).abs().max() <= 1


def test_rows_of_a_batch_can_be_drawn_anywhere():
    """Half a global batch on another machine draws the same levels and the same masks."""
    whole = batch()
    for times in (SharedOffset(), Stratified(), Uniform(), EqualCount()):
        process = predictor().process
        full = times.noise(process, whole, DRAWS, 6)
        half = times.noise(process, whole.rows(slice(3, 6)), DRAWS, 6)
        assert torch.equal(full.state.ids[3:], half.state.ids)
        assert torch.equal(full.t[3:], half.t)


def test_only_editable_tokens_are_corrupted_or_scored():
    text = batch()
    for destination in DESTINATIONS.kinds:
        model = predictor(destination)
        for times in (SharedOffset(), EqualCount()) if destination == "mask" else (SharedOffset(),):
            noised = times.noise(model.process, text, DRAWS, 6)
            assert torch.equal(noised.state.ids[~text.editable], text.ids[~text.editable])
            assert (noised.t[~text.editable] == 0).all()
            assert not (model.process.informative(noised) & ~text.editable).any()
    assert Bound().loss(predictor(), text, DRAWS, 6).weight == text.editable.sum()


def test_loss_does_not_change_with_padding_or_the_content_of_it():
    text = batch()
    other = text.at(ids=text.ids.where(text.valid, 7))
    for objective in (Bound(), Bound(EqualCount()), Llada()):
        a, b = (objective.loss(predictor(), x, DRAWS, 6).sum for x in (text, other))
        torch.testing.assert_close(a, b)


def test_equal_count_masks_exactly_so_many():
    text = batch(64)
    noised = EqualCount().noise(predictor().process, text, DRAWS, 64)
    masked = (noised.state.ids == 2).sum(-1)
    size = text.editable[0].sum()
    assert masked.min() == 1
    assert masked.max() == size
    torch.testing.assert_close(noised.t.amax(-1), masked / size, check_dtype=False)


def test_equal_count_does_not_depend_on_the_schedule():
    """The any-order bound has no schedule: same subsets, same weights."""
    text = batch()
    losses = [
        Bound(EqualCount()).loss(predictor(schedule=schedule), text, DRAWS, 6).sum
        for schedule in ("one-minus-t", "cos", "one-minus-cos", "polynomial")
    ]
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0])


def test_llada_without_its_floor_is_the_bound():
    """Same draws of time and masks: equal to rounding. With the floor it differs."""
    text, model = batch(), predictor()
    exact = Bound(Uniform()).loss(model, text, DRAWS, 6)
    torch.testing.assert_close(Llada(floor=0.0).loss(model, text, DRAWS, 6).sum, exact.sum)
    assert (Llada(floor=0.3).loss(model, text, DRAWS, 6).sum - exact.sum).abs() > 1e-3
    assert Llada(floor=0.0).is_bound
    assert not Llada().is_bound


def test_buckets_add_up_to_the_loss():
    for objective in (Bound(), Bound(EqualCount()), Llada(), CrossEntropy()):
        model = predictor(head=objective.head)
        loss = objective.loss(model, batch(), DRAWS, 6)
        assert loss.bucket_nats.sum() == pytest.approx(loss.sum.item(), rel=1e-6)
        assert loss.bucket_tokens.sum() == loss.weight


def test_only_informative_positions_reach_the_head():
    model = predictor()
    seen = []
    model.denoiser.unembedding.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[0]))
    loss = Bound()
    sites = loss.integrand(model, batch(), DRAWS, 6).sites
    assert seen == [int(sites.sum())]
    assert seen[0] < int(batch().editable.sum())


def test_cross_entropy_is_the_mean_over_what_is_scored():
    """Against torch's own cross-entropy on the logits of a full forward pass."""
    model = predictor("uniform", head="posterior")
    text = batch()
    noised = SharedOffset().noise(model.process, text, DRAWS, 6)
    logits = model.predict(noised, text, torch.ones_like(text.editable)).logits.view(6, 10, 9)
    expected = torch.nn.functional.cross_entropy(logits[text.editable], text.ids[text.editable])
    loss = CrossEntropy().loss(model, text, DRAWS, 6)
    torch.testing.assert_close(loss.sum / loss.weight, expected)


def test_what_makes_no_sense_is_refused():
    for objective, model, message in (
        (Bound(EqualCount()), predictor("uniform"), "'equal-count' need masked noise"),
        (Bound(EqualCount()), predictor(time_conditioning=True), "without time input"),
        (Bound(), predictor(head="posterior"), "trains a leave_one_out head"),
        (CrossEntropy(), predictor(), "trains a posterior head"),
        (Llada(), predictor(schedule="cos"), "with schedule 'one-minus-t'"),
        (Llada(), predictor("uniform"), "defined for masked noise"),
    ):
        with pytest.raises(UserError, match=message):
            objective.check(model)
    with pytest.raises(ValueError, match="floor"):
        Llada(floor=1.0)
    with pytest.raises(ValueError, match="use objective 'bound'"):
        Llada(times=EqualCount())


def test_gradients_are_finite_for_every_destination_and_time_input():
    for destination in DESTINATIONS.kinds:
        for conditioned in (False, True):
            model = predictor(destination, time_conditioning=conditioned)
            loss = Bound().loss(model, batch(), DRAWS, 6)
            (loss.sum / loss.weight).backward()
            gradients = [p.grad for p in model.denoiser.parameters() if p.grad is not None]
            assert all(g.isfinite().all() for g in gradients)
            assert sum(g.abs().sum() for g in gradients) > 0


@pytest.mark.parametrize("destination", DESTINATIONS.kinds)
def test_the_bound_of_fixed_positions_is_zero_wherever_it_is_asked_for(destination):
    """Also over whole rows, without selecting sites first; the sum is the loss."""
    model, text = predictor(destination), batch()
    noised = SharedOffset().noise(model.process, text, DRAWS, 6)
    every = torch.ones_like(text.editable)
    nats = model.process.bound(model.predict(noised, text, every), noised[every]).view(text.ids.shape)
    assert (nats[~text.editable] == 0).all()
    torch.testing.assert_close(nats.sum().float(), Bound().loss(model, text, DRAWS, 6).sum.float())
    nats.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.denoiser.parameters() if p.grad is not None)


def test_a_level_that_float32_rounds_to_1_is_not_0(monkeypatch):
    # u + 1/2 = 1 - 10⁻⁹ is 1 in float32, whose rest modulo 1 is 0, where bounds of uniform noise are not finite
    monkeypatch.setattr(Draws, "uniform", lambda self: torch.full(self.key.shape, 0.5 - 1e-9, dtype=torch.float64))
    cells = SharedOffset().cells(batch(2), 2, None)
    levels = SharedOffset().quantiles(cells, Draws.seeded(0)).flatten().sort().values
    assert levels.tolist() == [2.0**-25, 0.5]
