"""What is asked, when, of which model, and what the answer must be."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel, load
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor

SIZE = {"width": 384, "depth": 6, "heads": 6, "context": 128}
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
SUBJECTS = ("capital", "population", "history", "largest city", "language", "highest mountain", "currency", "border")
PLACES = ("France", "Niger", "Japan", "Brazil", "Norway", "Kenya", "Peru", "Canada", "Greece", "India", "Chile", "Iran")

SHARES: Mapping[str, int] = {"fill": 30, "short": 30, "chat": 20, "long": 20}
"""How many of a hundred requests are of each kind."""


@dataclass(frozen=True)
class Asked:
    """One request: where it goes, its body, and the call of the library that must give the same text."""

    kind: str
    path: str
    body: Mapping[str, Any]
    verb: str
    text: str
    options: Mapping[str, Any]

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))


def model() -> LanguageModel:
    """A network of random weights, sharp enough that its tokens are sure, with the tokenizer of the bundled one."""
    tokenizer = load("world").tokenizer
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=tokenizer.vocabulary.rows, **SIZE)).eval()
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    process = build_process(
        {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}, tokenizer.vocabulary
    )
    predictor = Predictor(network.requires_grad_(False), process, "leave_one_out")
    return LanguageModel(predictor, tokenizer, {}).with_template(TEMPLATE)


def pool(count: int, seed: int = 0) -> list[Asked]:
    """Different requests, in the shares of the mix."""
    rng = random.Random(seed)
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    rng.shuffle(kinds)
    return [_asked(kinds[number % len(kinds)], rng, number) for number in range(count)]


def _asked(kind: str, rng: random.Random, seed: int) -> Asked:
    subject, place = rng.choice(SUBJECTS), rng.choice(PLACES)
    if kind == "fill":
        text = f"The {subject} of [MASK:{rng.randint(1, 3)}] is [MASK:{rng.randint(1, 3)}] and not {place}."
        way: dict[str, Any] = rng.choice(({}, {"strategy": "ancestral", "temperature": 1.0}))
        named = {"diffusion": {"strategy": way["strategy"]}, "temperature": 1.0} if way else {}
        return Asked(
            kind,
            "/v1/fill",
            {"text": text, "top": 1, "seed": seed, **named},
            "fill",
            text,
            {"top": 1, "seed": seed, **way},
        )
    if kind == "chat":
        text, length = f"What is the {subject} of {place}?", rng.randint(8, 16)
        way = {"strategy": "confidence", "block_length": 8, "cache": "dual"}
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": length, "seed": seed, "stream": True}
        options = {"length": length, "seed": seed, **way}
        return Asked(kind, "/v1/chat/completions", body | {"diffusion": way}, "chat", text, options)
    text = f"The {subject} of {place}"
    length = rng.randint(24, 48) if kind == "long" else rng.randint(4, 12)
    way = rng.choice(
        ({"strategy": "threshold", "threshold": 0.7}, {"strategy": "confidence"}, {"strategy": "ancestral"})
    )
    way = {**way, "block_length": 8, "cache": "dual"}
    body = {"prompt": text, "max_tokens": length, "seed": seed, "stream": True, "diffusion": dict(way)}
    return Asked(kind, "/v1/completions", body, "generate", text, {"length": length, "seed": seed, **way})


def answer(found: LanguageModel, asked: Asked) -> str:
    """The text that the library gives alone."""
    if asked.verb == "fill":
        return found.fill(asked.text, **asked.options)[0].text
    if asked.verb == "chat":
        return found.chat([{"role": "user", "content": asked.text}], **asked.options).text
    return found.generate(asked.text, **asked.options)[0].text.removeprefix(asked.text)


@dataclass(frozen=True)
class Expected:
    """What the library gives alone, and in how many seconds."""

    text: str
    seconds: float


def alone(found: LanguageModel, requests: Sequence[Asked]) -> list[Expected]:
    """Every request by itself, through the library's own loop."""
    answer(found, requests[0])
    done = []
    for asked in requests:
        began = time.perf_counter()
        text = answer(found, asked)
        done.append(Expected(text, time.perf_counter() - began))
    return done


def arrivals(requests: int, rate: float, seconds: float, seed: int = 0) -> list[tuple[float, int]]:
    """When which request of a pool comes: a Poisson process. The same seed is the same list, whatever the rate.

    Only the clock is scaled, and how far into the list the seconds reach.
    """
    rng, at, found = random.Random(seed), 0.0, []
    while True:
        at += rng.expovariate(1.0) / rate
        if at > seconds:
            return found
        found.append((at, rng.randrange(requests)))


def weights(directory: Path) -> Path:
    """The model in a directory, written once."""
    place = directory / "load"
    if not place.exists():
        model().save(place)
    return place
