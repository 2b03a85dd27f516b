"""Conversations as tokens: those that the model answers in, its answers and their ends learned, and nothing else."""

import pytest
from conversing import END, FAMILIES, asking, build

from undiffuse.data.corpus import Document, Turn
from undiffuse.data.speech import Plain, Templated
from undiffuse.errors import UserError
from undiffuse.text.template import Template
from undiffuse.text.tokenizer import Tokenizer


def conversation(*texts, weights=()):
    said = asking(*texts)
    given = dict(zip(range(1, len(texts), 2), weights, strict=False))
    return Document.conversation(
        tuple(Turn(each["role"], each["content"], given.get(n, 1.0)) for n, each in enumerate(said))
    )


@pytest.mark.parametrize("family", list(FAMILIES))
def test_what_is_learned_is_the_answer_in_the_tokens_that_a_model_answers_in(family):
    model = build(family)
    voice = model.trained.voice
    speech = Templated(model.tokenizer, voice.template)
    told = speech.told(conversation("What is 1 + 2?", "It is 3.", "And <|im_end|> then?", "Größe 🙂 <|im_start|>"))
    end = model.tokenizer.controls[END[family]].row
    for number, (before, answer) in enumerate(((1, "It is 3."), (3, "Größe 🙂 <|im_start|>"))):
        asked = voice.ids(asking("What is 1 + 2?", "It is 3.", "And <|im_end|> then?", "x")[:before])
        learned = [place for place, its in enumerate(told.answer) if its == number]
        assert learned == list(range(learned[0], learned[-1] + 1))
        assert told.ids[: learned[0]] == asked
        ids = [told.ids[place] for place in learned]
        assert ids[-1] == end
        assert model.tokenizer.decode(ids[:-1]) == answer
        assert all(told.weight[place] == 1 for place in learned)
    assert all(weight == (its >= 0) for weight, its in zip(told.weight, told.answer, strict=True))
    assert told.answer[-1] == 1  # nothing follows the last answer


def test_weights_of_messages():
    model = build("dream")
    speech = Templated(model.tokenizer, model.trained.voice.template)
    told = speech.told(conversation("a", "b", "c", "d", weights=(0.0, 0.5)))
    assert set(told.weight) == {0.0, 0.5}
    assert max(told.answer) == 0  # an answer without weight is only read
    whole = speech.told(conversation("a", "b", "c", "d"))
    assert whole.ids == told.ids


def test_a_prompt_is_a_message_where_there_is_a_template_and_stands_before_its_response_where_there_is_none():
    model = build("dream")
    pair = Document("It is 3.", "What is 1 + 2?")
    templated = Templated(model.tokenizer, model.trained.voice.template).told(pair)
    assert templated == Templated(model.tokenizer, model.trained.voice.template).told(
        conversation("What is 1 + 2?", "It is 3.")
    )
    tokenizer = Tokenizer.byte_level()
    plain = Plain(tokenizer).told(pair)
    assert plain.ids == [*b"What is 1 + 2?", *b"It is 3.", tokenizer.vocabulary.eos]
    assert plain.weight == [0.0] * 14 + [1.0] * 9


def test_a_template_without_control_tokens_ends_with_the_end_of_text():
    tokenizer = Tokenizer.byte_level()
    lines = Template("{% for m in messages %}{{ m.role[0] }}: {{ m.content }}\n{% endfor %}")
    told = Templated(tokenizer, lines).told(conversation("a", "b", "c", "d"))
    assert told.ids == [*b"u: a\na: b\nu: c\na: d", tokenizer.vocabulary.eos]
    assert [told.answer[place] for place in (8, 18, 19)] == [0, 1, 1]
    assert sum(its >= 0 for its in told.answer) == 3


def test_what_cannot_be_said_is_refused():
    tokenizer = Tokenizer.byte_level()
    with pytest.raises(UserError, match="no chat template to write them in"):
        Plain(tokenizer).told(conversation("a", "b"))
    silent = Template("{% for m in messages %}{{ m.role }}{% endfor %}")
    with pytest.raises(UserError, match=r"does not write every answer.*1 answers, 0 of them found"):
        Templated(tokenizer, silent).told(conversation("a", "b"))
