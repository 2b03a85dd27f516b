"""Records: texts that stand for themselves, such as facts, entries of a glossary, products, lines of a log.

What runs on from record to record is nothing to learn, so they are packed whole and do not see each other
(`packing`). Documents that are short and many are records. The lines of a text are, or its paragraphs, where they are
short and many too and plainly do not run on: they are closed sentences of which few take up what stands before, or have
fields, or a time in front, or the same labels. Prose, verse, dialogue and code have none of these in nearly every line,
and remain one text.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from ..errors import UserError
from .corpus import Corpus, Document

Choice = Literal["auto", "documents", "lines", "paragraphs", "off"]
FEWEST = 32
"""Records in a text; fewer are no list."""
SHORT_LINE, SHORT = 240, 400
"""Characters that nearly every line, document or paragraph has at most, where it is a record; none has more than twice
as many."""
NEARLY = 0.97
"""Share of the records that must look like one."""
BREAK = re.compile(r"\n[ \t\r]*\n\s*")
CLOSED = re.compile(r"[^\W_a-z].*[.!?…。！？][\"'”’)\]]?", re.DOTALL)
TIME = re.compile(r"[\[(<]?\d{2,4}[-/:.]\d{1,2}[-/:.T ]\d{1,2}")
LABEL = re.compile(r"([^\W\d_][\w ]{0,30}):\s+\S")
SEPARATORS = ("\t", "|", ";", " - ", " – ", " — ", ": ")
RUN_ON = re.compile(
    r"(and|but|or|so|yet|for|nor|then|thus|hence|he|she|it|they|his|her|its|their|him|them|this|that|these|those|there|"
    r"here|we|i|you|my|your|our|yes|no|well|oh|ah|now|still|however|therefore|meanwhile|later|when|while|as)\b",
    re.IGNORECASE,
)
FEW_RUN_ON = 0.05
"""Share of closed sentences that may begin with a word that takes up what stands before."""


def as_records(corpus: Corpus, choice: Choice = "auto") -> tuple[Corpus, Choice]:
    """The corpus with a document per record, and how it was divided: "off" where it is no list of records, and kept.

    A choice other than "auto" is followed whatever the texts are. Records with prompts have borders of their own:
    UserError where others are asked for.
    """
    texts = [document.text for document in corpus.documents]
    if any(document.answers for document in corpus.documents):
        if choice not in ("auto", "off"):
            raise UserError(f"data.records = {choice!r}: records with prompts are learned whole anyway; leave it out")
        return corpus, "off"
    found = recognized(texts) if choice == "auto" else choice
    if found in ("off", "documents"):
        return corpus, found
    parts = [part for text in texts for part in (lines(text) if found == "lines" else paragraphs(text))]
    return replace(corpus, documents=tuple(map(Document, parts))), found


def recognized(texts: Sequence[str]) -> Choice:
    """How texts divide into records, if they do."""
    if _short(texts, SHORT):
        return "documents"
    if all(_list(lines(text)) and not _broken(text) for text in texts):
        return "lines"
    if all(_labelled(paragraphs(text)) for text in texts):
        return "paragraphs"
    return "off"


def lines(text: str) -> list[str]:
    """The lines that hold something."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def paragraphs(text: str) -> list[str]:
    """What blank lines divide."""
    return [part for part in (part.strip() for part in BREAK.split(text)) if part]


def _broken(text: str) -> bool:
    """Whether blank lines divide the text into groups of several lines."""
    found = paragraphs(text)
    return len(found) > 1 and any("\n" in part for part in found)


def _short(found: Sequence[str], limit: int) -> bool:
    """Whether they are many and short."""
    long = [len(each) for each in found if len(each) > limit]
    return len(found) >= FEWEST and len(long) <= (1 - NEARLY) * len(found) and max(long, default=0) <= 2 * limit


def _list(found: Sequence[str]) -> bool:
    if not _short(found, SHORT_LINE) or _share(found, lambda line: line[0].isspace()) > 0.01:
        return False
    return _timed(found) or _fielded(found) or _sentences(found)


def _timed(found: Sequence[str]) -> bool:
    """Lines of a log."""
    return _share(found, TIME.match) >= NEARLY


def _fielded(found: Sequence[str]) -> bool:
    """Lines with fields: a term and what it is, or as many separators each."""
    for separator in SEPARATORS:
        if _share(found, lambda line, separator=separator: separator in line[1:-1]) < NEARLY:  # type: ignore[misc]
            continue
        heads = [line.partition(separator)[0] for line in found]
        counts = Counter(line.count(separator) for line in found)
        alike = max(counts.values()) >= NEARLY * len(found)
        if alike and len(set(heads)) >= 0.9 * len(heads) and max(map(len, heads)) <= 80:
            return True
    return False


def _sentences(found: Sequence[str]) -> bool:
    """Closed sentences that take up nothing, and no speeches of a few speakers."""
    speakers = {match[1] for match in map(LABEL.match, found) if match}
    if _share(found, LABEL.match) > 0.5 and len(speakers) < len(found) / 2:
        return False
    return _share(found, CLOSED.fullmatch) >= NEARLY and _share(found, RUN_ON.match) <= FEW_RUN_ON


def _labelled(found: Sequence[str]) -> bool:
    """Paragraphs whose lines have labels, nearly always the same ones."""
    if not _short(found, SHORT):
        return False
    labels = Counter(tuple(match and match[1] for match in map(LABEL.match, part.splitlines())) for part in found)
    usual, count = labels.most_common(1)[0]
    return len(usual) > 1 and None not in usual and count >= NEARLY * len(found)


def _share(found: Sequence[str], what: Callable[[str], object]) -> float:
    return sum(map(bool, map(what, found))) / len(found)
