"""Ten thousand typed fills by models that know nothing: how many are invalid?

python -m benchmarks.typed_fills [threads]

Random weights are the hardest case: the model never agrees with a type by itself. Each fill is read by Python's own
parsers (int, date.fromisoformat, re, json), not by the automata that made it.
"""

import datetime
import json
import re
import sys
from collections.abc import Callable

import torch

from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.tokenizer import Tokenizer

from .report import write

TEXT = "On 2026-11-21 the quick brown fox was formal, 12 times; née Größe, naïve — 漢字 🙂 yes, no 345.\n" * 30
SAMPLES, CONTEXT = 50, 128
FORM = (
    "The {tone:choice(formal|casual|quick brown|né|漢字)} fox, {ok:yesno}, on {when:date} at {n:int(-250-1999)}: "
    "{code:/[A-Z]{2,3}-[0-9]+(é|漢)?/} and {word:/a|ab|abc|[^a-z ]{1,3}/} or ____."
)
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 9},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tone": {"enum": ["formal", 'ca"sual', None]},
        "ok": {"type": "boolean"},
        "born": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"},
        "weight": {"type": ["number", "null"]},
    },
}
WAYS = (
    {"strategy": "confidence", "temperature": 1.0},
    {"strategy": "confidence", "temperature": 5.0, "steps": 8},
    {"strategy": "threshold", "threshold": 0.01, "temperature": 1.0},
    {"strategy": "random", "temperature": 1.0, "top_k": 1, "steps": 10},
    {"strategy": "left-to-right", "temperature": 2.0, "top_p": 0.3},
    {"strategy": "ancestral", "steps": 8},
)


def _date(text: str) -> bool:
    return datetime.date.fromisoformat(text).isoformat() == text


FILL: dict[str, Callable[[str], object]] = {
    "tone": lambda text: text in ("formal", "casual", "quick brown", "né", "漢字"),
    "ok": lambda text: text in ("yes", "no"),
    "when": _date,
    "n": lambda text: str(int(text)) == text and -250 <= int(text) <= 1999,
    "code": lambda text: re.fullmatch("[A-Z]{2,3}-[0-9]+(é|漢)?", text),
    "word": lambda text: re.fullmatch("a|ab|abc|[^a-z ]{1,3}", text),
}
FIELD: dict[str, Callable[[object], object]] = {
    "name": lambda value: isinstance(value, str) and len(value) <= 9,
    "age": lambda value: type(value) is int and 0 <= value <= 130,
    "tone": lambda value: value in ("formal", 'ca"sual', None),
    "ok": lambda value: type(value) is bool,
    "born": lambda value: isinstance(value, str) and _date(value),
    "code": lambda value: isinstance(value, str) and re.fullmatch("[A-Z]{2}[0-9]+", value),
    "weight": lambda value: value is None or type(value) in (int, float),
}


def build(tokenizer: Tokenizer, seed: int) -> LanguageModel:
    """A network that has learned nothing."""
    torch.manual_seed(seed)
    network = Transformer(
        TransformerConfig(rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=CONTEXT)
    )
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    spec = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}
    process = build_process(spec, tokenizer.vocabulary)
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


def valid(check: Callable[..., object], value: object) -> bool:
    try:
        return bool(check(value))
    except ValueError:
        return False


def measured(name: str, model: LanguageModel, way: dict, seed: int) -> dict[str, object]:
    """One line of the table: the same number of texts and of objects."""
    tried = wrong = 0
    different = set()
    for filled in model.fill(FORM, top=1, samples=SAMPLES, seed=seed, **way):
        for hole in filled.holes:
            if hole.name:
                tried, wrong = tried + 1, wrong + (not valid(FILL[hole.name], hole.text))
                different.add(hole.text)
    for found in model.fill_object("A fox:", SCHEMA, samples=SAMPLES, seed=seed, **way):
        value = json.loads(found.text)
        assert list(value) == list(SCHEMA["properties"])
        for field, content in value.items():
            tried, wrong = tried + 1, wrong + (not valid(FIELD[field], content))
            different.add(json.dumps(content))
    options = ", ".join(f"{key} {value}" for key, value in way.items() if key != "strategy")
    print(name, way["strategy"], options, tried, wrong, flush=True)
    return {
        "tokens": name,
        "strategy": way["strategy"],
        "options": options,
        "typed fills": tried,
        "different": len(different),
        "invalid": wrong,
    }


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    tokenizers = {"BPE": Tokenizer.train([TEXT], 512), "bytes": Tokenizer.byte_level()}
    lines = []
    for number, (name, tokenizer) in enumerate(tokenizers.items()):
        for way in WAYS:
            for seed in range(2 if name == "BPE" else 1):
                lines.append(measured(name, build(tokenizer, 10 * number + seed), way, seed))
    total, wrong = (sum(int(str(line[key])) for line in lines) for key in ("typed fills", "invalid"))
    definition = (
        f"{total} typed fills, {wrong} invalid. Networks of random weights, {SAMPLES} texts with six typed holes and "
        f"{SAMPLES} objects of seven fields per line, read by Python's own parsers; two networks over BPE, one over "
        "bytes."
    )
    write("typed_fills", definition, threads, lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
