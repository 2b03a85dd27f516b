"""Which rows of a published model are its mask, its end of text and its padding: configs and tokenizers disagree."""

from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from ..models.family import CheckpointFamily, Shape
from ..text.published_tokenizer import added_tokens, controls_of
from ..text.surroundings import surroundings_of
from ..vocabulary import Vocabulary

Json = Mapping[str, Any]
FAMILY = "the family"
"""The source of a row that no file names."""


def vocabulary_of(
    shape: Shape, layout: CheckpointFamily, config: Json, files: Mapping[str, Json], mask_id: int | None
) -> Vocabulary:
    """The roles of a network's table. `files` are the tokenizer's JSON files by name, `mask_id` an override.

    A beginning-of-text row that is also the end of text stays predictable. A causal network needs no mask, and predicts
    every other row, as it was trained to: its likelihood is exact. So does one that fills canvases, with its padding
    after an end. UserError where sources disagree.
    """
    rows = shape.rows
    if layout.noise == "mask":
        mask = _mask(layout, config, files, rows)[0] if mask_id is None else _id("mask_id", mask_id)
        if mask is None and not shape.causal:
            raise UserError(
                "neither the config nor the tokenizer says which row is the mask: load(directory, mask_id=…), or "
                "--mask-id"
            )
    elif mask_id is not None:
        raise UserError("this family's noise exchanges tokens, and it has no mask: leave out mask_id")
    else:
        mask = None
    eos, pad, bos = (_one(config, f"{name}_token_id") for name in ("eos", "pad", "bos"))
    for name, row in (("mask", mask), ("eos", eos), ("pad", pad), ("bos", bos)):
        if row is not None and not 0 <= row < rows:
            fix = "; say which row it is: load(directory, mask_id=…)" if name == "mask" else ""
            raise UserError(f"the {name} id {row} lies outside the table of {rows} rows{fix}")
    if mask is not None and mask in (eos, pad, bos):
        raise UserError(f"the mask id {mask} is also the id of another control token: load(directory, mask_id=…)")
    if shape.causal:
        return Vocabulary(rows, mask, eos=eos)
    if layout.fills:
        return Vocabulary(rows, mask, eos=eos, pad=pad, pads=True)
    tokenizer = files.get("tokenizer.json") or {}
    if (around := surroundings_of(tokenizer)).size:
        # what stands around every text is no part of one, and neither is any other mark
        marks = {*around.before, *around.after, *(one.row for one in controls_of(tokenizer).values())} - {mask, pad}
        if outside := [row for row in marks if not 0 <= row < rows]:
            raise UserError(f"tokenizer.json has id {outside[0]}, which lies outside the table of {rows} rows")
        return Vocabulary(rows, mask, pad=pad, reserved=frozenset(marks))
    return Vocabulary(rows, mask, bos if bos not in (eos, pad) else None, eos, pad)


def start_of(config: Json, files: Mapping[str, Json]) -> int | None:
    """The row that the tokenizer puts before every text: its settings say whether, or the form of its results."""
    settings, ids = files.get("tokenizer_config.json") or {}, added_ids(files)
    asked = settings.get("add_bos_token")
    if asked is True:
        row = ids.get(token_text(settings, "bos") or "")
        return _one(config, "bos_token_id") if row is None else row
    return None if asked is False else _first(files.get("tokenizer.json") or {}, ids)


def _first(tokenizer: Json, ids: Mapping[str, int]) -> int | None:
    """The special token with which the template of a tokenizer's results begins."""
    found = tokenizer.get("post_processor")
    steps = found.get("processors", [found]) if isinstance(found, Mapping) else []
    for step in steps if isinstance(steps, list) else []:
        template = step.get("single") if isinstance(step, Mapping) else None
        begins = template[0] if isinstance(template, list) and template else None
        special = begins.get("SpecialToken") if isinstance(begins, Mapping) else None
        if isinstance(special, Mapping) and special.get("id") in ids:
            return ids[special["id"]]
    return None


def sources_of(
    rows: int, layout: CheckpointFamily, config: Json, files: Mapping[str, Json], mask_id: int | None
) -> dict[str, tuple[int | None, str | None]]:
    """Each role with its row, and what says so; both None where nothing does. UserError where sources disagree."""
    found: dict[str, tuple[int | None, str | None]] = {"mask": (None, None)}
    if mask_id is not None:
        found["mask"] = mask_id, "mask_id"
    elif layout.noise == "mask":
        found["mask"] = _mask(layout, config, files, rows)
    for name in ("bos", "eos", "pad"):
        row, source = _one(config, f"{name}_token_id"), "config.json"
        if row is None:
            row, source = named_row(name, files), f"the {name}_token of its tokenizer"
        found[name] = (None, None) if row is None else (row, source)
    return found


def named_row(role: str, files: Mapping[str, Json]) -> int | None:
    """The row of the token that a tokenizer's settings name for a role."""
    settings = {**(files.get("special_tokens_map.json") or {}), **(files.get("tokenizer_config.json") or {})}
    return added_ids(files).get(token_text(settings, role) or "")


def token_text(settings: Json, role: str) -> str | None:
    """The token that settings name for a role, by itself or as an object with its text."""
    field = settings.get(f"{role}_token")
    text = field.get("content") if isinstance(field, Mapping) else field
    return text if isinstance(text, str) else None


def _mask(
    layout: CheckpointFamily, config: Json, files: Mapping[str, Json], rows: int
) -> tuple[int | None, str | None]:
    """From the config, the tokenizer's mask field, a known name among added tokens; else the family's own."""
    ids = added_ids(files)
    spelled = token_text(files.get("tokenizer_config.json") or {}, "mask")
    named = {f"its added token {name!r}": ids[name] for name in layout.mask_tokens if name in ids}
    said = {
        "config.json": _one(config, "mask_token_id"),
        "the mask_token of its tokenizer": ids.get(spelled or ""),
    }
    found = {source: row for source, row in said.items() if row is not None}
    chosen = set(found.values()) or set(named.values())
    if len(chosen) > 1 or (named and not chosen <= set(named.values())):
        listed = ", ".join(f"{source} says {row}" for source, row in {**found, **named}.items())
        raise UserError(f"the mask id is not clear: {listed}; say which: load(directory, mask_id=…)")
    if chosen:
        return next(iter(chosen)), next(iter({**found, **named}))
    own = layout.mask_id
    return (None, None) if own is None else (own if own >= 0 else rows + own, FAMILY)


def added_ids(files: Mapping[str, Json]) -> dict[str, int]:
    """Added tokens by their text, from all files that list them."""
    where = "tokenizer_config.json: added_tokens_decoder"
    listed = (files.get("tokenizer_config.json") or {}).get("added_tokens_decoder") or {}
    if not isinstance(listed, Mapping):
        raise UserError(f"{where} must be an object, not {listed!r}")
    decoder = {}
    for row, entry in listed.items():
        if not row.isdecimal() or not isinstance(entry, Mapping) or not isinstance(entry.get("content"), str):
            raise UserError(f'{where}: {row!r} must be an id with its "content", not {entry!r}')
        decoder[entry["content"]] = int(row)
    added = {
        text: _id(f"added_tokens.json: {text!r}", row) for text, row in (files.get("added_tokens.json") or {}).items()
    }
    found = {**decoder, **added, **added_tokens(files.get("tokenizer.json") or {})}
    return {text: row for text, row in found.items() if text}


def _one(config: Json, name: str) -> int | None:
    """The first of several ids, where a config lists them."""
    value = config.get(name)
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else _id(f"config.json: {name}", value)


def _id(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{what} must be a whole number, not {value!r}")
    return value
