"""Held-out text: the right share, cut at a boundary, and nothing of it in the training text."""

import random

import pytest

from undiffuse.data.corpus import Corpus, Document
from undiffuse.data.split import LIMIT, LONG, split
from undiffuse.data.topics import topics
from undiffuse.errors import UserError


def paragraph(seed, words=30):
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefgh", k=draw.randint(2, 8))) for _ in range(words)) + ".\n\n"


def corpus(*texts):
    return Corpus(tuple(Document(text) for text in texts))


def test_one_text_is_cut_at_a_paragraph_in_its_last_tenth():
    text = "".join(paragraph(seed) for seed in range(100))
    parts = split(corpus(text))
    train, valid = parts.train.documents[0].text, parts.valid.documents[0].text
    assert train + valid == text
    assert train.endswith(".\n\n")
    assert 0.05 * len(text) < len(valid) <= 0.1 * len(text)
    assert parts.repeated == 0


@pytest.mark.parametrize(("gap", "end"), [("\n", "\n"), (" ", " "), ("", "x")])
def test_without_paragraphs_the_cut_is_at_a_line_a_word_or_anywhere(gap, end):
    text = gap.join(f"x{i}x" for i in range(500))
    parts = split(corpus(text))
    assert parts.train.documents[0].text + parts.valid.documents[0].text == text
    assert parts.train.documents[0].text.endswith(end) or not gap


def test_a_long_text_holds_out_no_more_than_the_limit():
    text = "".join(f"{i} is a line of a very long text\n" for i in range(120_000))
    parts = split(corpus(text))
    assert LIMIT / 2 < parts.valid.bytes <= LIMIT


def test_copies_are_dropped_wherever_they_are():
    copy = paragraph("copy")
    texts = [
        (copy if seed % 2 else "  " + copy.replace(" ", "\n", 1)) + paragraph(seed) + "short\n\n" + paragraph(-seed - 1)
        for seed in range(6)
    ]
    parts = split(corpus(*texts))
    together = "".join(document.text for part in (parts.train, parts.valid) for document in part.documents)
    assert " ".join(together.split()).count(copy.strip()) == 1
    assert together.count("short\n\n") == 6
    assert parts.repeated == sum(map(len, texts)) - len(together) > 5 * LONG


def test_copied_lines_are_dropped_from_a_text_without_paragraphs():
    line = paragraph("line").strip() + "\n"
    other = "".join(paragraph(i).strip() + "\n" for i in range(20))
    assert split(corpus(line + other + line)).repeated == len(line)


def test_many_documents_are_held_out_whole_and_by_content_alone():
    documents = [Document(paragraph(seed)) for seed in range(200)]
    parts = split(Corpus(tuple(documents)))
    assert set(parts.train.documents) | set(parts.valid.documents) == set(documents)
    assert not set(parts.train.documents) & set(parts.valid.documents)
    total = sum(len(document.text) for document in documents)
    assert 0.09 * total < parts.valid.bytes <= 0.1 * total
    backwards = split(Corpus(tuple(reversed(documents))))
    assert set(backwards.valid.documents) == set(parts.valid.documents)


def test_no_single_long_document_stands_for_all():
    documents = [Document("".join(paragraph(f"{i} {j}") for j in range(50 if i == 0 else 1))) for i in range(60)]
    held = split(Corpus(tuple(documents))).valid.documents
    assert documents[0] not in held
    assert len(held) >= 5


def test_a_prompt_is_on_one_side_only():
    documents = [Document(f"answer {i}", f"question {i // 2}") for i in range(100)]
    parts = split(Corpus((*documents, documents[0])))
    sides = [{document.prompt for document in part.documents} for part in (parts.train, parts.valid)]
    assert not sides[0] & sides[1]
    assert len(parts.train.documents) + len(parts.valid.documents) == 100
    assert sides[1]


def test_two_records_give_one_to_each_side():
    parts = split(Corpus((Document("a", "x"), Document("b", "y"))))
    assert [len(part.documents) for part in (parts.train, parts.valid)] == [1, 1]


def test_what_cannot_be_split_says_so():
    with pytest.raises(UserError, match=r"1 different document\(s\) cannot be split .* --valid"):
        split(Corpus((Document("same", "prompt"), Document("same", "prompt"))))


def test_the_topics_of_python_share_no_long_paragraph_across_the_split():
    whole = topics()
    parts = split(whole)
    assert len(whole.documents) > 50
    assert parts.repeated > 0.1 * whole.bytes  # a fifth recurs: it would leak
    seen = {
        " ".join(paragraph.split()) for document in parts.train.documents for paragraph in document.text.split("\n\n")
    }
    held = [" ".join(p.split()) for document in parts.valid.documents for p in document.text.split("\n\n")]
    assert not [paragraph for paragraph in held if len(paragraph) >= LONG and paragraph in seen]
    assert 0.08 < parts.valid.bytes / (parts.train.bytes + parts.valid.bytes) < 0.12
