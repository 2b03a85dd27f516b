"""Block diffusion: what a row of [z ; x] may know, the two limits, levels of blocks, clipped mask ratios."""

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.exact.laws.blocks import Optimal
from undiffuse.exact.noise import Noise
from undiffuse.exact.scoring import texts_of
from undiffuse.exact.world import world
from undiffuse.kinds import DESTINATIONS, SCHEDULES, TIMES
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.bound import Bound
from undiffuse.objective.clipped import Clipped
from undiffuse.objective.times.equal_count import EqualCount
from undiffuse.objective.times.shared_offset import SharedOffset
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.randomness import Draws
from undiffuse.types import Batch, Noised, Rows, State, Tags
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(9, mask=8)
DRAWS = Draws.seeded(4)
LENGTH = 10


def text(rows: int = 3, length: int = LENGTH, prompt: int = 0, padding: int = 0, **more) -> Batch:
    ids = Draws.seeded(7).along(rows)[:, None].at(torch.arange(length)).integers(8)
    place = torch.arange(length).expand(rows, length)
    index = torch.arange(rows)
    return Batch(
        ids=ids,
        editable=(place >= prompt) & (place < length - padding),
        valid=place < length - padding,
        positions=place,
        index=index,
        epoch=torch.zeros_like(index),
        slot=index,
        **more,
    )


def predictor(schedule: str = "one-minus-t", destination: str = "mask", head="leave_one_out", **model) -> Predictor:
    torch.manual_seed(1)
    network = Transformer(TransformerConfig(rows=9, width=16, depth=3, heads=2, context=16, **model)).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    process = Interpolating(VOCABULARY, SCHEDULES.load(schedule)(), DESTINATIONS.load(destination)())
    return Predictor(network.requires_grad_(False), process, head)


def logits(model: Predictor, noisy: torch.Tensor, batch: Batch) -> torch.Tensor:
    """At every position of every row."""
    every = torch.ones_like(batch.editable)
    noised = Noised(batch.ids, State(noisy), torch.full(noisy.shape, 0.5, dtype=torch.float64), batch.editable)
    return model.predict(noised, batch, every).logits.view(*noisy.shape, -1)


def half_masked(batch: Batch) -> torch.Tensor:
    return torch.where(DRAWS.stream("z").at(batch.index)[:, None].at(batch.positions).uniform() < 0.5, 8, batch.ids)


@pytest.mark.parametrize("span", [1, 3, 4])
def test_a_block_knows_itself_noisy_and_the_blocks_before_it_clean(span):
    """Exactly: each of the changes that must not be felt moves nothing by a bit, each other one is felt."""
    model, batch = predictor(block_length=span), text()
    noisy = half_masked(batch)
    before = logits(model, noisy, batch)
    block = torch.arange(LENGTH) // span
    for changed in range(LENGTH):
        here = torch.arange(LENGTH) == changed
        clean = logits(model, noisy, batch.at(ids=torch.where(here, (batch.ids + 1) % 8, batch.ids)))
        assert torch.equal(before[:, block <= block[changed]], clean[:, block <= block[changed]])
        assert (before != clean)[:, block > block[changed]].any(-1).all()
        noise = logits(model, torch.where(here, (noisy + 1) % 9, noisy), batch)
        assert torch.equal(before[:, block != block[changed]], noise[:, block != block[changed]])
        assert (before != noise)[:, block == block[changed]].any(-1).all()


def test_documents_and_padding_are_not_seen():
    model = predictor(block_length=4)
    split = (torch.arange(LENGTH) >= 6).long().expand(3, -1)  # a document begins inside the second block
    batch = text(document=split)
    noisy = half_masked(batch)
    before = logits(model, noisy, batch)
    other = torch.where(split == 0, (batch.ids + 1) % 8, batch.ids)
    after = logits(model, torch.where(split == 0, other, noisy), batch.at(ids=other))
    assert torch.equal(before[:, 6:], after[:, 6:])
    padded = text(padding=3)
    one, two = (
        Bound(EqualCount()).loss(model, b, DRAWS, 3).sum
        for b in (padded, padded.at(ids=torch.where(padded.valid, padded.ids, 5)))
    )
    assert torch.equal(one, two)


