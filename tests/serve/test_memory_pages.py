"""Beginnings that several requests share are computed once, and change nothing of what anyone gets."""

import gc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from served_model import TEXT
from test_engine import submit

from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.serve.engine import Engine, Limits
from undiffuse.serve.job import Cancelled, Done
from undiffuse.serve.pages import Pages, page_size, shares
from undiffuse.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train([TEXT], 300)
SPEC = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}
BEGINNING = "The quick brown fox jumps over the lazy dog. Größe, naïve — 漢字 and emoji 🙂 too. "


def model(**config) -> LanguageModel:
    torch.manual_seed(2)
    network = Transformer(
        TransformerConfig(rows=TOKENIZER.vocabulary.rows, width=32, depth=2, heads=2, context=160, **config)
    ).double()
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    process = build_process(SPEC, TOKENIZER.vocabulary)
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), TOKENIZER, {})


MODELS = {"causal": model(causal=True), "blocks": model(block_length=4), "long blocks": model(block_length=24)}


def ask(kind: str, prompt: str, **options):
    return MODELS[kind].calls.generate(prompt, **options)


def consistent(pages: Pages) -> bool:
    """The bytes are those of the pages, within the limit, and every page can be reached."""
    held = pages._pages
    numbers = {page.number for page in held.values()}
    return (
        pages.bytes == sum(page.bytes for page in held.values()) <= pages.limit
        and all(before == 0 or before in numbers for _, before, _ in held)
        and len(numbers) == len(held)
    )


def test_pages_are_whole_blocks():
    assert [page_size(each.predictor) for each in MODELS.values()] == [16, 16, 24]
    assert all(shares(each.predictor) for each in MODELS.values())
    assert not shares(model().predictor)


@pytest.mark.parametrize("kind", MODELS)
def test_what_was_run_before_is_not_run_again(kind):
    engine = Engine().start()
    size = page_size(MODELS[kind].predictor)
    prompt, other = BEGINNING * 2, BEGINNING * 2 + "fox"
    found = []
    for number, text in enumerate((prompt, prompt, other, "dog. " + prompt)):
        waiter = submit(engine, str(number), lambda _, t=text, s=number: ask(kind, t, length=8, seed=s))
        assert isinstance(waiter.last, Done)
        assert waiter.last.result == [MODELS[kind].generate(text, length=8, seed=number)]
        found.append(engine.pages.found)
    whole = len(TOKENIZER.context(prompt)) // size * size
    assert found == [0, whole, 2 * whole, 2 * whole]
    assert consistent(engine.pages)
    assert engine.stop(5)


def test_an_answer_is_the_beginning_of_what_follows_it():
    engine = Engine().start()
    first = submit(engine, "first", lambda _: ask("causal", BEGINNING, length=40, temperature=1.0)).last.result[0][0]
    looked = engine.pages.asked
    second = submit(engine, "second", lambda _: ask("causal", first.text, length=4)).last.result
    assert second == [MODELS["causal"].generate(first.text, length=4)]
    if TOKENIZER.context(first.text)[: len(TOKENIZER.context(BEGINNING))] == TOKENIZER.context(BEGINNING):
        assert engine.pages.found > len(TOKENIZER.context(BEGINNING))
    assert engine.pages.asked > looked
    assert engine.stop(5)


PIECES = ("The quick brown fox jumps ", "over the lazy dog. ", "Größe, naïve — ", "漢字 and emoji 🙂 too. ")


@settings(max_examples=4, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(MODELS)),
            st.lists(st.sampled_from(PIECES), min_size=1, max_size=5),
            st.integers(0, 2),
            st.sampled_from(["stay", "stay", "stay", "cancelled"]),
        ),
        min_size=2,
        max_size=5,
    ),
    st.sampled_from([60, 1 << 14]),
    st.sampled_from([40_000, 300_000, 1 << 28]),
)
def test_answers_are_those_without_sharing(asked, rows, memory):
    """Whatever shares with whom, is evicted (a page of these has about 16 kB), or leaves early."""
    engine = Engine(Limits(rows=rows, memory=memory)).start()
    waiters = []
    for number, (kind, pieces, seed, _) in enumerate(asked):
        own = {"length": 6 + 5 * seed, "seed": seed, **({"temperature": 1.0} if seed else {})}
        waiters.append(
            (
                submit(
                    engine, str(number), lambda _, k=kind, p=pieces, o=own: ask(k, "".join(p), **o), memory=memory // 3
                ),
                own,
            )
        )
        if asked[number][3] == "cancelled":
            engine.cancel(str(number))
    for (waiter, own), (kind, pieces, _, fate) in zip(waiters, asked, strict=True):
        if fate == "cancelled" and isinstance(waiter.last, Cancelled):
            continue
        assert isinstance(waiter.last, Done), waiter.last
        assert waiter.last.result == [MODELS[kind].generate("".join(pieces), **own)]
    assert engine.stop(5)
    assert consistent(engine.pages)
    assert engine.pages.bytes <= memory // 4


def test_running_jobs_go_before_pages_and_a_network_takes_its_own_along():
    engine = Engine(Limits(memory=1 << 20)).start()
    own = model(causal=True)
    waiter = submit(engine, "a", lambda _: own.calls.generate(BEGINNING, length=4))
    assert isinstance(waiter.last, Done)
    assert len(engine.pages) > 0
    waiter = submit(engine, "b", lambda _: ask("causal", "The", length=2), memory=1 << 20)
    assert isinstance(waiter.last, Done)
    assert len(engine.pages) == 0 or engine.pages.bytes <= engine.pages.limit
    pages = Pages(1 << 20)
    job = own.predictor
    assert engine.stop(5)
    from undiffuse.decode.demand import Denoise
    from undiffuse.serve.deck import Deck
    from undiffuse.serve.job import Job

    deck, one = Deck(job, pages), Job("c", lambda _: None, lambda _: None)
    demand = next(own.calls.generate(BEGINNING, length=4))
    assert isinstance(demand, Denoise)
    deck.add(one, demand)
    deck.seat([one])
    deck.step()
    assert (len(pages) > 0, pages.bytes > 0) == (True, True)
    del own, deck, one, demand, job, waiter
    gc.collect()
    pages.shrink(1 << 20)
    assert (len(pages), pages.bytes) == (0, 0)


def test_the_longest_unused_go_first_and_never_what_others_stand_on():
    engine = Engine().start()
    for number, text in enumerate((BEGINNING * 2, "漢字 " * 20 + BEGINNING, BEGINNING * 2)):
        assert isinstance(submit(engine, str(number), lambda _, t=text: ask("causal", t, length=2)).last, Done)
    assert engine.stop(5)
    pages, step = engine.pages, next(iter(engine.pages._pages.values())).bytes
    wanted = TOKENIZER.context(BEGINNING * 2)
    while len(pages):
        pages.shrink(pages.bytes - step)
        assert consistent(pages)
        if len(pages) >= len(wanted) // 16:
            assert len(pages._path(MODELS["causal"].predictor, wanted)) == len(wanted) // 16
