"""A request in a running batch gets what it gets alone, whoever else is there, joins, leaves, is ended or runs late.

Networks are float64, so that the shapes of batches, which round differently, cannot change a token.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import predictor, strategies

from undiffuse.decode.batch import Batch
from undiffuse.decode.caches.block import Block
from undiffuse.decode.caches.dllm import DLLM
from undiffuse.decode.caches.dual import Dual
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.caches.prefix import Prefix
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.constraint import Constraint
from undiffuse.decode.decoder import Decoder, Limits
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.loop import begin, follow, step
from undiffuse.decode.request import Abort, Remask, Request
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.left_to_right import LeftToRight
from undiffuse.decode.whole_text import Span, WholeText
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES, STRATEGIES
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.text.automaton import of_regex
from undiffuse.text.utf8 import HoleText
from undiffuse.vocabulary import Vocabulary

# rows 8 and 9 are one character together; 11 is the end of a text, 12 the mask
TOKENS = (*(bytes([65 + row]) for row in range(8)), b"\xc3", b"\xa9", b" ", b"", b"")
BLOCK = 4
CACHES = {False: [NoCache(), Prefix(), Dual(), DLLM(4, 3), DLLM(2, 2, 0.5)], True: [NoCache(), Block()]}


@cache
def model(block_length: int | None, destination: str) -> Predictor:
    torch.manual_seed(2)
    network = Transformer(
        TransformerConfig(rows=13, width=16, depth=2, heads=2, context=64, block_length=block_length)
    ).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    process = Interpolating(
        Vocabulary(13, mask=12, eos=11), SCHEDULES.load("one-minus-t")(), DESTINATIONS.load(destination)()
    )
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def ticking() -> Callable[[], float]:
    """A clock that goes on by 10 ms whenever it is asked."""
    ticks: Iterator[int] = iter(range(10**6))
    return lambda: next(ticks) / 100


def ends_at(number: int) -> Callable[[Canvas], Abort | None]:
    return lambda canvas: Abort() if int(canvas.step) >= number else None


def takes_back(number: int) -> Callable[[Canvas], Remask | None]:
    """The first decided position, and in the last of the steps in which it does so all of them."""

    def ask(canvas: Canvas) -> Remask | None:
        decided = (canvas.editable & ~canvas.pending)[0].nonzero()[:, 0].tolist()
        return Remask(decided[: 1 if int(canvas.step) < number else None]) if int(canvas.step) <= number else None

    return ask


class Even(Constraint):
    """Every token is even."""

    def select(self, rows):
        return self

    def allowed(self, canvas, sites):
        return (torch.arange(len(TOKENS)) % 2 == 0).expand(*sites.index.shape, -1)

    def together(self, canvas, sites, chosen, ids):
        return chosen


def constraint(kind: str | None, prompt: int, length: int):
    if kind == "text":
        return WholeText([Span(0, prompt, prompt + length, HoleText(TOKENS))])
    if kind == "language":
        return WholeText([Span(0, prompt, prompt + length, of_regex("[A-C]*é?[D-H]*", TOKENS))])
    return Even() if kind == "even" else None


@st.composite
def requests(draw, blocks: bool, destination: str) -> Callable[[], Request]:
    """What makes a request; its clock is a new one every time."""
    prompt, length = draw(st.integers(1, 5)), draw(st.integers(2, 9))
    tokens = draw(st.lists(st.integers(0, 7), min_size=prompt, max_size=prompt)) + [0] * length
    tiles = {"span": BLOCK} if blocks else {"block_length": draw(st.sampled_from([None, 2, 3, 5]))}
    steps, key = draw(st.sampled_from([None, 9])), draw(st.integers(0, 99))
    kind = draw(st.sampled_from(STRATEGIES.kinds))
    cache = draw(st.sampled_from(CACHES[blocks]))
    guidance = draw(st.sampled_from([None, None, Prompt(scale=2.0), Prompt(scale=0.5)]))
    language = draw(st.sampled_from([None, None, "text", "language", "even"]))
    stop, banned = draw(st.sampled_from([(), (11,), (3, 5)])), draw(st.sampled_from([(), (2,), (0, 7, 11)]))
    limit = draw(
        st.sampled_from([{}, {}, {"max_nfe": 2}, {"max_nfe": 5}, {"deadline_ms": 55.0}, {"deadline_ms": 95.0}])
    )
    between = draw(st.sampled_from([None, None, ends_at(3), takes_back(4)]))

    def made() -> Request:
        ids = torch.tensor(tokens)
        canvas = start(ids, torch.arange(len(ids)) >= prompt, key=key, steps=steps, **tiles)
        whole = Decoder(
            STRATEGIES.load(kind)(), cache, guidance, constraint(language, prompt, length), stop=stop, banned=banned
        )
        plain = Decoder(STRATEGIES.load("ancestral")())
        for how in (whole, replace(whole, cache=NoCache()), replace(whole, cache=NoCache(), guidance=None), plain):
            if _suits(model(BLOCK if blocks else None, destination), canvas, how):
                return Request(canvas, replace(how, limits=Limits(**limit, clock=ticking())), between)
        raise AssertionError("nothing suits")

    return made


def _suits(predictor: Predictor, canvas: Canvas, how: Decoder) -> bool:
    try:
        begin(predictor, [Request(canvas, how)])
    except UserError:
        return False
    return True


def alone(predictor: Predictor, request: Request) -> Canvas:
    return [canvas for canvas, _ in follow(predictor, begin(predictor, [request]))][-1]


def together(predictor: Predictor, arrivals: list[tuple[int, Request]], stay: bool, turned: bool) -> list[Canvas]:
    """What requests that join at given steps get; ended ones leave, or stay for a while, and rows change place."""
    batch: Batch | None = None
    ended: dict[int, Canvas] = {}
    rows: list[int] = []
    now = 0
    while len(ended) < len(arrivals):
        for number, (when, request) in enumerate(arrivals):
            if when == now:
                joining = begin(predictor, [request])
                batch = joining if batch is None else batch.join(joining)
                rows.append(number)
        now += 1
        if batch is None:
            continue
        batch, happened = step(predictor, batch)
        for row in happened.done.nonzero()[:, 0].tolist():
            ended.setdefault(rows[row], batch.canvas.select(torch.tensor([row])))
        if not stay or now % 4 == 0:
            left = batch.running()[:: -1 if turned else 1]
            batch, rows = (batch.select(left) if left else None), [rows[row] for row in left]
    return [ended[number] for number in range(len(arrivals))]


@pytest.mark.parametrize(("blocks", "destination"), [(False, "mask"), (True, "mask"), (False, "uniform")])
@settings(max_examples=8)
@given(data=st.data(), stay=st.booleans(), turned=st.booleans())
def test_a_request_that_joins_gets_what_it_gets_alone(blocks, destination, data, stay, turned):
    predictor = model(BLOCK if blocks else None, destination)
    made = data.draw(st.lists(requests(blocks, destination), min_size=2, max_size=5))
    arrivals = [(data.draw(st.integers(0, 6)) if number else 0, make()) for number, make in enumerate(made)]
    for make, there in zip(made, together(predictor, arrivals, stay, turned), strict=True):
        expected = alone(predictor, make())
        length = expected.ids.shape[1]
        for name in ("ids", "pending", "commit_step", "editable"):
            assert torch.equal(getattr(expected, name)[0], getattr(there, name)[0, :length]), name
        for name in ("nfe", "rows", "step", "aborted", "certificate"):
            assert torch.equal(getattr(expected, name), getattr(there, name)), name


def blank(length: int, key: int = 0) -> Canvas:
    return start(torch.zeros(length, dtype=torch.long), torch.ones(length, dtype=torch.bool), key=key)


def test_an_aborted_request_ends_as_it_is():
    request = Request(blank(6), Decoder(Confidence()), ends_at(2))
    events = [happened for _, happened in follow(predictor(), begin(predictor(), [request]))]
    assert [bool(happened.aborted) for happened in events] == [False, False, True]
    assert events[-1].done.all()
    assert int(events[-1].pending.sum()) == 4


def test_a_server_may_abort_a_request_and_the_others_go_on():
    model = predictor()
    batch = begin(model, [Request(blank(5, key), Decoder(Confidence())) for key in range(3)])
    batch, _ = step(model, batch)
    batch = batch.abort([1])
    assert batch.running() == [0, 2]
    batch, happened = step(model, batch)
    assert batch.canvas.step.tolist() == [2, 1, 2]
    assert happened.aborted.tolist() == [False, True, False]
    assert batch.canvas.nfe.tolist() == [2, 1, 2]


def test_tokens_that_are_taken_back_are_decided_anew():
    seen: list[int] = []

    def ask(canvas: Canvas) -> Remask | None:
        seen.append(int(canvas.step))
        return Remask([0, 3]) if int(canvas.step) == 6 else None

    *_, last = follow(predictor(), begin(predictor(), [Request(blank(6), Decoder(Confidence()), ask)]))
    canvas, happened = last
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]
    assert canvas.commit_step[0, [0, 3]].min() >= 6
    assert happened.done.all()


def test_only_what_may_be_written_is_taken_back():
    canvas = start(torch.tensor([1, 0, 0]), torch.tensor([False, True, True]), key=0)
    for position in (0, 3):
        request = Request(canvas, Decoder(Confidence()), lambda _, position=position: Remask([position]))
        with pytest.raises(UserError, match=f"position {position} of a text of 3 cannot be noise again"):
            list(follow(predictor(), begin(predictor(), [request])))


def test_time_counts_from_the_moment_a_request_begins():
    model, asked = predictor(), ticking()
    first = begin(model, [Request(blank(20), Decoder(Confidence()))])
    for _ in range(9):
        first, _ = step(model, first)
        asked()  # time goes on before the second begins
    late = Request(blank(20, 1), Decoder(Confidence(), limits=Limits(deadline_ms=75.0, clock=asked)))
    batch = first.join(begin(model, [late]))
    while not bool(batch.canvas.done[1]):
        batch, happened = step(model, batch)
    # 10 ms a step: after five the sixth and one more would end after 75
    assert batch.canvas.nfe.tolist() == [9 + 6, 6]
    assert int(happened.committed[1].sum()) == 15
    assert not bool(batch.canvas.done[0])


def test_a_uniform_batch_is_one_group_and_one_lane():
    model = predictor()
    batch = begin(model, [Request(blank(5, key), Decoder(Confidence())) for key in range(4)])
    assert (len(batch.groups), len(batch.lanes)) == (1, 1)
    joined = batch.join(begin(model, [Request(blank(9), Decoder(Confidence(), stop=(3,)))]))
    assert (len(joined.groups), len(joined.lanes)) == (1, 1)
    others = begin(model, [Request(blank(5), Decoder(strategy)) for strategy in strategies().values()])
    assert len(others.groups) == len(strategies())
    assert len(others.lanes) == 2, "those with shadow rows run by themselves"
    again = joined.join(others)
    assert len(again.groups) == len(strategies())
    assert torch.cat([group.rows for group in again.groups]).sort()[0].tolist() == list(range(len(again)))


def test_a_stop_token_ends_those_early_that_ask_for_it():
    """Beside one that does not, in blocks of which the first ends with what is a stop token in all of them."""
    predictor = model(BLOCK, "mask")

    def request(early: bool, stop: tuple[int, ...] = ()) -> Request:
        ids = torch.tensor([1, *[0] * (3 * BLOCK - 1)])
        canvas = start(ids, torch.arange(len(ids)) >= 1, key=3, span=BLOCK)
        return Request(canvas, Decoder(LeftToRight(), stop=stop, early=early))

    def last(*requests: Request) -> Canvas:
        return [canvas for canvas, _ in follow(predictor, begin(predictor, list(requests)))][-1]

    written = int(last(request(False)).ids[0, 1])
    alone = [last(request(early, (written,))) for early in (True, False)]
    assert [int(canvas.nfe[0]) for canvas in alone] == [1, BLOCK - 1]
    together = last(request(True, (written,)), request(False, (written,)))
    for row, canvas in enumerate(alone):
        for name in ("ids", "commit_step", "nfe"):
            assert torch.equal(getattr(canvas, name)[0], getattr(together, name)[row]), (row, name)
