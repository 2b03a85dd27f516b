"""How a model takes part in a conversation: its chat template, what ends its answers, and what those may hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..durable import write_bytes, write_json
from ..errors import UserError
from ..kinds import CHECKPOINT_FAMILIES
from ..models.family import CheckpointFamily
from ..text.codec import Codec
from ..text.conversation import before_answer, encode, end_of_turn
from ..text.template import Message, Template
from ..text.utf8 import HoleText
from .special_ids import token_text

KEY = "chat"
"""Of a manifest: `template`, the special tokens that it may name, and ids that end an answer besides its own."""
FILE = "chat_template.jinja"
NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")

Json = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Voice:
    """A template, the ids that end an answer, and the bytes of all rows that an answer may hold."""

    template: Template
    stops: tuple[int, ...]
    text: HoleText
    tokenizer: Codec

    @classmethod
    def of(cls, tokenizer: Codec, manifest: Json) -> "Voice":
        """UserError for a model that has no chat template, or whose template cannot be read."""
        said, tokens, vocabulary = manifest.get(KEY) or {}, tokenizer.tokens, tokenizer.vocabulary
        template = template_of(tokenizer, manifest)
        stops = (end_of_turn(template, tokenizer), vocabulary.eos, *said.get("stops", ()))
        allowed = dict.fromkeys(row for row in stops if row is not None and 0 <= row < vocabulary.rows)
        never = set(vocabulary.unpredictable) - vocabulary.reserved
        stops = tuple(row for row in allowed if row not in never)
        # what ends an answer stands between characters, as a line break does; other control tokens are no text
        fills = (vocabulary.pad,) if vocabulary.pads else ()
        text = HoleText([b"\n" if row in (*stops, *fills) else data for row, data in enumerate(tokens)])
        return cls(template, stops, text, tokenizer)

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """A conversation up to the beginning of the next answer."""
        ids = encode(before_answer(self.template, messages), self.tokenizer).ids
        if self.tokenizer.vocabulary.mask in ids:
            raise UserError(f"{self.template.where} writes the mask, which is for what the model writes")
        return ids


def template_of(tokenizer: Codec, manifest: Json) -> Template:
    """The one that came with the model, else its family's, where the tokenizer has the tokens for that."""
    said = manifest.get(KEY) or {}
    names = {**_names(tokenizer), **(said.get("names") or {})}
    if said.get("template"):
        return Template(said["template"], names)
    if "layout" in manifest:
        family: CheckpointFamily = CHECKPOINT_FAMILIES.load(manifest["layout"])()
        if family.template:
            known = Template.known(family.template, names)
            if end_of_turn(known, tokenizer) is not None:
                return known
    raise UserError(
        "this model has no chat template, so it was hardly trained to answer: let it continue texts (undiffuse "
        "generate), or say how conversations are written for it: --template FILE (in Python: model.with_template)"
    )


def _names(tokenizer: Codec) -> dict[str, str]:
    """How the rows with a role are spelled."""
    spelled = {control.row: text for text, control in tokenizer.controls.items()}
    rows = {name: getattr(tokenizer.vocabulary, name) for name in ("bos", "eos", "pad", "mask")}
    return {f"{name}_token": spelled[row] for name, row in rows.items() if row in spelled}


def chat_record(template: object, names: Mapping[str, str], stops: Iterable[int]) -> dict[str, Any]:
    """What a manifest keeps; nothing of a model that says nothing about conversations."""
    if isinstance(template, Sequence) and not isinstance(template, str):  # several, by name
        named = {each.get("name"): each.get("template") for each in template if isinstance(each, Mapping)}
        template = named.get("default", next(iter(named.values()), None))
    if template is not None and not isinstance(template, str):
        raise UserError(f"chat_template must be a string, or a list of named ones, not {template!r}")
    said = {"template": template, "names": dict(names), "stops": sorted(set(stops))}
    said = {name: value for name, value in said.items() if value}
    return {KEY: said} if said else {}


def read(template: str | None, config: Json, files: Mapping[str, Json], generation: Json) -> dict[str, Any]:
    """The record of a directory, from its tokenizer's files and its settings of generation.

    The `template` is that of `chat_template.jinja`, which comes before the one in `tokenizer_config.json`.
    """
    settings = {**(files.get("special_tokens_map.json") or {}), **(files.get("tokenizer_config.json") or {})}
    spelled = {f"{name}_token": text for name in NAMES if (text := token_text(settings, name)) is not None}
    stops: list[int] = []
    for where in (config, generation):
        listed = where.get("eos_token_id")
        stops += [row for row in (listed if isinstance(listed, list) else [listed]) if isinstance(row, int)]
    return chat_record(settings.get("chat_template") if template is None else template, spelled, stops)


def write(directory: Path, manifest: Json, tokenizer: Codec) -> None:
    """The record as the files of a public layout, with what their readers must know of the tokenizer."""
    said = manifest.get(KEY) or {}
    if "template" in said:
        write_bytes(directory / FILE, said["template"].encode())
    settings = {**_names(tokenizer), **(said.get("names") or {})}
    if tokenizer.start is not None:
        settings["add_bos_token"] = True
        settings.setdefault("bos_token", next(t for t, c in tokenizer.controls.items() if c.row == tokenizer.start))
    if settings:
        write_json(directory / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **settings})
    sampling = manifest.get("sampling")
    if "stops" in said or sampling:
        stops = {"eos_token_id": said["stops"]} if "stops" in said else {}
        write_json(
            directory / "generation_config.json", {**stops, **({"do_sample": True, **sampling} if sampling else {})}
        )