@pytest.mark.parametrize("times", [EqualCount(), SharedOffset()])
def test_one_block_is_the_masked_model(times):
    """The same weights, the same draws: the same loss to the last bit, and no clean half."""
    for batch in (text(), text(prompt=3, padding=2)):
        whole = Bound(times).loss(predictor(), batch, DRAWS, 3)
        for span in (LENGTH, 64):
            block = Bound(times).loss(predictor(block_length=span), batch, DRAWS, 3)
            assert torch.equal(whole.sum, block.sum)
            assert torch.equal(whole.bucket_nats, block.bucket_nats)


def test_blocks_of_one_token_are_autoregressive():
    """Against causal attention with the same weights, asked for one token after the other behind the text before it."""
    batch, network = text(), predictor(causal=True).denoiser
    expected = torch.zeros((), dtype=torch.float64)
    for place in range(LENGTH):
        ids = batch.ids[:, : place + 1].clone()
        ids[:, -1] = 8
        tags = Tags(batch.positions[:, : place + 1])
        hidden = network.trunk(Rows(State(ids), tags))[:, -1]
        log_p = network.head(hidden)[:, :8].log_softmax(-1)
        expected -= log_p.gather(-1, batch.ids[:, place : place + 1]).sum()
    for seed in range(3):
        loss = Bound(EqualCount()).loss(predictor(block_length=1), batch, Draws.seeded(seed), 3)
        torch.testing.assert_close(loss.sum, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", TIMES.kinds)
def test_every_block_draws_from_all_levels(kind):
    times = TIMES.load(kind)()
    cells = times.cells(text(8), 8, 4)
    assert cells.slot.shape == (8, 3)
    levels = torch.stack([times.quantiles(cells, Draws.seeded(seed)) for seed in range(300)])
    # strata are permuted over rows and blocks: none keeps its own
    assert (levels.mean(0) - 0.5).abs().max() < 5 * (1 / 12 / 300) ** 0.5
    assert (levels.var(0) - 1 / 12).abs().max() < 0.025
    strata = (levels.flatten(1) * 24).long().sort(-1).values
    if kind != "uniform":
        assert (strata - torch.arange(24)).abs().max() <= 1
    noised = times.noise(predictor().process, text(8), DRAWS, 8, 4)
    shared = type(times)(per="row").noise(predictor().process, text(8), DRAWS, 8, 4)
    assert all(len(row.unique()) == 1 for row in noised.t[:, :4])
    assert (noised.t[:, 0] != noised.t[:, 4]).any()
    assert (shared.t == shared.t[:, :1]).all()


def test_counts_are_those_of_each_block():
    batch = text(64, prompt=2, padding=1)
    noised = EqualCount().noise(predictor().process, batch, DRAWS, 64, 4)
    masked = noised.state.ids == 8
    assert not (masked & ~batch.editable).any()
    for begin, end in ((0, 4), (4, 8), (8, 10)):
        size, count = batch.editable[0, begin:end].sum(), masked[:, begin:end].sum(-1)
        assert set(count.tolist()) == set(range(1, int(size) + 1))
        torch.testing.assert_close(noised.t[:, begin:end].amax(-1), count / size.double())


def test_rows_of_a_batch_can_be_drawn_anywhere():
    for times in (TIMES.load(kind)() for kind in TIMES.kinds):
        full = times.noise(predictor().process, text(6), DRAWS, 6, 4)
        half = times.noise(predictor().process, text(6).rows(slice(3, 6)), DRAWS, 6, 4)
        assert torch.equal(full.state.ids[3:], half.state.ids)
        assert torch.equal(full.t[3:], half.t)


@pytest.mark.parametrize(("span", "share"), [(2, 1e-12), (3, 0.5)])
def test_a_level_per_block_varies_less_than_one_per_row(span, share):
    """A language of blocks, each of one letter: what a block costs is decided by how much of it is hidden.

    With levels spread over all blocks of the batch, half of the pairs have one letter hidden and half have both.
    """
    letters = torch.cartesian_prod(*[torch.arange(2)] * 6).view(-1, 6 // span, span)
    language = world(2, 6, (letters == letters[..., :1]).all(-1).all(-1).double().tolist())
    process = Interpolating(language.vocabulary, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    model = Predictor(Optimal(language, span, Noise(process)), process, "leave_one_out")
    batch = texts_of(language, 8)
    batch = batch.at(editable=torch.ones_like(batch.editable))
    block, row = (
        torch.stack([Bound(EqualCount(per=per)).loss(model, batch, Draws.seeded(s), 8).sum for s in range(40)])
        for per in ("block", "row")
    )
    for found in (block, row):
        assert (found.mean() - 8 * language.entropy).abs() < 4 * found.std() / 40**0.5 + 1e-9
    assert block.var() < share * row.var()


def test_clipped_draws_between_its_ends_and_is_no_bound():
    model, batch = predictor(block_length=4), text(64)
    for times in (SharedOffset(), EqualCount()):
        clipped = Clipped([0.3, 0.8], times)
        drawn = Bound(times).integrand(model, batch, DRAWS, 64, clipped.ends)
        levels = drawn.noised.t
        slack = 0.25 if isinstance(times, EqualCount) else 0.0  # counts are of four tokens: 2 to 4
        assert 0.3 <= levels.min() < 0.55
        assert 0.75 <= levels.max() <= 0.8 + slack
        assert torch.equal(clipped.loss(model, batch, DRAWS, 64).sum, drawn.nats.sum())
        assert not clipped.is_bound
        whole = Clipped([0.0, 1.0], times)
        assert whole.is_bound
        assert torch.equal(whole.loss(model, batch, DRAWS, 64).sum, Bound(times).loss(model, batch, DRAWS, 64).sum)
    assert not Clipped("search").is_bound


def test_the_search_takes_the_ends_between_which_losses_vary_least(monkeypatch):
    ratios = (torch.arange(400) + 0.5) / 400
    for low, high in ((0.25, 0.75), (0.05, 0.85), (0.0, 0.5)):
        inside = (ratios > low) & (ratios < high)
        waves = torch.where(inside, 0.1 * (8 * torch.pi * (ratios - low) / (high - low)).sin(), 40 * (ratios - 0.5))
        monkeypatch.setattr(Clipped, "_losses", lambda *_, found=waves: (ratios, found))
        found = Clipped("search").tuned(predictor(), text(), DRAWS)
        assert low - 1e-9 <= found.clip[0] < found.clip[1] <= high + 1e-9
        assert Clipped([0.1, 0.9]).tuned(predictor(), text(), DRAWS) == Clipped([0.1, 0.9])


def test_the_search_sees_every_block_in_every_pass():
    """Loss and mask ratio of each block: their sum over a pass is the loss of that pass."""
    model, batch = predictor(block_length=4), text(6, prompt=4, padding=1)
    ratios, nats = Clipped("search")._losses(model, batch, DRAWS)
    blocks = 12  # of 4 and 1 tokens; the block of the prompt has nothing to score
    assert ratios.shape == nats.shape == (8 * blocks,)
    assert ((ratios > 0) & (ratios < 1)).all()
    drawn = Bound().integrand(model, batch, DRAWS, 48)
    sizes = torch.tensor([4.0, 1.0]).repeat(6)
    torch.testing.assert_close((nats[:blocks] * sizes).sum(), drawn.nats.sum())


def test_clipped_where_it_makes_no_sense_is_refused():
    for clip in ([0.8, 0.3], [0.3], [-0.1, 0.5], [0.5, 1.2]):
        with pytest.raises(ValueError, match=r"\"search\" or two mask ratios"):
            Clipped(clip)
    for model in (predictor("cos"), predictor(destination="uniform")):
        with pytest.raises(UserError, match="needs masked noise with schedule 'one-minus-t'"):
            Clipped().check(model)
    with pytest.raises(UserError, match="without time input"):
        Clipped([0.2, 0.9], EqualCount()).check(predictor(time_conditioning=True))
