"""Requests at different strategies in one batch: each gets what it gets alone."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import VOCABULARY, predictor, strategies

from undiffuse.decode.caches.dual import Dual
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.caches.prefix import Prefix
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.constraint import Constraint
from undiffuse.decode.decoder import Decoder, Limits
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.loop import begin, follow, walk
from undiffuse.decode.observe import observe
from undiffuse.decode.passes import Latents, Sites, run
from undiffuse.decode.proposal import Filters
from undiffuse.decode.request import Request
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.certified import Certified
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.entropy import Entropy
from undiffuse.decode.strategies.threshold import Threshold
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.vocabulary import Vocabulary

MEMBERS = tuple(strategies().values())


def request(number: int, length: int = 9, prompt: int = 2, **plan) -> Canvas:
    ids = torch.zeros(prompt + length, dtype=torch.long)
    pending = torch.arange(prompt + length) >= prompt
    return start(ids, pending, key=number, **plan)


def last(model, canvas, how) -> Canvas:
    return [after for after, _ in walk(model, canvas, how)][-1]


def together_of(model, canvases, hows) -> Canvas:
    """The last canvas of requests that begin together."""
    batch = begin(model, [Request(canvas, how) for canvas, how in zip(canvases, hows, strict=True)])
    return [after for after, _ in follow(model, batch)][-1]


def assert_same(alone: Canvas, together: Canvas, row: int) -> None:
    length = alone.ids.shape[1]
    for name in ("ids", "commit_step"):
        assert torch.equal(getattr(alone, name)[0], getattr(together, name)[row, :length]), (row, name)
    for name in ("nfe", "rows", "step", "certificate"):
        assert getattr(alone, name)[0] == getattr(together, name)[row], (row, name)


def test_every_strategy_in_one_batch():
    canvases = [
        request(number, length=5 + number % 3, steps=4, block_length=None if number % 2 else 4)
        for number in range(len(MEMBERS))
    ]
    together = together_of(predictor(), canvases, [Decoder(member) for member in MEMBERS])
    for row, (canvas, member) in enumerate(zip(canvases, MEMBERS, strict=True)):
        assert_same(last(predictor(), canvas, member), together, row)


@settings(max_examples=10)
@given(chosen=st.lists(st.integers(0, len(MEMBERS) - 1), min_size=1, max_size=4))
def test_any_mixture(chosen):
    members = tuple(MEMBERS[number] for number in chosen)
    canvases = [request(number, length=4 + number, steps=3) for number in range(len(members))]
    together = together_of(predictor(), canvases, [Decoder(member) for member in members])
    for row, member in enumerate(members):
        assert_same(last(predictor(), canvases[row], member), together, row)


@pytest.mark.slow
@pytest.mark.parametrize("cache", [NoCache(), Prefix(), Dual()])
@pytest.mark.parametrize("limits", [Limits(), Limits(max_nfe=4)])
@pytest.mark.parametrize("guidance", [None, Prompt(scale=2.0)])
def test_with_caches_budgets_and_guidance(cache, limits, guidance):
    """A network with attention, windows of different lengths, and limits that each member completes by its filters."""
    torch.manual_seed(1)
    network = Transformer(TransformerConfig(rows=13, width=24, depth=2, heads=2, context=64))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    process = Interpolating(
        Vocabulary(13, mask=12, eos=11), SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")()
    )
    model = Predictor(network.requires_grad_(False), process, "leave_one_out")
    members = (
        Threshold(0.3),
        Ancestral(),
        Confidence(Filters(temperature=1.5, top_p=0.9)),
        Entropy(schedule="dream-exact"),
    )
    canvases = [request(n, length=8, prompt=n + 1, block_length=4 if n % 2 else 3, steps=6) for n in range(4)]
    hows = [Decoder(member, cache, guidance, limits=limits) for member in members]
    together = together_of(model, canvases, hows)
    for row, how in enumerate(hows):
        assert_same(last(model, canvases[row], how), together, row)


class Even(Constraint):
    """Position i may hold only tokens of the parity that its request asks for."""

    def __init__(self, parity: list[int]) -> None:
        self.parity = torch.tensor(parity)

    def select(self, rows):
        return Even(self.parity[rows].tolist())

    def allowed(self, canvas, sites):
        fits = torch.arange(VOCABULARY.rows) % 2 == self.parity[:, None]
        return fits[:, None].expand(*sites.index.shape, -1)

    def together(self, canvas, sites, chosen, ids):
        return chosen


def test_constraints_follow_their_requests():
    members = (Confidence(), Ancestral(), Certified())
    canvases = [request(n, steps=4) for n in range(3)]
    hows = [Decoder(member, constraint=Even([row % 2])) for row, member in enumerate(members)]
    together = together_of(predictor(), canvases, hows)
    for row, member in enumerate(members):
        assert_same(last(predictor(), canvases[row], Decoder(member, constraint=Even([row % 2]))), together, row)
        assert (together.ids[row, 2:] % 2 == row % 2).all()


def test_one_constraint_of_many_rows_is_that_of_each():
    canvas = Canvas.concatenate([request(n, steps=4) for n in range(3)])
    done = last(predictor(), canvas, Decoder(Confidence(), constraint=Even([0, 1, 0])))
    for row in range(3):
        assert (done.ids[row, 2:] % 2 == row % 2).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="a request at least"):
        begin(predictor(), [])
    with pytest.raises(UserError, match="one text, not 2"):
        Request(Canvas.concatenate([request(0), request(1)]), Decoder(Confidence()))
    with pytest.raises(UserError, match="mask"):
        together_of(predictor("uniform"), [request(0), request(1)], [Decoder(Ancestral()), Decoder(Confidence())])


@dataclass(frozen=True)
class Shows(Ancestral):
    """Shows the network a latent that it remembers."""

    value: float = 0.0

    moves_vectors = True

    def begin(self, process, canvas):
        return {"latent": torch.full((*canvas.ids.shape, 2), self.value)}

    def latents(self, canvas, memory):
        return Latents(memory["latent"])


def test_every_request_shows_the_network_its_own_latents(monkeypatch):
    seen = []
    monkeypatch.setattr("undiffuse.decode.observe.run", lambda *asked: seen.append(asked[-1]) or run(*asked))
    hows = [Decoder(Shows(value=value)) for value in (1.0, 2.0, 1.0)]
    batch = begin(predictor(), [Request(request(0), how) for how in hows])
    assert len(batch.groups) == 2
    canvas = batch.canvas
    observe(predictor(), batch, Sites.of(canvas.pending), canvas.pending.double(), canvas.pending.sum(-1))
    assert seen[0].latent[:, 0, 0].tolist() == [1, 2, 1]
