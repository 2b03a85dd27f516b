"""Proofreading: probabilities by their definition, places that can be cut out, and errors that are found."""

import math
from dataclasses import dataclass, replace

import pytest
import torch

from undiffuse.decode.evaluation import at_once
from undiffuse.errors import UserError
from undiffuse.language_model import LanguageModel
from undiffuse.language_model.reading import read
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.text.words import words

TEXT = "The quick brown fox jumps over the lazy dog.\nGröße, naïve — 漢字 and emoji 🙂 too."
SONG = "The quick brown fox jumps over the lazy dog."


def hidden(model, ids, places, at):
    """ln p at one position with some hidden, by the public logits."""
    vocabulary = model.tokenizer.vocabulary
    row = torch.tensor([ids])
    row[0, list(places)] = vocabulary.mask
    logits = model.logits(row)[0, at].double()
    logits[list(vocabulary.unpredictable)] = -math.inf
    return logits.log_softmax(-1)


def test_a_token_is_read_given_all_others_and_a_word_by_the_chain_rule(long_model):
    tokenizer = long_model.tokenizer
    ids = tokenizer.encode(TEXT)
    assert len(ids) <= long_model.context
    found = words([tokenizer.token_bytes(token) for token in ids], 32)
    assert {b - a for a, b in found} >= {1, 2}
    reading = at_once(read(long_model.trained, [(ids, found)], 3))[0]
    for begin, end in found:
        for place in range(begin, end):
            log_p = hidden(long_model, ids, range(place, end), place)
            assert reading.own[place].item() == pytest.approx(log_p[ids[place]].item(), abs=1e-4)
            assert reading.best[place].tolist() == pytest.approx(log_p.topk(3).values.tolist(), abs=1e-4)


def test_one_token_has_the_probability_that_fill_gives(long_model):
    """Fill excludes what is no text before it normalizes, so its numbers are higher by one common factor."""
    text = SONG.replace("over", "ovxr")
    found = long_model.check(text, threshold=0.0, proposals=4, top=8)
    finding = next(f for f in found.findings if f.tokens == 1 and f.text.startswith(" "))
    hole = long_model.fill(f"{text[: finding.start]}[MASK]{text[finding.end :]}", top=4)[0].holes[0]
    answers = {hole.text: hole.probability} | {a.text: a.probability for a in hole.alternatives}
    ratios = [answers[p.text] / p.probability for p in finding.proposals if p.text in answers]
    assert len(ratios) >= 3
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-4)
    assert ratios[0] >= 1


@pytest.mark.slow
def test_places_cut_the_words_out_of_the_text(model, byte_model, uniform):
    for each in (model, byte_model, uniform):
        for finding in each.check(TEXT, threshold=0.0, top=3).findings:
            assert TEXT[finding.start : finding.end] == finding.text
            assert TEXT.encode()[finding.byte_start : finding.byte_end].decode() == finding.text
            begin = finding.start + (finding.text[0] == " " and len(finding.text) > 1)
            before = TEXT[:begin].split("\n")
            assert (finding.line, finding.column) == (len(before), len(before[-1]) + 1)
            assert len(each.tokenizer.encode(finding.text)) >= 1


def test_findings_are_ranked_by_what_their_numbers_say(model, uniform):
    for each in (model, uniform):
        found = each.check(SONG, threshold=0.0, proposals=5, top=6)
        odds = [f.odds for f in found.findings]
        assert odds == sorted(odds, reverse=True)
        for f in found.findings:
            p = [proposal.probability for proposal in f.proposals]
            assert p == sorted(p, reverse=True)
            assert len({proposal.text for proposal in f.proposals} | {f.text}) == len(p) + 1
            assert f.odds == pytest.approx(math.log2(p[0] / f.probability), abs=1e-6)
            assert f.surprise == pytest.approx(-math.log2(f.probability), abs=1e-6)


