"""Single words hidden in books, guessed by a causal model from the left side alone and from both sides.

python -m benchmarks.causal_blanks MODEL ARCHIVE [blanks] [dtype] [candidates]

MODEL is a causal checkpoint with a tokenizer; ARCHIVE is a .tar.xz of texts, one file a work, of which every fourth
book of more than `LEAST` bytes is read.
"""

import json
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import undiffuse as ud
from undiffuse.evaluate.infill import Accuracy, TokenBlank, draw_word_blanks
from undiffuse.language_model import LanguageModel
from undiffuse.likelihood.candidates import CANDIDATES, tokens_between
from undiffuse.likelihood.continuations import Stem

from .report import RESULTS, write

SEED = 1
LEFT = 400  # characters
RIGHT = 16  # tokens
LEAST = 100_000  # bytes of a work
EVERY = 4
OTHER = ("factbook", "gov", "commonvoice", "speeches")  # what the names of works begin with that are no books
DEFINITION = (
    "Words of running text that a space stands before and that the tokenizer writes as one token ({share:.1%} of those "
    "drawn), the same number from each of {works} English books (listed in the JSON), drawn with seed "
    f"{SEED}. Right: the most probable token is the hidden one. `left`: from the {LEFT} characters before it. "
    "`both`: the {candidates} best tokens from the left are ranked by p(token | left) p(right | left, token), with "
    f"{RIGHT} tokens of the right side. `among`: how often the hidden token is one of these {{candidates}}, more than "
    "which no ranking of them can find. Intervals are 95 % (Wilson). Seconds are the mean of a blank, one at a time, "
    "on a machine that does other work beside it. Model: {model}, {dtype}."
)


def works(archive: Path) -> dict[str, str]:
    """Texts by name: every fourth."""
    found = {}
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda member: member.name):
            name = Path(member.name).stem
            if member.isfile() and member.size > LEAST and not name.startswith(OTHER):
                held = files.extractfile(member)
                assert held is not None
                found[name] = held.read().decode()
    return dict(list(found.items())[::EVERY])


def token_blanks(model: LanguageModel, text: str, count: int) -> tuple[list[TokenBlank], int, int]:
    """`count` hidden tokens of a text, how many words were drawn for them, and how many of those are several tokens."""
    encode, found, drawn, several = model.tokenizer.encode, [], 0, 0
    for blank in _shuffled(draw_word_blanks(text, 8 * count, LEFT, SEED)):
        before, word, after = (part.decode() for part in (blank.left, blank.truth, blank.right))
        if not before.endswith(" ") or len(before) < LEFT or len(after) < LEFT:
            continue
        drawn += 1
        token = encode(" " + word)
        if len(token) > 1:
            several += 1
            continue
        left = encode(before.removesuffix(" "))
        found.append(TokenBlank((*left, *token, *encode(after)[:RIGHT]), len(left)))
        if len(found) == count:
            return found, drawn, several
    raise ValueError(f"the text has too few words: {len(found)} of {count}")


def _shuffled(blanks: Sequence) -> list:
    """In an order that does not follow the text, so that the first are spread over it."""
    order = torch.randperm(len(blanks), generator=torch.Generator().manual_seed(SEED)).tolist()
    return [blanks[number] for number in order]


def main(path: Path, archive: Path, number: int, dtype: str, candidates: int) -> None:
    torch.set_num_threads(1)
    model = ud.load(path, dtype=dtype)
    texts = works(archive)
    each = -(-number // len(texts))
    drawn = [token_blanks(model, text, each) for text in texts.values()]
    blanks = [blank for found, _, _ in drawn for blank in found]
    left = both = among = 0
    left_s = both_s = 0.0
    for done, blank in enumerate(blanks, start=1):
        before, truth = [*model.trained.begins, *blank.ids[: blank.position]], blank.ids[blank.position]
        began = time.perf_counter()
        tokens, log_p = tokens_between(model.predictor, before, blank.ids[blank.position + 1 :], candidates)
        both_s += time.perf_counter() - began
        began = time.perf_counter()
        stem = Stem.of(model.predictor, before, keep=False)
        best = int(stem.log_p(torch.tensor([len(before)]))[0].argmax())
        left_s += time.perf_counter() - began
        left += best == truth
        both += int(tokens[log_p.argmax()]) == truth
        among += truth in tokens.tolist()
        if not done % 50:
            print(
                f"{done} of {len(blanks)}: left {left}, both {both}, {both_s / done:.2f} s", file=sys.stderr, flush=True
            )
    rows = []
    for name, correct, seconds in (("left", left, left_s), ("both", both, both_s), ("among", among, None)):
        accuracy = Accuracy(correct, len(blanks))
        low, high = accuracy.interval
        shown = "" if seconds is None else seconds / len(blanks)
        rows.append(
            {"from": name, "blanks": len(blanks), "right": accuracy.share, "low": low, "high": high, "seconds": shown}
        )
    share = 1 - sum(several for _, _, several in drawn) / sum(count for _, count, _ in drawn)
    said = DEFINITION.format(share=share, works=len(texts), model=path.name, dtype=dtype, candidates=candidates)
    write("causal_blanks", said, 1, rows)
    result = RESULTS / "causal_blanks.json"
    record = {**json.loads(result.read_text()), "works": list(texts), "blanks of a work": each, "seed": SEED}
    result.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    rest = sys.argv[3:]
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        int(rest[0]) if rest else 500,
        rest[1] if rest[1:] else "float32",
        int(rest[2]) if rest[2:] else CANDIDATES,
    )
