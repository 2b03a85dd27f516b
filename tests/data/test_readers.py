"""What files become, and what each unreadable one is told."""

import io
import json
import os
import random
import re
from contextlib import suppress

import pytest

from undiffuse.data.corpus import Corpus, Document
from undiffuse.data.readers import MINIMUM_BYTES, read
from undiffuse.errors import UserError

LINE = "Two households, both alike in dignity,\r\nIn fair Verona, where we lay our scene – é\n"
TEXT = LINE * 5


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("9" * 5000, "an integer of 5000 digits is too long"),
        ("[" * 50_000 + "]" * 50_000, "nested too deeply"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
    ],
)
def test_json_that_python_cannot_hold_is_refused_in_words(tmp_path, value, reason):
    path = write(tmp_path / "a.jsonl", records({"text": TEXT}) + f'{{"text": "a", "n": {value}}}\n')
    with pytest.raises(UserError, match=rf"a\.jsonl:2: {reason}"):
        read([path])


PARTS = [
    *'{}[]":,\\\n\r\t -0',
    "text",
    "prompt",
    "response",
    '"text": "a"',
    '{"text": "ab"}\n',
    "9" * 5000,
    "1e999",
    "NaN",
    "null",
]
PARTS += ["\\ud800", "\\u00", "é", "\u2028", "\ufeff", "\x00", "[" * 5000, '{"prompt": "", "response": "a"}\n']


@pytest.mark.slow
def test_no_random_records_end_otherwise_than_in_an_error_of_the_user(tmp_path):
    read_ones = 0
    for seed in range(1000):
        dice = random.Random(seed)
        content = "".join(dice.choices(PARTS, k=dice.randrange(1, 9))).encode()
        if dice.random() < 0.2:
            content = content[: dice.randrange(len(content))] + dice.randbytes(2)
        with suppress(UserError):
            read_ones += len(read([write(tmp_path / "a.jsonl", content)], minimum_bytes=1).documents) > 0
    assert read_ones > 5


def test_a_text_file_is_one_document_bit_for_bit(tmp_path):
    corpus = read([write(tmp_path / "a.txt", TEXT)])
    assert corpus.documents == (Document(TEXT),)
    assert corpus.bytes == len(TEXT.encode())


def test_jsonl_holds_texts_and_pairs(tmp_path):
    content = records(
        {"text": TEXT}, {"prompt": "Who?", "response": "Romeo\n", "id": 3}, {"prompt": "", "response": "x"}
    )
    corpus = read([write(tmp_path / "a.jsonl", content + "\n")])
    assert corpus.documents == (Document(TEXT), Document("Romeo\n", "Who?"), Document("x", ""))


def test_line_separators_inside_a_record_do_not_end_it(tmp_path):
    content = json.dumps({"text": TEXT + "\u2028\x85next"}, ensure_ascii=False)
    assert len(read([write(tmp_path / "a.jsonl", content)]).documents) == 1


def test_directories_are_read_in_the_order_of_names(tmp_path):
    write(tmp_path / "b.txt", TEXT + "b")
    write(tmp_path / "a" / "z.jsonl", records({"text": TEXT + "z"}))
    write(tmp_path / ".hidden" / "c.txt", TEXT)
    write(tmp_path / ".d.txt", TEXT)
    write(tmp_path / "image.png", b"\x89PNG\x00")
    corpus = read([tmp_path])
    assert [document.text[-1] for document in corpus.documents] == ["z", "b"]
    (note,) = corpus.notes
    assert note.startswith(f"passed over: {tmp_path / 'image.png'} is not UTF-8")


def test_what_is_no_file_in_a_directory_is_passed_over_and_said(tmp_path):
    write(tmp_path / "a.txt", TEXT)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    os.mkfifo(tmp_path / "pipe")
    corpus = read([tmp_path])
    assert corpus.documents == (Document(TEXT),)
    assert corpus.notes == (
        f"passed over: {tmp_path / 'gone.txt'} is a link to nothing",
        f"passed over: {tmp_path / 'pipe'} is no file",
    )
    with pytest.raises(UserError, match=r"gone\.txt is a link to .*nowhere\.txt, which is not there$"):
        read([tmp_path / "gone.txt"])


def test_many_notes_are_counted():
    assert Corpus((), ("x",) * 6).told == ("x",) * 6
    assert Corpus((), ("x",) * 7).told == (*("x",) * 5, "and so for 2 more files")


PAIR = {"prompt": "Who?", "response": TEXT}
DOCUMENTS = (Document(TEXT), Document(TEXT, "Who?"))


