"""Generating text: lengths, windows, whole characters, events."""

import pytest
import torch

from undiffuse.errors import UserError


def test_default_length_fills_the_context(model):
    generated = model.generate("The quick", strategy="confidence", seed=1)[0]
    prompt = len(model.tokenizer.encode("The quick"))
    assert generated.text.startswith("The quick")
    assert generated.nfe == model.context - prompt
    assert generated.note == ""


@pytest.mark.slow
def test_every_strategy_generates_text(model, strategies_of):
    for kind in strategies_of(model):
        heat = 0.0 if kind == "certified" else 1.0
        generated = model.generate("Größe", length=20, strategy=kind, temperature=heat, samples=2, seed=3)
        assert all(g.text.startswith("Größe") for g in generated)
        assert all(g.strategy == kind for g in generated)
        assert all((g.json()["certificate"] is not None) == (kind == "certified") for g in generated)


def test_a_certificate_says_that_every_step_was_certain_enough(model):
    whole, cut = (
        model.generate("The", length=60, strategy="certified", temperature=0.0, max_nfe=limit)[0] for limit in (None, 5)
    )
    assert 0 <= whole.certificate < 1
    assert cut.certificate is None


def test_beyond_the_context_it_goes_on_in_blocks_and_says_so(model):
    generated = model.generate("The", length=90, strategy="confidence", seed=2)[0]
    assert "exceed the trained context of 32" in generated.note
    assert generated.tokens <= 90  # an end-of-text token may end it earlier
    assert generated.nfe == 90


def test_a_prompt_longer_than_the_context_is_continued(model):
    prompt = "The quick brown fox jumps over the lazy dog. " * 8
    generated = model.generate(prompt, length=10, strategy="confidence")[0]
    assert generated.text.startswith(prompt)
    assert generated.nfe == 10


def test_prompts_are_plain_text(model):
    generated = model.generate("[MASK] <mask> ____", length=4, strategy="confidence")[0]
    assert generated.text.startswith("[MASK] <mask> ____")
    assert generated.nfe == 4


def test_the_same_seed_gives_the_same_text_alone_or_in_a_batch(model):
    alone = model.generate("The", length=12, seed=9)[0].text
    assert model.generate("The", length=12, seed=9, samples=4)[0].text == alone
    assert model.generate("The", length=12, seed=10)[0].text != alone


def test_fewer_steps_are_fewer_evaluations(model):
    generated = model.generate(length=24, steps=6, strategy="confidence")[0]
    assert generated.nfe == 6
    assert generated.tokens_per_forward == 4


def test_steps_are_spread_over_a_sliding_window(model):
    assert model.generate(length=90, steps=30, strategy="confidence")[0].nfe == pytest.approx(30, abs=2)


def test_events_come_as_they_happen(model):
    seen = []
    done = model.generate("The", length=8, on_event=seen.append)[0]
    streamed = list(model.stream(prompt="The", length=8))
    assert len(seen) == len(streamed) == 9
    assert done.strategy == "ancestral"
    assert model.generate("The", length=8, temperature=0.0)[0].strategy == "confidence"
    assert bool(seen[0].pending.any())
    assert not bool(seen[-1].pending.any())
    assert all((a.ids == b.ids).all() for a, b in zip(seen, streamed, strict=True))
    fill = list(model.stream("a [MASK:3] b"))
    assert [int(e.pending.sum()) for e in fill] == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length must be at least 1, not 0"),
        (
            {"length": 16, "steps": 2, "block_length": 4},
            "2 steps cannot fill 4 blocks of 4 tokens: use at least 4 steps",
        ),
        ({"steps": 0}, "steps must be at least 1"),
        ({"block_length": 0}, "block length must be at least 1"),
        ({"top_p": 2.0}, "top-p must lie in"),
        ({"strategy": "greedy"}, "there is no strategy 'greedy'"),
    ],
)
def test_what_cannot_be_generated_is_refused(model, options, message):
    with pytest.raises(UserError, match=message):
        model.generate(**options)


def test_a_text_ends_at_its_end_symbol_and_what_follows_costs_nothing(model, monkeypatch):
    network, eos = model.predictor.denoiser, model.tokenizer.vocabulary.eos
    plain = model.generate(length=80, samples=3, strategy="left-to-right", temperature=1.0)
    raised = torch.zeros(network.traits.vocab_rows).index_fill(0, torch.tensor([eos]), 4.0)
    head = network.head
    monkeypatch.setattr(network, "head", lambda hidden: head(hidden) + raised)
    ended = model.generate(length=80, samples=3, strategy="left-to-right", temperature=1.0)
    assert all(made.tokens < 80 for made in ended)
    assert all(made.nfe == made.tokens + 1 for made in ended), "one evaluation each, and one for the end"
    assert [made.nfe for made in plain] == [80, 80, 80]


def test_log_probabilities_are_over_the_tokens_that_are_not_banned(model):
    """The model's own distribution without the banned rows, normalized again."""
    prompt, vocabulary = model.tokenizer.encode("The quick"), model.tokenizer.vocabulary
    log_p = model.logits(torch.tensor([[*prompt, vocabulary.mask]]))[0, -1]
    log_p[list(vocabulary.unpredictable)] = -torch.inf
    banned = log_p.topk(3).indices
    log_p[banned] = -torch.inf
    found = model.decode([prompt], 1, strategy="confidence", banned_ids=banned.tolist())
    assert int(found.ids[0][-1]) == int(log_p.argmax())
    assert found.commit_logprob[0][-1].item() == pytest.approx(log_p.log_softmax(-1).max().item(), abs=1e-5)
