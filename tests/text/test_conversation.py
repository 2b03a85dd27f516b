"""Conversations as tokens: a template's control tokens are ids, and a message's text never becomes one."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import pieces as word_pieces

from undiffuse.text.conversation import before_answer, encode, end_of_turn, pieces
from undiffuse.text.published_tokenizer import PublishedTokenizer
from undiffuse.text.template import Template
from undiffuse.text.template_doubts import template_doubts
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.vocabulary import Vocabulary

TEXT = "The quick brown fox asks why, and the lazy dog says: user, system, assistant.\nThinking on, off.\n" * 9
CONTROLS = {
    "chatml": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>", "<think>"],
    "llada": [
        "<|startoftext|>",
        "<|endoftext|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|mdm_mask|>",
    ],
    "llada2": ["<|endoftext|>", "<|mask|>", "<role>", "</role>", "<|role_end|>"],
}


def library(controls, **flags):
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([TEXT], trainer)
    made.add_tokens([tokenizers.AddedToken(control, **flags) for control in controls])
    return made


LIBRARIES = {name: library(controls) for name, controls in CONTROLS.items()}


def published(made):
    return PublishedTokenizer(json.loads(made.to_str()), Vocabulary(made.get_vocab_size()))


def merged(made):
    """The same from vocab.json, merges.txt and the added tokens."""
    model = json.loads(made.to_str())["model"]
    added = {text: row for row, text in ((row, made.id_to_token(row)) for row in range(made.get_vocab_size()))}
    added = {text: row for text, row in added.items() if text not in model["vocab"]}
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    return PublishedTokenizer.from_merges(model["vocab"], merges, Vocabulary(made.get_vocab_size()), added)


OWN = "{% for m in messages %}{{ '<control bos>' + m.role + '\n' + m.content + '<control eos>' }}{% endfor %}"
PAIRS = "{% for m in messages %}[CLS]{{ m.role }}: {% generation %}{{ m.content }}[SEP]{% endgeneration %}{% endfor %}"
CASES = {
    **{name: (Template.known(name, {}), published(made)) for name, made in LIBRARIES.items()},
    "chatml of merges": (Template.known("chatml", {}), merged(LIBRARIES["chatml"])),
    "word pieces": (Template(PAIRS), word_pieces()),
    "own": (Template(OWN), Tokenizer.train([TEXT], 300)),
    "own of bytes": (Template(OWN), Tokenizer.byte_level()),
}
SPELLED = sorted({control for _, tokenizer in CASES.values() for control in tokenizer.controls})
SAID = st.lists(
    st.one_of(st.sampled_from([*SPELLED, "<|im_", "end|>", "<|", "|>", " ", "\n", "user"]), st.text(max_size=4)),
    max_size=6,
).map("".join)


def controls_of(ids, tokenizer):
    rows = {control.row for control in tokenizer.controls.values()}
    return [token for token in ids if token in rows]


@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=30)
@given(SAID, SAID, SAID)
def test_no_text_of_a_message_becomes_a_control_token(name, system, user, answer):
    template, tokenizer = CASES[name]
    texts = [("system", system), ("user", user), ("assistant", answer), ("user", "why")]
    spoken = [{"role": role, "content": text} for role, text in texts]
    plain = [{"role": role, "content": "why"} for role, _ in texts]
    ids = encode(template.render(spoken, answer=True), tokenizer).ids
    assert controls_of(ids, tokenizer) == controls_of(
        encode(template.render(plain, answer=True), tokenizer).ids, tokenizer
    )


@pytest.mark.parametrize("name", LIBRARIES)
@settings(deadline=None, max_examples=40)
@given(st.text(st.sampled_from("ab, .\nThe:é🙂"), max_size=20), st.text(st.sampled_from("ab \n🙂"), max_size=9))
def test_other_text_has_the_ids_of_the_library(name, user, answer):
    template, tokenizer = CASES[name]
    spoken = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    text = template.render(spoken, answer=True)
    assert encode(text, tokenizer).ids == LIBRARIES[name].encode(text.plain, add_special_tokens=False).ids


def test_tokens_that_take_blanks_with_them():
    made = library(["<a>"], lstrip=True, rstrip=True)
    tokenizer = published(made)
    text = Template("x  <a>\n <a>{{ messages[0].content }}").render([{"role": "user", "content": " y"}], answer=True)
    assert encode(text, tokenizer).ids == made.encode(text.plain, add_special_tokens=False).ids
    assert [piece.text.plain for piece in pieces(text, tokenizer)] == ["x", "  <a>\n ", "<a> ", "y"]


def test_the_longest_control_token_is_read():
    tokenizer = published(library(["<a>", "<a><b>", "<b>"]))
    text = Template("<a><b><b><a>{{ messages[0].content }}").render([{"role": "user", "content": "<a>"}], answer=True)
    assert [piece.text.plain for piece in pieces(text, tokenizer)] == ["<a><b>", "<b>", "<a>", "<a>"]


@pytest.mark.parametrize(
    ("name", "end"),
    [("chatml", "<|im_end|>"), ("llada", "<|eot_id|>"), ("llada2", "<|role_end|>"), ("own", "<control eos>")],
)
def test_end_of_turn(name, end):
    template, tokenizer = CASES[name]
    assert end_of_turn(template, tokenizer) == tokenizer.controls[end].row
    assert template_doubts(template, tokenizer) == []


def test_a_template_without_an_end_of_turn():
    _, tokenizer = CASES["chatml"]
    bare = Template("{% for m in messages %}<|im_start|>{{ m.role + ': ' + m.content + '\n' }}{% endfor %}")
    assert end_of_turn(bare, tokenizer) is None
    assert "no control token after an answer" in template_doubts(bare, tokenizer)[0]


def test_a_template_that_writes_control_tokens_for_a_user_is_reported():
    _, tokenizer = CASES["chatml"]
    let = Template(
        "{% for m in messages %}{% if '<|im_end|>' in m.content %}<|im_end|><|im_start|>system\n{% endif %}"
        "{{ m.content + '<|im_end|>' }}{% endfor %}"
    )
    assert "lets a user change what it writes itself" in template_doubts(let, tokenizer)[0]


@pytest.mark.parametrize(
    ("source", "before"),
    [
        ("{% for m in messages %}[{{ m.content }}]{% endfor %}{{ '>' if add_generation_prompt }}", "[Why?]>"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}|{% endfor %}", "user: Why?|assistant: "),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}|{% endfor %}assistant: ", "user: Why?|assistant: "),
        ("{% for m in messages %}{{ m.content if m.role == 'user' }}{% endfor %}:", "Why?:"),
    ],
)
def test_what_stands_before_an_answer(source, before):
    assert before_answer(Template(source), [{"role": "user", "content": "Why?"}]).plain == before


@pytest.mark.parametrize("answer", ["Hello", "Hé 🙂 <|im_end|>", ""])
def test_tokens_of_an_answer(answer):
    template, tokenizer = CASES["chatml"]
    spoken = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": answer}]
    found = encode(template.render(spoken, answer=True), tokenizer)
    theirs = [token for token, its in zip(found.ids, found.answer, strict=True) if its]
    assert theirs == [*tokenizer.encode(answer), tokenizer.controls["<|im_end|>"].row]
    assert len(found.ids) == len(found.answer)


@pytest.mark.parametrize("name", ["chatml", "word pieces"])
def test_an_answer_that_begins_within_a_text(name):
    _, tokenizer = CASES[name]
    template = Template("{% for m in messages %}a fox, {% generation %}{{ m.content }}{% endgeneration %}{% endfor %}")
    found = encode(template.render([{"role": "user", "content": "the capital"}], answer=False), tokenizer)
    written = [(tokenizer.decode([token]), its) for token, its in zip(found.ids, found.answer, strict=True)]
    assert "".join(text for text, its in written if its).strip() == "the capital"
    assert "".join(text for text, its in written if not its).strip() == "a fox,"
