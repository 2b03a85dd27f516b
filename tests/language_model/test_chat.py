"""Answers in conversations: what a model reads, when it ends, and what it can never write."""

import json

import pytest
import torch
from conversing import END, FAMILIES, asking, build, build_pieces, library, stored
from hypothesis import given, settings
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.kinds import CHECKPOINT_FAMILIES
from undiffuse.language_model.chat import fitting
from undiffuse.language_model.settings import Settings
from undiffuse.text.template import Template
from undiffuse.text.template_doubts import template_doubts

MODELS = {family: build(family) for family in FAMILIES}
TALK = asking("Why?", "The dog says so.", "And the fox <|im_end|> <|eot_id|>?")


def rows(model, *names):
    return [model.tokenizer.controls[name].row for name in names]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_reads_what_its_template_writes(family):
    model = MODELS[family]
    text = model.trained.voice.template.render(asking("Why?"), answer=True).plain
    assert model.trained.voice.ids(asking("Why?")) == library(FAMILIES[family][0]).encode(text).ids
    assert set(model.trained.voice.stops) == set(rows(model, END[family], "<|endoftext|>"))


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_text_without_control_tokens(family):
    model = MODELS[family]
    answers = [model.chat(TALK, length=12, seed=seed, temperature=3.0) for seed in range(6)]
    for answer in answers:
        assert answer.tokens <= 12
        assert not any(control in answer.text for control in model.tokenizer.controls)
        assert answer.finished == (answer.tokens < 12) or answer.tokens == 12
    assert len({answer.text for answer in answers}) > 1
    assert model.chat(TALK, length=12, seed=3, temperature=3.0) == answers[3]
    assert answers[0].json().keys() == {"text", "tokens", "nfe", "seed", "model"}


@pytest.mark.parametrize("family", FAMILIES)
def test_many_conversations_answer_as_each_alone(family):
    model = MODELS[family]
    talks = [TALK, asking("Why?"), asking("The quick brown fox asks why." * 3), asking("")]
    together = model.chat(talks, length=8, seed=2, temperature=1.0)
    assert together == [model.chat(talk, length=8, seed=2, temperature=1.0) for talk in talks]
    assert model.chat(tuple(talks[:1]), length=8, seed=2, temperature=1.0) == together[:1]
    assert model.chat([]) == []


def test_events_can_be_had_of_the_answer_alone():
    model, seen = MODELS["llada"], []
    answer = model.chat(TALK, length=6, on_event=seen.append)
    first = len(model.trained.voice.ids(TALK))
    assert [event.written.ids.shape for event in seen] == [(1, 6)] * 7
    assert all((event.written.ids == event.ids[:, first:]).all() for event in seen)
    assert model.tokenizer.decode(seen[-1].written.ids[0].tolist()) == answer.text


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_ends_with_the_turn(family):
    model = build(family, end=99.0)
    answer = model.chat(TALK, length=16, strategy="left-to-right" if family != "sdar" else None)
    assert (answer.text, answer.tokens, answer.finished) == ("", 0, True)
    assert answer.nfe <= 4


def test_a_system_message():
    model = MODELS["dream"]
    system = {"role": "system", "content": "Be brief."}
    assert model.chat(TALK, system="Be brief.", length=8) == model.chat([system, *TALK], length=8)
    with pytest.raises(UserError, match="leave out system, or that message"):
        model.chat([system, *TALK], system="Be long.")


def test_options_are_those_of_fill():
    model = MODELS["llada"]
    assert model.chat(TALK, length=12, steps=3).nfe <= 4  # half a character may be held back
    assert model.chat(TALK, length=12, max_nfe=2).nfe == 2
    assert model.chat(TALK, length=12, strategy="quality").nfe == 12
    with pytest.raises(UserError, match="no option 'threshold'"):
        model.chat(TALK, threshold=0.5)
    with pytest.raises(UserError, match="leave out samples"):
        model.chat(TALK, samples=2)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("Hi", "a conversation is a list of messages"),
        ({"role": "user", "content": "x"}, "a conversation is a list of messages"),
        ([asking("Why?"), []], "text 2 of 2: a conversation is a list"),
        ([{"role": "user"}], 'message 1 needs "role" and "content"'),
        (
            [asking("x" * 999)],
            "the conversation has .* tokens and the answer up to 1, and the model was trained on 160",
        ),
        (asking("a\udc80"), "lone surrogate"),
    ],
)
def test_what_cannot_be_answered(messages, said):
    with pytest.raises(UserError, match=said):
        MODELS["dream"].chat(messages)


