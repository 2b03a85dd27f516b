"""Records in the shapes that data sets have, and what is wrong with those that are none."""

import json

import pytest

from undiffuse.data.corpus import Document, Turn
from undiffuse.data.readers import read
from undiffuse.errors import UserError

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi.", "weight": 0},
    {"role": "user", "content": [{"type": "text", "text": "How are"}, {"type": "text", "text": " you?"}]},
    {"role": "assistant", "content": "Well.", "weight": 0.5},
]


def documents(tmp_path, *records):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read([path], minimum_bytes=1).documents


def test_conversations_of_several_turns(tmp_path):
    (document,) = documents(tmp_path, {"messages": TALK, "id": 7})
    assert document.messages == (
        Turn("system", "Be brief."),
        Turn("user", "Hello"),
        Turn("assistant", "Hi.", 0.0),
        Turn("user", "How are you?"),
        Turn("assistant", "Well.", 0.5),
    )
    assert document.text == "Well."  # what is learned
    assert Document.of(json.loads(json.dumps(document.to_dict()))) == document


def test_other_shapes_are_the_same_documents(tmp_path):
    share = {"system": "Be brief.", "conversations": [{"from": "human", "value": "A"}, {"from": "gpt", "value": "B"}]}
    alpaca = {"instruction": "Add.", "input": "1 2", "output": "3", "text": "all of it"}
    plain = {"instruction": "Sing.", "input": "", "output": "La."}
    pair = {"prompt": "", "response": "x"}
    riddle = {"question": "Why?", "answer": "Because."}
    asked, added, sung, bare, why = documents(tmp_path, share, alpaca, plain, pair, riddle)
    assert (why.prompt, why.text) == ("Why?", "Because.")
    assert asked.messages == (Turn("system", "Be brief."), Turn("user", "A"), Turn("assistant", "B"))
    assert (added.prompt, added.text) == ("Add.\n\n1 2", "3")
    assert (sung.prompt, sung.text) == ("Sing.", "La.")
    assert (bare.prompt, bare.text) == ("", "x")


def test_every_answer_by_itself_sees_what_came_before_it_alone(tmp_path):
    said = [("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]
    (document,) = documents(tmp_path, {"messages": [{"role": role, "content": text} for role, text in said]})
    first, second = document.singly()
    assert [(turn.content, turn.learned) for turn in first.messages] == [("1", False), ("2", True)]
    assert [(turn.content, turn.learned) for turn in second.messages] == [
        ("1", False),
        ("2", False),
        ("3", False),
        ("4", True),
    ]


def turns(*roles):
    return {"messages": [{"role": role, "content": "x"} for role in roles]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (turns("assistant"), "message 1: an answer to nothing"),
        (turns("user", "user", "assistant"), "message 2: the role 'user' twice in a row"),
        (turns("user", "system", "assistant"), "message 2: a system message comes first"),
        (turns("user", "tool", "assistant"), "message 2: what a tool says follows an answer"),
        (turns("user"), "the last message is of the role 'user', and nothing answers it"),
        (turns("user", "asistant"), r"message 2: \"role\" is one of .*did you mean .*assistant"),
        ({"messages": []}, "a list of messages, each an object, and not empty"),
        ({"messages": [{"role": "user"}]}, 'message 1: there is no "content"'),
        ({"messages": [{"role": "user", "content": ""}]}, 'message 1: "content" is empty'),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "parts that are no text"),
        ({"messages": [{"role": "user", "content": "x", "weight": -1}]}, '"weight" is a number of 0 or more'),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "weight": 0}]},
            "there is nothing to learn",
        ),
        ({"conversations": [{"from": "bot", "value": "x"}]}, '"from" is one of human'),
        ({"instruction": "x", "output": ""}, '"output" is empty'),
        ({"text": "x", "prompt": "y", "response": "z"}, "a record needs"),
    ],
)
def test_mistakes_name_line_and_message(tmp_path, record, message):
    with pytest.raises(UserError, match=message) as error:
        documents(tmp_path, {"prompt": "a", "response": "b"}, record)
    assert "a.jsonl:2" in str(error.value)