@pytest.mark.slow
def test_threshold_and_top_leave_out_the_least(model):
    every = model.check(SONG, threshold=0.0).findings
    middle = every[len(every) // 2].odds
    some = model.check(SONG, threshold=middle).findings
    assert 0 < len(some) < len(every)
    assert set(some) <= {f for f in every if f.odds >= middle}
    assert [f for f in some if f.tokens == 1] == [f for f in every if f.odds >= middle and f.tokens == 1]
    assert 0 < len(model.check(SONG, threshold=0.0, top=2).findings) <= 2


@dataclass(frozen=True)
class Parrot(Denoiser):
    """Knows one text by heart, whatever it is shown: each of its tokens has the probability 0.9."""

    ids: tuple[int, ...]
    rows: int
    context: int = 128

    @property
    def traits(self):
        return Traits(self.rows, self.context, rules.full)

    def trunk(self, rows, kv=None):
        known = torch.tensor([*self.ids, *[self.ids[-1]] * self.context])
        return known[rows.tags.position][..., None].double()

    def head(self, hidden):
        logits = torch.full((*hidden.shape[:-1], self.rows), math.log(0.1 / (self.rows - 1)), dtype=torch.double)
        return logits.scatter(-1, hidden.long(), math.log(0.9))


def parrot(model: LanguageModel) -> LanguageModel:
    ids = tuple(model.tokenizer.encode(SONG))
    return replace(
        model,
        predictor=Predictor(Parrot(ids, model.tokenizer.vocabulary.rows), model.predictor.process, "leave_one_out"),
    )


@pytest.mark.parametrize(
    ("planted", "wrong", "right"),
    [
        ("The quick brown fox jumps over the lazy dig.", "dig", "dog"),
        ("The quick brown fox jumps over teh lazy dog.", "teh", "the"),
    ],
)
def test_a_planted_error_comes_first_and_its_place_is_refilled(byte_model, planted, wrong, right):
    """Tokens are bytes, so the word is a hole of three; its probability is that of three tokens and the length."""
    found = parrot(byte_model).check(planted)
    assert [f.text for f in found.findings] == [wrong]
    finding = found.findings[0]
    assert finding.proposals[0].text == right
    errors = sum(a != b for a, b in zip(wrong, right, strict=True))
    assert finding.odds == pytest.approx(errors * math.log2(0.9 / (0.1 / 259)), rel=0.02)
    assert planted[: finding.start] + right + planted[finding.end :] == SONG
    assert parrot(byte_model).check(SONG).findings == ()


def test_a_long_text_is_read_with_context_on_both_sides(model, uniform):
    """Every token of a long text has the numbers that it has with its neighborhood alone."""
    around = "The lazy dog jumps over the quick brown fox. " * 9
    for each in (model, uniform):
        context, tokenizer = each.context, each.tokenizer
        ids = tokenizer.encode(around)
        assert len(ids) > 3 * context
        spans = words([tokenizer.token_bytes(token) for token in ids], context // 4)
        whole = at_once(read(each.trained, [(ids, spans)], 2))[0]
        assert len(whole.own) == len(ids)
        far = ids[: len(ids) - 2 * context] + [ids[0]] * (2 * context)
        again = at_once(read(each.trained, [(far, spans)], 2))[0]
        same = len(ids) - 3 * context
        assert torch.allclose(whole.own[:same], again.own[:same], atol=1e-5)
        assert not torch.allclose(whole.own, again.own, atol=1e-2)


def test_uniform_noise_reads_its_leave_one_out_distribution_in_one_pass(uniform):
    ids = uniform.tokenizer.encode(SONG)[: uniform.context]
    log_p = uniform.logits(torch.tensor([ids]))[0].double()
    log_p[:, list(uniform.tokenizer.vocabulary.unpredictable)] = -math.inf
    log_p = log_p.log_softmax(-1)
    found = at_once(read(uniform.trained, [(ids, [(0, len(ids))])], 1))[0]
    assert found.own.tolist() == pytest.approx(log_p.gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist(), abs=1e-4)


def test_json_has_the_agreed_keys(model):
    record = model.check(TEXT, threshold=0.0, top=2).json()
    assert list(record) == ["findings", "words", "tokens", "surprise", "threshold", "model"]
    place = ["start", "end", "byte_start", "byte_end", "line", "column"]
    numbers = ["text", "tokens", "probability", "surprise", "odds", "proposals"]
    assert list(record["findings"][0]) == place + numbers
    assert list(record["findings"][0]["proposals"][0]) == ["text", "probability"]


def test_what_cannot_be_checked_is_refused(model):
    for options, message in (
        ({"text": ""}, "there is nothing to check"),
        ({"text": TEXT, "top": 0}, "top must be at least 1"),
        ({"text": TEXT, "proposals": 0}, "proposals must be at least 1"),
        ({"text": TEXT, "threshold": -1.0}, "threshold must be 0 bits or more"),
        ({"text": TEXT, "threshold": math.nan}, "threshold must be 0 bits or more"),
    ):
        with pytest.raises(UserError, match=message):
            model.check(**options)


def test_a_model_that_sees_one_side_is_refused(byte_model):
    class Blocks(Parrot):
        @property
        def traits(self):
            return replace(super().traits, rule=rules.block_diffusion, block_length=4)

    network = Blocks((1,), byte_model.tokenizer.vocabulary.rows)
    left = replace(byte_model, predictor=Predictor(network, byte_model.predictor.process, "leave_one_out"))
    with pytest.raises(UserError, match="cannot judge from both sides"):
        left.check(SONG)
