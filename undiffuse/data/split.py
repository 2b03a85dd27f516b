"""Training text and held-out text, without text in both.

Repeated paragraphs go first, wherever they are: half a page that recurs would be learned in one part and scored in the
other. Then a tenth is held out: whole documents when there are many or when they have prompts, else the end of each. Of
records a hundredth is, and eight at the least: each says what no other does.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import UserError
from .corpus import Corpus, Document

SHARE = 10  # one part in ten is held out
LIMIT = 256 * 1024  # characters: more would only make the measurement slower
LONG = 60  # characters of a paragraph from which its recurrence is a copy and no coincidence
SHARE_OF_RECORDS, FEWEST_RECORDS = 100, 8
MANY = 20  # documents from which whole ones are held out
PARAGRAPH = re.compile(r".+?(?:\n[ \t\r]*\n\s*|\Z)", re.DOTALL)
LINE = re.compile(r".+?(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Split:
    """Two corpora that share no long paragraph. `repeated` counts the characters that were dropped as copies."""

    train: Corpus
    valid: Corpus
    repeated: int


def split(corpus: Corpus, records: bool = False) -> Split:
    """The same split for the same corpus, whatever the order of its documents; UserError if a part would be empty."""
    documents = _without_copies(corpus.documents)
    if records:
        train, valid = _by_record(documents)
    elif len(documents) >= MANY or any(document.answers for document in documents):
        train, valid = _by_document(documents)
    else:
        train, valid = _by_tail(documents)
    if not train or not valid:
        raise UserError(
            f"{len(documents)} different document(s) cannot be split into training and held-out text; "
            "give more text, or the held-out text with --valid"
        )
    repeated = sum(len(d.text) for d in corpus.documents) - sum(len(d.text) for d in documents)
    return Split(Corpus(tuple(train)), Corpus(tuple(valid)), repeated)


def _without_copies(documents: Sequence[Document]) -> list[Document]:
    """Long paragraphs (lines, in a text without paragraphs) stay where they come first; answers to something whole."""
    seen: set[object] = set()
    kept: list[Document] = []
    for document in documents:
        if document.answers:
            kept += [] if document in seen else [document]
            seen.add(document)
            continue
        text = "".join(piece for piece in _pieces(document.text) if not _is_copy(piece, seen))
        kept += [replace(document, text=text)] if text.strip() else []
    return kept


def _pieces(text: str) -> list[str]:
    paragraphs = PARAGRAPH.findall(text)
    return paragraphs if len(paragraphs) > 1 else LINE.findall(text)


def _is_copy(piece: str, seen: set[object]) -> bool:
    """Whether a long piece was seen before, its white space and indentation aside."""
    words = " ".join(piece.split())
    copy = len(words) >= LONG and words in seen
    seen.add(words)
    return copy


def _by_document(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Holds out documents in the order of a hash of their prompt (or text): one prompt is never on both sides.

    Whatever would take the held-out text beyond its share is passed over, so no single long document stands for all.
    """
    groups: dict[str, list[Document]] = {}
    for document in documents:
        groups.setdefault(_key(document), []).append(document)
    sizes = {key: sum(len(document.text) for document in group) for key, group in groups.items()}
    room = min(sum(sizes.values()) // SHARE, LIMIT)
    chosen: set[str] = set()
    for key in sorted(groups):
        if sizes[key] <= room:
            chosen.add(key)
            room -= sizes[key]
    if not chosen and len(groups) > 1:
        chosen.add(min(groups, key=lambda key: (sizes[key], key)))
    train = [document for document in documents if _key(document) not in chosen]
    return train, [document for document in documents if _key(document) in chosen]


def _by_record(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Holds out the first records in the order of a hash, equal ones together."""
    keys = sorted({_key(document) for document in documents})
    count = min(max(len(keys) // SHARE_OF_RECORDS, FEWEST_RECORDS), len(keys) // 2)
    chosen = set(keys[:count])
    train = [document for document in documents if _key(document) not in chosen]
    return train, [document for document in documents if _key(document) in chosen]


def _key(document: Document) -> str:
    return hashlib.sha256(document.asked.encode()).hexdigest()


def _by_tail(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    train, valid = [], []
    limit = LIMIT // max(len(documents), 1)
    for document in documents:
        cut = _boundary(document.text, len(document.text) - min(len(document.text) // SHARE, limit))
        train.append(replace(document, text=document.text[:cut]))
        valid.append(replace(document, text=document.text[cut:]))
    return [d for d in train if d.text.strip()], [d for d in valid if d.text.strip()]


def _boundary(text: str, target: int) -> int:
    """Where a paragraph ends soon after the target, else a line, else a word; soon is half of what follows."""
    stop = target + (len(text) - target) // 2
    for pattern in (r"\n[ \t\r]*\n\s*", r"\n", r"\s"):
        found = re.compile(pattern).search(text, target, stop)
        if found:
            return found.end()
    return target
