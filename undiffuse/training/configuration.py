"""The full configuration of a training run: every value that a recipe or KEY=VALUE may set, its type and its default.

Components (schedule, destination, objective, optimizer) stand here as themselves: a stateless component is its own
configuration. In TOML they are tables with a `kind`, or just the kind's name. Sizes may be "auto": the plan fixes them.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from ..data.packing import Counted, Padding
from ..data.records import Choice
from ..data.table import read_table
from ..errors import UserError, did_you_mean
from ..kinds import COMPONENTS, OBJECTIVES, OPTIMIZERS, PACKAGE, PROCESSES, Components, describe
from ..likelihood.bound import MOST_DRAWS
from ..models.transformer import TransformerConfig
from ..objective.objective import Objective
from ..text.codec import Kind
from .optimizers.optimizer import OptimizerChoice
from .trackers.tracker import NONE

Auto = Literal["auto"]
Count = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
SIZES = ("width", "depth", "heads", "context")
"""What of the model the plan may choose."""


def read_component(family: Components, value: object) -> Any:
    """A component from its TOML form, each parameter checked against the type it declares. UserError if it is wrong."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping) or "kind" not in value:
        raise UserError(f"{family.name} = {value!r}: expected a kind, one of {', '.join(family.kinds)}")
    hints = get_type_hints(family.load(str(value["kind"])))
    nested = {other.base: other for other in COMPONENTS.values()}
    return family.build({name: _read(f"{family.name}.{name}", hints.get(name), v, nested) for name, v in value.items()})


def _read(where: str, hint: Any, value: object, nested: Mapping[str, Components]) -> object:
    if hint is None:
        return value  # an unknown name, or `kind`: `Components.build` decides
    inner = nested.get(f"{getattr(hint, '__module__', '')}:{getattr(hint, '__qualname__', '')}")
    if inner is not None:
        return read_component(inner, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} must be a finite number, not {value}")
    try:
        return TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        raise UserError(f"{where} = {value!r}: {error.errors()[0]['msg']}") from error


def _default(f: dataclasses.Field[Any]) -> object:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def read_model(value: object) -> dict[str, object]:
    """The network's settings, complete; `rows` is not among them, for it follows from the tokenizer."""
    if not isinstance(value, Mapping):
        raise UserError(f"model = {value!r}: expected a table")
    hints = {name: hint for name, hint in get_type_hints(TransformerConfig).items() if name != "rows"}
    nested = {other.base: other for other in COMPONENTS.values()}
    settings: dict[str, object] = {
        f.name: "auto" if f.name in SIZES else _default(f) for f in fields(TransformerConfig) if f.name != "rows"
    }
    for name, given in value.items():
        if name not in hints:
            raise UserError(f"there is no key model.{name}{did_you_mean(name, hints)}")
        settings[name] = _read(f"model.{name}", hints[name] | Auto if name in SIZES else hints[name], given, nested)
    return settings


def read_process(value: object) -> dict[str, object]:
    """The noise: a process's kind and parameters, complete, its components built; the vocabulary comes later."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping):
        raise UserError(f"process = {value!r}: expected a table, or the name of a kind")
    kind = str(value.get("kind", "interpolating"))
    cls: Any = PROCESSES.load(kind)
    hints = {name: hint for name, hint in get_type_hints(cls).items() if name != "vocabulary"}
    known = {f.name: f for f in fields(cls) if f.name != "vocabulary"}
    nested = {other.base: other for other in COMPONENTS.values()}
    settings: dict[str, object] = {"kind": kind}
    settings |= {name: _default(f) for name, f in known.items()}
    for name, given in value.items():
        if name == PACKAGE:  # where the kind is from: the kind says it too
            continue
        if name != "kind" and name not in known:
            raise UserError(f"there is no key process.{name}{did_you_mean(name, known)}")
        if name in cls.files and isinstance(given, str):
            given = read_table(f"process.{name}", Path(given))
        if name != "kind":
            settings[name] = _read(f"process.{name}", hints[name], given, nested)
    return settings


@dataclass(frozen=True)
class TokenizerSettings:
    """`bpe` is trained on the text; `size` is the number of its tokens. `byte` has the 256 bytes.

    `wordpiece` is that of a model to start from. Tokens are merged where they stand side by side `least_count` times or
    more often: twice, of records once, for a name that stands in a single one is a name too.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Kind = "bpe"
    size: Annotated[int, Field(ge=260, le=1 << 20, strict=True)] | Auto = "auto"
    least_count: Count | Auto = "auto"

    def __post_init__(self) -> None:
        if self.kind == "byte" and self.size != "auto":
            raise ValueError(f"tokenizer 'byte' has no size to choose, and {self.size} was given: leave it out")
        if self.kind == "byte" and self.least_count != "auto":
            raise ValueError(f"tokenizer 'byte' merges nothing, and least_count = {self.least_count}: leave it out")


