"""The verbs on text with a masked language model: its marks around every text, its tokenizer, its answers."""

import json
import math
import shutil
from functools import cache
from pathlib import Path

import pytest
import tokenizers
import torch
from pieces import TEXT, content
from recorded import ROOT
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model import LanguageModel

CLS, SEP, MASK = 2, 3, 4


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """The recorded networks, BERT with a WordPiece and RoBERTa with a byte-level BPE."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=95, special_tokens=special, show_progress=False))
    made.add_special_tokens(["<mask>"])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    found = {}
    for family, tokenizer in (("bert", content()), ("roberta", json.loads(made.to_str()))):
        found[family] = directory = tmp_path_factory.mktemp("encoders") / family
        shutil.copytree(ROOT / family / "checkpoint", directory)
        (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    return found


@cache
def loaded(directory: Path) -> LanguageModel:
    return ud.load(directory)


@pytest.fixture
def bert(directories):
    return loaded(directories["bert"])


@pytest.fixture
def roberta(directories):
    return loaded(directories["roberta"])


def probabilities(model: LanguageModel, ids: list[int], at: int) -> torch.Tensor:
    """What the network expects at a position, by its logits over ids that are taken as they are."""
    found = model.logits(torch.tensor([ids]))[0, at].double()
    found[list(model.tokenizer.vocabulary.unpredictable)] = -math.inf
    return found.softmax(-1)


def test_marks_are_never_predicted(bert, roberta):
    assert bert.tokenizer.vocabulary.unpredictable == (0, 1, CLS, SEP, MASK)
    assert roberta.tokenizer.vocabulary.unpredictable == (0, 1, 2, 3, 95)
    assert (roberta.predictor.process.mask, roberta.tokenizer.vocabulary.eos) == (95, None)
    assert (bert.tokenizer.kind, bert.tokenizer.spaced, roberta.tokenizer.spaced) == ("wordpiece", True, False)


def test_a_blank_is_filled_between_the_marks(bert):
    encode = bert.tokenizer.encode
    ids = [CLS, *encode("The Capital of"), MASK, *encode("is no Fox ."), SEP]
    p = probabilities(bert, ids, 4)
    words = [row for row, token in enumerate(bert.tokenizer.tokens) if token.startswith(b" ")]
    best = max(words, key=lambda row: float(p[row]))
    (filled,) = bert.fill("The Capital of [MASK] is no Fox .")
    assert filled.text == f"The Capital of{bert.tokenizer.decode([best])} is no Fox ."
    assert filled.holes[0].probability == pytest.approx(float(p[best] / p[words].sum()), rel=1e-5)


def test_fixed_text_comes_back_byte_for_byte(bert, roberta):
    before, after = "ÜBER  the\tFox ", " isn't ☕ PARIS.\r\n"
    for model in (bert, roberta):
        text = before + "[MASK]" + after
        if model is roberta:
            text = text.translate({ord(c): "x" for c in text if ord(c) > 127})
        (filled,) = model.fill(text, samples=1)
        head, _, tail = text.partition("[MASK]")
        assert filled.text == head + filled.holes[0].text + tail


def test_a_score_is_of_the_text_between_the_marks(bert):
    (token,) = bert.tokenizer.encode("Paris")
    p = probabilities(bert, [CLS, MASK, SEP], 1)[token]
    assert bert.score("PARIS", draws=2).nats_per_token[0] == pytest.approx(-math.log(p), abs=1e-5)
    prompt = bert.tokenizer.encode("the capital is")
    given = probabilities(bert, [CLS, *prompt, MASK, SEP], len(prompt) + 1)[token]
    assert bert.score("Paris", prompts="The Capital is", draws=2).nats_per_token[0] == pytest.approx(
        -math.log(given), abs=1e-5
    )


def test_windows_of_a_long_text_each_have_their_marks(bert):
    ids = bert.tokenizer.encode("fox " * 70)
    found = bert.score("fox " * 70, draws=2, per_token=True)
    assert (len(found.per_token), found.bytes) == (len(ids), 280)
    assert len(ids) == 70 > bert.context
    with pytest.raises(UserError, match="trained on 62"):
        bert.score("fox", prompts="fox " * 62)


def test_proofreading_reads_between_the_marks(bert):
    text = "The Capital of  France\nis Oslo."
    found = bert.check(text, threshold=0.0, top=9, proposals=100)
    oslo = next(finding for finding in found.findings if finding.text == " Oslo")
    encode = bert.tokenizer.encode
    p = probabilities(bert, [CLS, *encode("the capital of france is"), MASK, *encode("."), SEP], 6)
    assert oslo.tokens == 1
    assert oslo.probability == pytest.approx(float(p[encode("oslo")[0]]), rel=1e-4)
    assert oslo.proposals[0].probability == pytest.approx(float(p.max()), rel=1e-4)
    for finding in found.findings:
        assert text[finding.start : finding.end] == finding.text
        assert text.encode()[finding.byte_start : finding.byte_end].decode() == finding.text
        own = bert.tokenizer.encode(finding.text)
        assert all(bert.tokenizer.context(proposal.text) != own for proposal in finding.proposals)
        spaced = finding.text.startswith(" ")
        assert spaced or not any(proposal.text.startswith(" ") for proposal in finding.proposals)


def test_marks_say_nothing_of_the_length_of_a_blank_before_them(bert):
    (filled,) = bert.fill("A fox [MASK:1-3]")
    prior = torch.tensor([0.7, 0.49, 0.343])
    shares = torch.tensor([length.probability for length in filled.holes[0].lengths])
    torch.testing.assert_close(shares, prior / prior.sum())


def test_text_is_written_between_the_marks(bert):
    seen = []
    trunk = bert.predictor.denoiser.trunk
    bert.predictor.denoiser.trunk = lambda rows, kv=None: (seen.append(rows.state.ids), trunk(rows, kv))[1]
    try:
        (written,) = bert.generate("The Fox", length=5, seed=3)
        (alone,) = bert.generate(length=5, seed=3)
    finally:
        del bert.predictor.denoiser.trunk
    prompt = bert.tokenizer.encode("the fox")
    assert seen[0].tolist() == [[CLS, *prompt, *[MASK] * 5, SEP]]
    assert all((ids[:, 0] == CLS).all() and (ids[:, -1] == SEP).all() for ids in seen)
    assert written.text.startswith("The Fox")
    assert written.tokens == alone.tokens == 5
    assert not alone.text.startswith(" ")


def test_text_beyond_the_context_is_written_in_parts(bert):
    (written,) = bert.generate("The Fox", length=90, seed=1)
    assert written.tokens == 90
    assert "trained context" in written.note


def test_a_vector_of_a_text_has_its_marks(bert):
    one, same, other = bert.embed(["The FOX", "the fox", "the dog"])
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 0.01


def test_what_a_tokenizer_has_no_token_for(bert):
    assert bert.fill("a ☕ [MASK] no")[0].text.startswith("a ☕ ")
    for use in (bert.score, bert.check):
        with pytest.raises(UserError, match="no token for '☕'"):
            use("a ☕ no")


def test_a_run_keeps_the_tokenizer_and_its_marks(bert, tmp_path):
    bert.save(tmp_path / "again")
    again = ud.load(tmp_path / "again")
    assert again.tokenizer.digest == bert.tokenizer.digest
    assert again.fill("The [MASK] fox") == [
        filled.__class__(**{**vars(filled), "model": again.name}) for filled in bert.fill("The [MASK] fox")
    ]


def test_marks_outside_the_table(directories, tmp_path):
    shutil.copytree(directories["bert"], tmp_path / "x")
    made = json.loads(json.dumps(content()))
    made["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [999]
    (tmp_path / "x" / "tokenizer.json").write_text(json.dumps(made))
    with pytest.raises(UserError, match=r"tokenizer\.json has id 999, which lies outside the table of 256 rows"):
        ud.load(tmp_path / "x")


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_directories_from_before_tokenizer_json(family, directories, tmp_path):
    """`vocab.txt`, or `vocab.json` and `merges.txt`: the same model with the same tokenizer."""
    place = shutil.copytree(directories[family], tmp_path / family)
    known = json.loads((place / "tokenizer.json").read_text())["model"]
    (place / "tokenizer.json").unlink()
    if family == "bert":
        (place / "vocab.txt").write_text("\n".join(sorted(known["vocab"], key=known["vocab"].get)) + "\n")
    else:
        (place / "vocab.json").write_text(json.dumps(known["vocab"] | {"<mask>": len(known["vocab"])}))
        (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in known["merges"]))
    again, before = ud.load(place), loaded(directories[family])
    text = "The capital of [MASK] is Paris."
    assert again.tokenizer.vocabulary == before.tokenizer.vocabulary
    assert again.tokenizer.surroundings == before.tokenizer.surroundings
    assert again.fill(text)[0].text == before.fill(text)[0].text
    again.save(tmp_path / "saved")
    assert ud.load(tmp_path / "saved").tokenizer.encode("a fox") == before.tokenizer.encode("a fox")