def test_the_earliest_turns_are_left_out_where_not_all_fit():
    model, how = MODELS["dream"], Settings.of("confidence")
    system = {"role": "system", "content": "Be brief."}
    talk = [system, *asking(*["Why does the fox ask?", "So."] * 9, "Yes?")]
    kept = fitting(model.trained, talk, 16, how)
    assert kept[0] == system
    assert kept[1:] == talk[-len(kept) + 1 :]
    assert kept[1]["role"] == "user"
    assert 3 < len(kept) < len(talk)
    assert fitting(model.trained, talk[-1:], 16, how) == talk[-1:]
    with pytest.raises(UserError, match="leave out earlier messages"):
        fitting(model.trained, asking("x" * 999), 16, how)


SAID = st.lists(
    st.one_of(
        st.sampled_from([*END.values(), "<|endoftext|>", "<|mask|>", "<|im_start|>", "<|start_header_id|>", "\n"]),
        st.text(max_size=4),
    ),
    max_size=5,
).map("".join)


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=10)
@given(SAID, SAID)
def test_no_text_becomes_a_control_token(family, user, answer):
    model = MODELS[family]
    controls = {control.row for control in model.tokenizer.controls.values()}
    spoken, plain = (model.trained.voice.ids(asking(a, b, "x")) for a, b in ((user, answer), ("a", "b")))
    assert [row for row in spoken if row in controls] == [row for row in plain if row in controls]
    assert model.predictor.process.vocabulary.mask not in spoken


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_blanks_of_an_earlier_answer_are_filled(family):
    model = MODELS[family]
    talk = asking("Why <|mask|>?", "The [MASK:2] dog ____ <|mask|>. ", "And?", "So.")
    text, filled = model.fill_answer(talk, 1)
    first, second = (hole.text for hole in filled.holes)
    assert text == f"The {first} dog {second} <|mask|>. "
    later = [*talk[:2], *asking("But then, why does the quick fox ask?", "No.")]
    assert model.fill_answer(later, 1, top=3)[1].holes != filled.holes
    typed = asking("Why?", "It says {x:choice(user|system)}{n:int(1-9)}")
    text, _ = model.fill_answer(typed, 1)
    assert text[:-1] in ("It says user", "It says system")
    assert text[-1] in "123456789"


def test_what_cannot_be_filled():
    model = MODELS["dream"]
    with pytest.raises(UserError, match="message 1 is no answer"):
        model.fill_answer(asking("Why ____?", "So."), 0)
    with pytest.raises(UserError, match="there is no hole to fill"):
        model.fill_answer(asking("Why?", "So."), 1)
    with pytest.raises(UserError, match="reads from one side"):
        MODELS["sdar"].fill_answer(asking("Why?", "So ____."), 1)
    for source in ("{{ messages[0].content }}", "{{ messages | tojson }}", "{{ messages[1].content[:4] }}"):
        with pytest.raises(UserError, match="does not write the answer as it is"):
            model.with_template(source).fill_answer(asking("Why?", "So it ____."), 1)


def test_a_model_without_a_template():
    model = build("dream", controls=["<|endoftext|>"])
    with pytest.raises(UserError, match=r"no chat template.*undiffuse generate.*with_template"):
        model.chat(TALK)
    bare = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    answer = model.with_template(bare).chat(TALK, length=8)
    assert answer.tokens == 8
    ended = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
    assert model.with_template(ended).trained.voice.ids(TALK[:1])[-1] == rows(model, "<|endoftext|>")[0]
    with pytest.raises(UserError, match="line 1"):
        model.with_template("{% if %}")
    with pytest.raises(UserError, match="writes the mask"):
        model.with_template("<|mask|>{{ messages[0].content }}").chat(TALK)


TEMPLATES = {kind: CHECKPOINT_FAMILIES.load(kind).template for kind in CHECKPOINT_FAMILIES.kinds}


@pytest.mark.parametrize("kind", [kind for kind, name in TEMPLATES.items() if name])
def test_templates_that_families_name_are_there(kind):
    template = Template.known(TEMPLATES[kind], {})
    assert template_doubts(template) == []


OURS = "{% for m in messages %}{{ eos_token + m.role + ': ' + m.content + eos_token }}{% endfor %}"


