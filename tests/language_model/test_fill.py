"""Filling blanks: exact text, valid characters, and probabilities that mean what they say."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from undiffuse.errors import UserError
from undiffuse.text.utf8 import HoleText
from undiffuse.types import State, Tags

PIECES = st.text(st.sampled_from(" aThe\n\t漢ö🙂[]\\_.:5-MASK"), max_size=8).map(
    lambda s: s.replace("____", "_").replace("[MASK", "MASK")
)


@pytest.mark.slow
@settings(max_examples=25)
@given(left=PIECES, middle=PIECES, right=PIECES)
def test_fixed_text_comes_back_bit_for_bit(long_model, byte_model, left, middle, right):
    left, middle, right = (piece.rstrip("\\") for piece in (left, middle, right))
    for each, blank in ((long_model, "[MASK:2]"), (byte_model, "[MASK:3]")):
        filled = each.fill(f"{left}{blank}{middle}{blank}{right}", top=1)[0]
        first, second = (hole.text for hole in filled.holes)
        assert filled.text == left + first + middle + second + right


def test_probability_is_the_chain_in_the_order_of_commitment(model):
    """Recomputed by hand: two tokens, the more confident first, the other given it."""
    filled = model.fill("The quick[MASK:2] jumps", top=1)[0]
    tokens = model.tokenizer
    left, right = tokens.encode("The quick"), tokens.encode(" jumps")
    ids = torch.tensor([left + [tokens.vocabulary.mask] * 2 + right])
    places = [len(left), len(left) + 1]
    probability, text, held = 1.0, HoleText(tokens.tokens), [None, None]
    while places:
        allowed = [torch.tensor(text.allowed(held, i))[list(text.of_token)] for i in range(2)]
        p = _distribution(model, ids)
        for i, mask in enumerate(allowed):
            p[len(left) + i] *= mask / (p[len(left) + i] * mask).sum()
        place = max(places, key=lambda i: p[i].max())
        probability *= p[place].max().item()
        ids[0, place] = held[place - len(left)] = int(p[place].argmax())
        places.remove(place)
    assert filled.holes[0].text == tokens.decode(ids[0, len(left) : len(left) + 2].tolist())
    assert filled.holes[0].probability == pytest.approx(probability, rel=1e-4)


def test_alternatives_of_one_token_are_the_next_best_of_the_distribution(model):
    hole = model.fill("The quick[MASK] fox", top=4)[0].holes[0]
    tokens = model.tokenizer
    left = tokens.encode("The quick")
    ids = torch.tensor([[*left, tokens.vocabulary.mask, *tokens.encode(" fox")]])
    whole = torch.tensor([_is_text(data) for data in tokens.tokens])
    p = _distribution(model, ids)[len(left)] * whole
    p = p / p.sum()
    values, best = p.topk(4)
    answers = [(hole.text, hole.probability), *((a.text, a.probability) for a in hole.alternatives)]
    assert [text for text, _ in answers] == [tokens.decode([token]) for token in best.tolist()]
    assert [value for _, value in answers] == pytest.approx(values.tolist(), rel=1e-4)


def test_answers_of_a_hole_are_distinct_and_sorted(model, uniform):
    for each in (model, uniform):
        strategy = "confidence" if each is model else "ancestral"
        for filled in each.fill("The [MASK:2] of [MASK]", strategy=strategy, top=5, samples=2):
            for hole in filled.holes:
                texts = [hole.text, *(a.text for a in hole.alternatives)]
                assert len(set(texts)) == len(texts)
                values = [a.probability for a in hole.alternatives]
                assert values == sorted(values, reverse=True)
                assert all(0 < value <= 1 for value in (hole.probability, *values))


def test_a_long_text_is_seen_around_its_holes(model):
    """Text farther away than the context changes nothing, and comes back bit for bit."""
    near = "The quick brown fox jumps over the lazy dog. " * 4
    first, second = (
        model.fill(f"{far} {near}[MASK:2]{near} {far}")[0] for far in ("Größe 漢字 " * 9, "🙂 naïve — " * 9)
    )
    assert first.holes == second.holes
    assert second.text.startswith("🙂 naïve — ")
    assert second.text.endswith("🙂 naïve — ")
    with pytest.raises(UserError, match="the holes and the text between them take"):
        model.fill(f"[MASK] {near} [MASK]")


def test_a_word_takes_the_space_before_it(model):
    """The space belongs to the token that fills the hole; what is shown has none, and the text has one."""
    filled = model.fill("The [MASK] fox")[0]
    assert filled.text == f"The {filled.holes[0].text} fox"


@pytest.mark.slow
def test_every_strategy_fills_with_whole_characters(byte_model, strategies_of):
    for kind in strategies_of(byte_model):
        heat = 0.0 if kind == "certified" else 1.0
        filled = byte_model.fill("né [MASK:6] é", strategy=kind, temperature=heat, samples=3)
        assert all(f.text.startswith("né ") and f.text.endswith(" é") for f in filled)


def test_the_length_is_the_most_probable_one_given_what_follows(model):
    """By the definition: a geometric prior, and the next four tokens read one by one with the hole still open."""
    tokens = model.tokenizer
    left, right = tokens.encode("The quick"), tokens.encode(" dog. Größe, naïve")
    mask, scores = tokens.vocabulary.mask, {}
    for size in range(1, 6):
        score = size * math.log(0.7)
        for k in range(4):
            ids = torch.tensor([left + [mask] * size + right[:k] + [mask] * (4 - k) + right[4:]])
            score += _distribution(model, ids)[len(left) + size + k, right[k]].log().item()
        scores[size] = score
    best = max(scores, key=scores.__getitem__)
    filled = model.fill("The quick[MASK:1-5] dog. Größe, naïve", top=1)[0]
    assert filled.nfe == best
    assert len(set(scores.values())) == 5


def test_without_text_after_it_a_hole_is_as_short_as_it_may_be(model, uniform):
    assert model.fill("The quick[MASK:2-5]", top=1)[0].nfe == 2
    two = uniform.fill("The quick[MASK:2-5]", strategy="ancestral", top=1)[0]
    assert two.tokens_per_forward * two.nfe == 2


def test_a_length_is_chosen_for_each_hole(model):
    """Up to the next hole only: its tokens are not known yet."""
    filled = model.fill("The[MASK:1-3] fox[MASK:1-3] the lazy dog", top=1)[0]
    assert 2 <= filled.nfe <= 6
    assert filled.text.startswith("The")
    assert filled.text.endswith(" the lazy dog")


def test_a_sample_does_not_depend_on_how_many_are_drawn(model):
    one, three = (model.fill("A [MASK:4].", temperature=1.0, samples=n, seed=5) for n in (1, 3))
    assert one[0].text == three[0].text
    assert len({filled.text for filled in three}) > 1


def test_json_has_the_agreed_keys(model):
    record = model.fill("A [MASK].")[0].json()
    assert list(record) == ["text", "holes", "nfe", "tokens_per_forward", "seed", "strategy", "model"]
    assert list(record["holes"][0]) == ["index", "text", "probability", "alternatives", "name", "lengths", "kind"]
    assert list(record["holes"][0]["alternatives"][0]) == ["text", "probability"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("no hole", {}, "there is no hole"),
        ("a [MASK:40]", {}, r"take 40 tokens and the model was trained on 32"),
        ("a [MASK:999999999]", {}, r"take 999999999 tokens and the model was trained on 32"),
        ("a [MASK:1-999999999] b", {}, r"take 999999999 tokens and the model was trained on 32"),
        ("a [MASK:3] b [MASK:3]", {"steps": 2, "block_length": 1}, "2 steps cannot fill 6 blocks of 1 tokens"),
        ("a [MASK]", {"strategy": "confidense"}, "did you mean 'confidence'"),
        ("a [MASK]", {"strategy": "ancestral", "temperature": 0.0}, "use temperature 0.1"),
        ("a [MASK]", {"temperature": -2.0}, "temperature must be 0 or more"),
        ("a [MASK]", {"samples": 0}, "samples must be at least 1"),
        ("a [MASK]", {"treshold": 0.5}, "did you mean 'threshold'|has no option 'treshold'"),
    ],
)
def test_what_cannot_be_filled_is_refused(model, text, options, message):
    with pytest.raises(UserError, match=message):
        model.fill(text, **options)


def test_uniform_noise_is_filled_by_its_own_chain(uniform):
    with pytest.raises(UserError, match="use strategy 'ancestral'"):
        uniform.fill("a [MASK]", strategy="confidence")
    filled = uniform.fill("The [MASK:3] dog", steps=5, top=3)[0]
    assert filled.strategy == "ancestral"
    assert filled.text.startswith("The ")
    assert filled.nfe in (5, 6), "and one where the bytes are no text yet"
    assert filled.text == uniform.fill("The [MASK:3] dog", steps=5, temperature=0.1)[0].text
    assert filled.text != uniform.fill("The [MASK:3] dog", steps=5, temperature=1.0)[0].text


def _distribution(model, ids):
    """Softmax of the logits over predictable rows at every position."""
    yes = torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(ids.shape[1])[None]
    rows = model.predictor.rows(State(ids), torch.zeros(ids.shape), Tags(positions, live=yes), yes)
    hidden = model.predictor.run(rows)
    logits = model.predictor.denoiser.head(hidden)[0]
    logits[:, list(model.tokenizer.vocabulary.unpredictable)] = -torch.inf
    return logits.softmax(-1)


def _is_text(data: bytes) -> bool:
    try:
        return bool(data.decode())
    except UnicodeDecodeError:
        return False


def test_a_byte_level_model_says_what_one_token_is(model, byte_model):
    """The advice goes with the answer, not into the JSON that programs read."""
    filled = byte_model.fill("a [MASK] b", top=1)[0]
    assert "single bytes" in filled.note
    assert "[MASK:3-8]" in filled.note
    assert "note" not in filled.json()
    assert byte_model.fill("a [MASK:3-8] b", top=1)[0].note == ""
    assert model.fill("a [MASK] b", top=1)[0].note == ""


def test_a_stream_draws_as_a_fill_does(uniform):
    """Under noise that shows tokens the default is 0.1, not the strategy's own 1."""
    text = "The [MASK:3] dog"
    *_, last = uniform.stream(text, steps=5)
    filled = uniform.fill(text, steps=5, top=1)[0]
    ids = last.ids[0][last.editable[0]].tolist()
    assert uniform.tokenizer.decode(ids).removeprefix(" ") == filled.holes[0].text
