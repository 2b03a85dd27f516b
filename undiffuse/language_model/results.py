"""What the verbs return, and its form as JSON (which other programs read: the keys are fixed)."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from ..figures import finite
from ..likelihood.convention import Convention
from ..likelihood.estimate import Estimate


@dataclass(frozen=True)
class Alternative:
    """Another answer for a hole, with its probability by the same definition as the answer's."""

    text: str
    probability: float


@dataclass(frozen=True)
class Length:
    """A number of tokens that a hole may take, with its probability."""

    tokens: int
    probability: float


@dataclass(frozen=True)
class HoleFill:
    """The answer for one hole.

    `kind` says what the probabilities of the answer and its alternatives are: `path`, the product of the probabilities
    of the hole's tokens, each given what was decided before it, in the order in which they were committed; `text`,
    p(text | all the rest of the text, type), for types of few texts; or `ranked`, p(text | all the rest of the text, it
    is one of the candidates), of a causal model. `name` is that of a typed hole; `lengths` are the lengths that were
    considered, the shortest first. `coverage` is the share of what the left side alone expects in the hole that the
    candidates hold, where they are ranked.
    """

    index: int
    text: str
    probability: float
    alternatives: tuple[Alternative, ...]
    name: str = ""
    lengths: tuple[Length, ...] = ()
    kind: str = "path"
    coverage: float | None = None

    def json(self) -> dict[str, Any]:
        record = asdict(self)
        if self.coverage is None:
            del record["coverage"]
        return record


@dataclass(frozen=True)
class Filled:
    """One completion of a text with holes.

    `nfe` counts the network evaluations of the decoding itself; where fillings are ranked, the rows that were run: one
    for the text before, one for every candidate and every beginning of one. `note` says what the user should know, if
    anything; it is not part of the JSON.
    """

    text: str
    holes: tuple[HoleFill, ...]
    nfe: int
    tokens_per_forward: float
    seed: int
    strategy: str
    model: str
    note: str = ""

    def json(self) -> dict[str, Any]:
        record = {**asdict(self), "holes": [hole.json() for hole in self.holes]}
        del record["note"]
        return record


@dataclass(frozen=True)
class FilledObject:
    """An object that satisfies a schema: its value, its `text` as JSON, and how its fields were filled."""

    value: dict[str, Any]
    text: str
    filled: Filled

    def json(self) -> dict[str, Any]:
        return {"object": self.value, **self.filled.json()}


@dataclass(frozen=True)
class Generated:
    """One generated text. `text` holds the prompt and what follows; `note` what the user should know, if anything.

    `certificate` is a number from strategies that give one (`certified`): below 1, greedy decoding one token at a time
    would have decided the same in every step. None from others, or when a budget cut the decoding short. `stopped` is
    the stop string before which the text ends, and in the JSON only of texts that ended so.
    """

    text: str
    prompt: str
    tokens: int
    nfe: int
    tokens_per_forward: float
    seed: int
    strategy: str
    model: str
    certificate: float | None = None
    note: str = ""
    stopped: str | None = None

    def json(self) -> dict[str, Any]:
        record = asdict(self)
        if self.stopped is None:
            del record["stopped"]
        return record


@dataclass(frozen=True)
class Answer:
    """The next message of a conversation. `finished` says whether the model ended it, before its length did."""

    text: str
    tokens: int
    nfe: int
    seed: int
    model: str
    finished: bool = True

    def json(self) -> dict[str, Any]:
        record = asdict(self)
        del record["finished"]
        return record


@dataclass(frozen=True)
class TokenScore:
    """The contribution of one token to the bound, averaged over draws (nats)."""

    text: str
    nats: float


@dataclass(frozen=True)
class TextScore:
    """The share of one text in a score: −ln p of all its tokens, or the bound on it, with its standard error (nats)."""

    nats: float
    stderr: float
    tokens: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Score:
    """−ln p of some texts, or a bound on it, in the units that people compare.

    It is conditional for `prompts` of them: given what stands before, which is not counted. Under a `convention` it is
    what a paper's code would print instead, and no bound. `texts` has the share of each text, in the order given.
    """

    estimate: Estimate
    bytes: int
    per_token: tuple[TokenScore, ...] = field(default=())
    prompts: int = 0
    convention: Convention | None = None
    texts: tuple[TextScore, ...] = ()

    @property
    def bits_per_byte(self) -> tuple[float, float]:
        """Mean and standard error."""
        return self.estimate.per(math.log(2) * self.bytes)

    @property
    def nats_per_token(self) -> tuple[float, float]:
        """Mean and standard error."""
        return self.estimate.per(self.estimate.tokens)

    def json(self, per_text: bool = False) -> dict[str, Any]:
        """`per_text`: with the share of each text. Numbers that are not finite are None."""
        e = self.estimate
        diffusion = e.nats - e.prior - e.reconstruction
        record: dict[str, Any] = {
            "bits_per_byte": dict(zip(("mean", "stderr"), self.bits_per_byte, strict=True)),
            "nats_per_token": dict(zip(("mean", "stderr"), self.nats_per_token, strict=True)),
            "perplexity": dict(zip(("value", "low", "high"), e.perplexity, strict=True)),
            "terms": {
                "prior": e.prior / e.tokens,
                "diffusion": diffusion / e.tokens,
                "reconstruction": e.reconstruction / e.tokens,
            },
            "tokens": e.tokens,
            "bytes": self.bytes,
            "draws": e.draws,
            "kind": e.kind,
        }
        record |= {"steps": e.steps} if e.steps is not None else {}
        if self.convention is not None:
            record |= {
                "convention": self.convention.label,
                f"perplexity_as_{self.convention.name}": record["perplexity"],
            }
            del record["perplexity"]
        record |= {"prompts": self.prompts} if self.prompts else {}
        record |= {"per_text": [asdict(text) for text in self.texts]} if per_text else {}
        record |= {"per_token": [asdict(token) for token in self.per_token]} if self.per_token else {}
        return {name: finite(value) for name, value in record.items()}