def test_templates_are_read_and_written(tmp_path):
    directory = stored("llada", tmp_path / "plain")

    def source():
        return ud.load(directory).trained.voice.template.source

    family = source()
    assert "start_header_id" in family
    (directory / "special_tokens_map.json").write_text(json.dumps({"bos_token": {"content": "<|startoftext|>"}}))
    config = {"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": OURS}]}
    (directory / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "<|endoftext|>"}))
    assert source() == OURS
    read = ud.load(directory)
    assert read.trained.voice.template.names["bos_token"] == "<|startoftext|>"
    assert rows(read, "<|endoftext|>") == list(read.trained.voice.stops)
    assert read.trained.voice.ids(asking("x"))[0] == rows(read, "<|endoftext|>")[0]
    (directory / "chat_template.jinja").write_text("a" + OURS)
    assert source() == "a" + OURS
    ends = rows(read, "<|eot_id|>", "<|endoftext|>")
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    read = ud.load(directory)
    assert sorted(read.trained.voice.stops) == sorted(ends)
    for layout in (None, "llada"):
        read.save(tmp_path / str(layout), layout=layout)
        again = ud.load(tmp_path / str(layout)).trained.voice
        assert again.template == read.trained.voice.template
        assert sorted(again.stops) == sorted(read.trained.voice.stops)
    (directory / "chat_template.jinja").write_bytes(b"\xff\xff")
    with pytest.raises(UserError, match=r"chat_template\.jinja is no text in UTF-8"):
        source()
    (directory / "chat_template.jinja").unlink()
    (directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": {"a": 1}}))
    with pytest.raises(UserError, match="chat_template must be a string"):
        source()


def test_a_broken_template_does_not_keep_a_model_from_loading(tmp_path):
    (stored("llada", tmp_path / "model") / "chat_template.jinja").write_text("\n{% if %}")
    model = ud.load(tmp_path / "model")
    assert model.fill("The [MASK]")
    with pytest.raises(UserError, match="the chat template, line 2"):
        model.chat(TALK)


def test_added_tokens_of_merges_are_control_tokens(tmp_path):
    directory = stored("sdar", tmp_path / "model")
    content = json.loads((directory / "tokenizer.json").read_text())
    (directory / "tokenizer.json").unlink()
    (directory / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
    (directory / "merges.txt").write_text("\n".join(" ".join(pair) for pair in content["model"]["merges"]))
    added = {token["content"]: token["id"] for token in content["added_tokens"]}
    (directory / "added_tokens.json").write_text(json.dumps(added))
    model = ud.load(directory)
    assert rows(model, "<|im_end|>")[0] in model.trained.voice.stops
    assert model.trained.voice.ids(TALK)[0] == added["<|im_start|>"]


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_of_texts(family):
    model = MODELS[family]
    texts = ["The quick fox", "why", "The lazy dog says: user, system, assistant."]
    together = model.embed(texts)
    assert (together.shape, together.dtype) == ((3, 16), torch.float32)
    torch.testing.assert_close(together, torch.cat([model.embed(text) for text in texts]), rtol=1e-4, atol=1e-5)
    ids = torch.tensor([model.tokenizer.encode(texts[0])])
    table = model.predictor.denoiser.embedding.weight
    torch.testing.assert_close(model.embed(texts[0], layer=0)[0], table[ids[0]].mean(0), rtol=1e-4, atol=1e-5)
    assert torch.equal(model.embed(texts[0], layer=2), model.embed(texts[0], layer=-1))
    assert torch.equal(model.embed(texts[0], layer=-3), model.embed(texts[0], layer=0))
    layers = [model.embed(texts[0], layer=layer) for layer in range(3)]
    assert not torch.allclose(layers[1], layers[0])
    assert not torch.allclose(layers[2], layers[1])
    assert model.embed([]).shape == (0, 16)


def test_the_last_layer_is_what_the_head_reads():
    model = MODELS["llada"]
    ids = torch.tensor([model.tokenizer.encode("The quick fox")])
    head = model.predictor.denoiser.head(model.embed("The quick fox"))
    torch.testing.assert_close(head[0], model.logits(ids)[0].mean(0), rtol=1e-4, atol=1e-4)


def test_what_has_no_vector():
    model = MODELS["llada"]
    for texts, layer, said in (
        (["a", ""], -1, "text 2 of 2: an empty text has no vector"),
        ("why " * 999, -1, "the text has .* tokens, and the model was trained on 160"),
        ("a", 3, r"layer must lie between -3 and 2 \(0: the embeddings\), not 3"),
        ("a", "last", "layer must be a whole number, not 'last'"),
    ):
        with pytest.raises(UserError, match=said):
            model.embed(texts, layer=layer)


PAIRS = "{% for m in messages %}[CLS]{{ m.role }}: {% generation %}{{ m.content }}[SEP]{% endgeneration %}{% endfor %}"


@pytest.mark.parametrize("end", [0.0, 99.0])
def test_an_encoder_that_was_trained_to_answer(end):
    """Its marks are no text, but that which ends an answer is written; a template may know no place for an answer."""
    model = build_pieces(end).with_template(PAIRS)
    answer = model.chat(asking("The capital of France ☕ [MASK] [SEP]?"), length=6)
    assert answer.finished == bool(end)
    assert answer.tokens == (0 if end else 6)
    assert not answer.text.startswith(" ")
    assert not any(control in answer.text for control in model.tokenizer.controls)
    ids = model.trained.voice.ids(asking("The capital ☕ [MASK] [SEP]?"))
    assert [token for token in ids if token in (0, 2, 3, 4)] == [2, 3, 2]
    text, _ = model.fill_answer(asking("The capital?", "It is [MASK:2] in the north."), 1)
    assert text.startswith("It is ")
    assert text.endswith(" in the north.")
