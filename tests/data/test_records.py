"""What is taken for a list of records, and above all what is not."""

import itertools
import textwrap
from pathlib import Path

import pytest

from undiffuse.data.corpus import Corpus, Document
from undiffuse.data.records import as_records, paragraphs, recognized
from undiffuse.data.topics import topics
from undiffuse.demo.facts import countries, statements
from undiffuse.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data"
FACTS = statements(countries())
WORDS = [
    f"{a}{b}" for a in ("al", "be", "cor", "dun", "es", "fir", "gol", "hab") for b in ("ar", "en", "is", "ot", "um")
]
LISTS = {
    "facts": "\n".join(FACTS),
    "facts with blank lines": "\n\n".join(FACTS),
    "glossary": "\n".join(f"{word}: what one calls a {other}" for word, other in itertools.pairwise(WORDS)),
    "dashes": "\n".join(
        f"{word.title()} – a kind of {other}, mostly green" for word, other in zip(WORDS, reversed(WORDS), strict=True)
    ),
    "products": "\n".join(f"{100 + i}\t{word}\t{i}.99" for i, word in enumerate(WORDS)),
    "log": "\n".join(f"2026-12-01 11:{i:02}:07 INFO {word} started" for i, word in enumerate(WORDS)),
}
QUESTIONS = "\n\n".join(
    f"Q: What is a {word}?\nA: It is a kind of {other}." for word, other in itertools.pairwise(WORDS)
)
PLAY = "\n".join(f"{('ANNA', 'BEN', 'CLEO')[i % 3]}: {word.title()} is what I heard." for i, word in enumerate(WORDS))
SPEECHES = "\n\n".join(f"{('ANNA', 'BEN')[i % 2]}:\n{word.title()} is what I heard." for i, word in enumerate(WORDS))
VERSE = "\n".join(f"{word.title()} of the {other}," for word, other in zip(WORDS, reversed(WORDS), strict=True))
TALE = "\n".join(
    sentence
    for word in WORDS
    for sentence in (f"The old {word} went to the wood.", "He saw nothing there.", f"But a {word} was singing.")
)
CODE = Path(__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_records_a_line_each(name):
    assert recognized([LISTS[name]]) == "lines"


def test_the_same_labels_in_every_paragraph():
    assert recognized([QUESTIONS]) == "paragraphs"
    corpus, found = as_records(Corpus((Document(QUESTIONS),), ("a note",)))
    assert found == "paragraphs"
    assert [document.text for document in corpus.documents] == paragraphs(QUESTIONS)
    assert corpus.notes == ("a note",)


def test_many_short_documents():
    assert recognized(FACTS) == "documents"
    assert recognized(FACTS[:31]) == "off", "too few"
    assert recognized([*FACTS, "long " * 200]) == "off"


@pytest.mark.parametrize("text", [PLAY, SPEECHES, VERSE, TALE, CODE], ids=["play", "speeches", "verse", "tale", "code"])
def test_what_runs_on_is_one_text(text):
    assert recognized([text]) == "off"
    corpus = Corpus((Document(text),))
    assert as_records(corpus) == (corpus, "off")


def test_pages_of_prose_are_texts():
    pages = [page.text for page in topics().documents]
    assert recognized(pages) == "off"
    assert {recognized([page]) for page in pages} == {"off"}
    assert recognized(["\n".join(textwrap.wrap(" ".join(pages), 70))]) == "off"


def test_few_lines_are_no_list_whatever_they_are():
    assert recognized(["\n".join(FACTS[:31])]) == "off"
    assert recognized(["\n".join(FACTS[:32])]) == "lines"


def test_one_text_of_several_that_is_no_list_leaves_all_as_they_are():
    assert recognized([LISTS["facts"], LISTS["glossary"]]) == "lines"
    assert recognized([LISTS["facts"], TALE]) == "off"


def test_what_is_asked_for_is_done():
    corpus = Corpus((Document("one\ntwo\n\nthree\n"),))
    assert [d.text for d in as_records(corpus, "lines")[0].documents] == ["one", "two", "three"]
    assert [d.text for d in as_records(corpus, "paragraphs")[0].documents] == ["one\ntwo", "three"]
    assert as_records(corpus, "documents") == (corpus, "documents")
    facts = Corpus((Document(LISTS["facts"]),))
    assert as_records(facts, "off") == (facts, "off")


def test_records_with_prompts_are_packed_whole_anyway():
    corpus = Corpus((Document("Lima.", "The capital of Peru?"),) * 40)
    assert as_records(corpus) == (corpus, "off")
    with pytest.raises(UserError, match="records with prompts are learned whole anyway"):
        as_records(corpus, "documents")


@pytest.mark.skipif(not SHARED.exists(), reason="the texts are not here")
@pytest.mark.parametrize("name", ["tinyshakespeare.txt", "wikitext2_valid.txt"])
def test_books_are_no_lists(name):
    text = (SHARED / name).read_text(encoding="utf-8")
    assert recognized([text]) == "off"
    assert recognized(["\n".join(line for line in text.splitlines() if len(line) < 200)]) == "off"