@pytest.mark.parametrize(
    ("content", "documents", "note"),
    [
        (
            records({"text": TEXT}, PAIR) + "\n",
            DOCUMENTS,
            r'is read as JSONL: each of its lines is a record with "text"',
        ),
        (json.dumps([TEXT, PAIR]), DOCUMENTS, "is read as an array of 2 documents$"),
        (json.dumps([{"text": TEXT, "n": 1}], indent=1), DOCUMENTS[:1], "is read as an array of 1 documents$"),
        (
            json.dumps([TEXT, 3]),
            None,
            "is read as plain text, signs of JSON included; JSONL, or an array of",
        ),
        (json.dumps({"a": TEXT}), None, "is read as plain text, signs of JSON included"),
        (records({"text": TEXT}) + TEXT, None, ""),
        ("[" + json.dumps(TEXT), None, ""),
        ("[" * 5000 + TEXT, None, ""),
        ("[MASK] " + TEXT, None, ""),
    ],
)
@pytest.mark.parametrize("name", ["-", "a.json"])
def test_json_is_recognized_where_no_name_says_so(tmp_path, monkeypatch, content, documents, note, name):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    corpus = read([name if name == "-" else write(tmp_path / name, content)])
    assert corpus.documents == (documents or (Document(content),))
    assert len(corpus.notes) == bool(note)
    assert not note or re.search(note, corpus.notes[0])
    assert read([write(tmp_path / "a.txt", content)]) == Corpus((Document(content),))


def test_items_of_an_array_are_named_where_they_are_wrong(tmp_path):
    with pytest.raises(UserError, match=r'a\.json: item 2: "text" is int, not a string'):
        read([write(tmp_path / "a.json", json.dumps([TEXT, {"text": 3}]))])


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert read(["-"]).documents == (Document(TEXT),)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"a\.txt is empty; give a text"),
        ("a.txt", b" \n\n", "is empty"),
        (
            "a.txt",
            TEXT.encode() + b"\xff",
            rf"not UTF-8: byte 0xff at line 11, byte {len(TEXT.encode())}; convert it: iconv",
        ),
        ("a.txt", TEXT.encode("utf-16"), "not UTF-8: byte 0xff at line 1, byte 0"),
        ("a.txt", b"abc\n" * 99 + b"\x00", r"control byte 0x00 at line 100, byte 396"),
        ("a.txt", b"\x1f\x8b" + b"a" * 300, "control byte 0x1f|byte 0x8b"),
        ("a.txt", "short", rf"5 bytes are too little to learn from; give at least {MINIMUM_BYTES}"),
        ("a.jsonl", records({"text": TEXT}) + "{oops\n", r"a\.jsonl:2: not JSON \(.* at column 2\)"),
        ("a.jsonl", records([TEXT]), r'a\.jsonl:1: a record is an object with "text", or .*, not list'),
        ("a.jsonl", records({"txt": TEXT}), r"a record needs \"text\", or .*; this one has 'txt'"),
        ("a.jsonl", records({"prompt": TEXT}), "this one has 'prompt'"),
        (
            "a.jsonl",
            records({"text": "a", "prompt": "b", "response": "c"}),
            "this one has 'text', 'prompt', 'response'",
        ),
        ("a.jsonl", records({}), "this one has no field"),
        ("a.jsonl", "\n" + records({"text": 7}), r'a\.jsonl:2: "text" is int, not a string'),
        ("a.jsonl", records({"prompt": "x", "response": ""}), '"response" is empty; remove the record'),
        ("a.jsonl", records({"text": "a\ud800"}), r'"text" holds the lone surrogate U\+D800'),
    ],
)
def test_mistakes_name_file_and_place(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message):
        read([path])


def test_a_missing_file_suggests_the_nearest_name(tmp_path):
    write(tmp_path / "shakespeare.txt", TEXT)
    with pytest.raises(UserError, match=r"no file .*shakespere\.txt; did you mean .*shakespeare\.txt\?"):
        read([tmp_path / "shakespere.txt"])
    with pytest.raises(UserError, match=r"no file .*zzz; check the path"):
        read([tmp_path / "nowhere" / "zzz"])


def test_a_directory_without_text(tmp_path):
    with pytest.raises(UserError, match="no text or JSONL file in this directory; give a file"):
        read([tmp_path])
    write(tmp_path / "b.bin", b"\x00")
    with pytest.raises(UserError, match=r"no text or JSONL file in this directory \(passed over: .*b\.bin is not text"):
        read([tmp_path])


def test_a_broken_record_in_a_directory_is_an_error(tmp_path):
    write(tmp_path / "a.txt", TEXT)
    write(tmp_path / "b.jsonl", "{")
    with pytest.raises(UserError, match="not JSON"):
        read([tmp_path])


def test_the_digest_sees_bounds_and_prompts():
    corpora = [
        [Document("ab"), Document("c")],
        [Document("a"), Document("bc")],
        [Document("abc")],
        [Document("bc", "a")],
        [Document("abc", "")],
    ]
    digests = {Corpus(tuple(documents)).digest for documents in corpora}
    assert len(digests) == len(corpora)
    assert Corpus((Document("abc"),), notes=("x",)).digest in digests


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    plain, records = tmp_path / "a.txt", tmp_path / "b.jsonl"
    plain.write_bytes(b"\xef\xbb\xbf" + b"A text.\n" * 40)
    records.write_bytes(b"\xef\xbb\xbf" + b'{"text": "A record."}\n' * 40)
    texts = [document.text for document in read([plain, records]).documents]
    assert texts[0] == "A text.\n" * 40
    assert set(texts[1:]) == {"A record."}