@dataclass(frozen=True)
class DataSettings:
    """Whether the text is a list of records, which are learned whole and apart from each other, and what one is.

    `auto` recognizes them (`data.records`); a run keeps what was found. `off` learns one running text.

    Of prompts with responses, and of conversations: `turns` learns all answers of a conversation in one pass ("all"),
    or each after what came before it ("each"); `padding` and `loss` are those of `data.packing.Answering`, and `canvas`
    its length. "auto" is "each" for networks that see both sides and "all" for others; "ignore" for causal networks and
    "eos-trained" for others, on a canvas that holds the longest answer (half of the context at most).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    records: Choice = "auto"
    turns: Literal["auto", "all", "each"] = "all"
    padding: Padding | Auto = "ignore"
    loss: Counted = "token"
    canvas: Count | Auto = "auto"

    @property
    def apart(self) -> bool:
        """Whether documents are records."""
        return self.records not in ("auto", "off")


@dataclass(frozen=True)
class TrainingSettings:
    """How the run goes.

    `rows` of `model.context` tokens make one step, computed in `accumulation` equal parts. The learning rate rises over
    the first `warmup` of the steps and falls to zero over the last `decay` of them. Gradients are clipped to the norm
    `clip`. `ema` is the decay per step of the averaged weights, which are what is saved and validated. The bound of the
    held-out text is estimated `validations` times on `windows` windows of it, and in the end on all of it with `draws`
    draws of noise. At most `checkpoint_seconds` pass between checkpoints. A share `prompt_dropout` of the samples is
    learned with masks in place of the prompt, for guidance by the prompt. `dtype` "auto" is bfloat16 where the
    processor multiplies in it. `train` names the parameters that are trained, as patterns; the others stay as they are.
    `track` is a program that shows the metrics too.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    rows: Count | Auto = "auto"
    accumulation: Count = 1
    warmup: Share = 0.03
    decay: Share = 0.7
    clip: Annotated[float, Field(gt=0, strict=True)] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.99
    validations: Count = 4
    windows: Count = 16
    draws: Annotated[int, Field(ge=2, le=MOST_DRAWS, strict=True)] = 4
    report_every: Annotated[int, Field(ge=1, le=10, strict=True)] = 10
    checkpoint_seconds: Annotated[float, Field(ge=0, le=30, strict=True)] = 20.0
    prompt_dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    train: tuple[str, ...] = ("*",)
    track: str = NONE

    def __post_init__(self) -> None:
        if self.rows != "auto" and self.rows % self.accumulation:
            raise ValueError(f"{self.rows} rows cannot be split into {self.accumulation} equal parts (accumulation)")
        if self.warmup + self.decay > 1 and self.decay < 1:
            raise ValueError(f"warmup {self.warmup} and decay {self.decay} overlap: together at most 1, or decay = 1")


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank updates in place of the weights of a model to start from, which then stay (`models.lora`).

    `rank` 0: none. The updates are scaled by alpha/rank; "auto" is 2. `targets` are patterns of names of matrices.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    rank: Annotated[int, Field(ge=0, strict=True)] = 0
    alpha: Annotated[float, Field(gt=0)] | Auto = "auto"
    targets: tuple[str, ...] = ("blocks.*",)

    @property
    def weight(self) -> float:
        """α."""
        return 2.0 * self.rank if self.alpha == "auto" else float(self.alpha)


@dataclass(frozen=True)
class Configuration:
    """Everything about a run but its text, its budget and its seed."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    data: DataSettings = field(default_factory=DataSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    process: Annotated[Mapping[str, object], PlainValidator(read_process)] = field(
        default_factory=partial(read_process, {})
    )
    objective: Annotated[Objective, PlainValidator(partial(read_component, OBJECTIVES))] = field(
        default_factory=partial(read_component, OBJECTIVES, "bound")
    )
    model: Annotated[Mapping[str, object], PlainValidator(read_model)] = field(default_factory=partial(read_model, {}))
    optimizer: Annotated[OptimizerChoice, PlainValidator(partial(read_component, OPTIMIZERS))] = field(
        default_factory=partial(read_component, OPTIMIZERS, "muon")
    )
    training: TrainingSettings = field(default_factory=TrainingSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)

    @property
    def trained(self) -> tuple[str, ...]:
        """Patterns of the parameters that are trained; beside updates none, unless some are named."""
        everything = TrainingSettings().train
        return () if self.lora.rank and self.training.train == everything else self.training.train

    @property
    def context(self) -> int:
        """Tokens in a row; a plan has fixed it."""
        return int(self.model["context"])  # type: ignore[call-overload]

    def to_dict(self) -> dict[str, Any]:
        """The form that `read_configuration` reads, with every default written out."""
        return {
            "data": asdict(self.data),
            "tokenizer": asdict(self.tokenizer),
            "process": {
                name: describe(value) if is_dataclass(value) else value for name, value in self.process.items()
            },
            "objective": describe(self.objective),
            "model": {name: describe(value) if is_dataclass(value) else value for name, value in self.model.items()},
            "optimizer": describe(self.optimizer),
            "training": asdict(self.training),
            "lora": asdict(self.lora),
        }


def read_configuration(tree: Mapping[str, object]) -> Configuration:
    """A configuration from nested tables. UserError names the first wrong key, its value, and what was expected."""
    try:
        return TypeAdapter(Configuration).validate_python(tree)
    except ValidationError as error:
        raise UserError(_explained(error.errors()[0])) from error


def _explained(problem: Any) -> str:
    """One line for a problem that pydantic found."""
    known: Any = Configuration().to_dict()
    path: list[str] = []
    for part in map(str, problem["loc"]):
        if not isinstance(known, Mapping):
            break  # the names of a union's members follow
        path.append(part)
        if part not in known:
            return f"there is no key {'.'.join(path)}{did_you_mean(part, known)}"
        known = known[part]
    where = ".".join(path)
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    alternative = " (or 'auto')" if known == "auto" else ""
    return f"{where} = {problem['input']!r}: {problem['msg']}{alternative}"


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves
