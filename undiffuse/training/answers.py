"""What a text of prompts and answers asks of a run that starts from a model: its template, and how long a row is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from ..data.corpus import Corpus
from ..data.packing import told
from ..data.speech import lengths
from ..errors import UserError
from ..language_model.voice import KEY, chat_record, template_of
from ..text.codec import Codec
from ..text.template import Template, known_templates
from .assembly import answering
from .configuration import Configuration
from .optimizers.adamw import AdamW
from .start import Start

AUTO, NONE = "auto", "none"
LONGEST = 512
"""Tokens of a row that are chosen at most; what is longer is learned in pieces."""
STEP = 1024
"""Tokens of a step, where its rows are not given."""
RATE = 0.3
"""Times the width: AdamW's learning rate, where none is given."""


def chat_of(source: Start | None, template: str | Path | None, text: Corpus) -> dict[str, Any] | None:
    """The record of a manifest by which prompts and conversations are written; None: a prompt before its response.

    UserError where conversations have nothing that could write them, and for a template that is not there.
    """
    talked = any(document.messages for document in text.documents)
    if source is None:
        if talked or template not in (None, NONE):
            raise UserError(
                "conversations are written as a model to start from answers them: name one (undiffuse finetune MODEL "
                "DATA), or give prompts and responses"
            )
        return None
    if template is None and not talked:
        return None
    if template in (None, AUTO):
        return own_of(source) if talked else known_of(source)
    if template == NONE:
        if talked:
            raise UserError("the text has conversations, and --template none has nothing to write them in")
        return None
    return _record(_read(template), source)


def own_of(source: Start) -> dict[str, Any]:
    """How a start takes part in conversations. UserError where it does not."""
    return _record(template_of(source.tokenizer, source.model.manifest).source, source)


def known_of(source: Start) -> dict[str, Any] | None:
    """The same, None where it does not."""
    try:
        return own_of(source)
    except UserError:
        return None


def _record(template: str, source: Start) -> dict[str, Any]:
    said = source.model.manifest.get(KEY) or {}
    return dict(chat_record(template, said.get("names") or {}, said.get("stops") or ())[KEY])


def _read(template: str | Path) -> str:
    path = Path(template)
    if str(template) in known_templates() and not path.exists():
        return Template.known(str(template), {}).source
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"the template {template} cannot be read ({reason}): name a file, auto, none, or one of "
            f"{', '.join(known_templates())}"
        ) from error


def rated(configuration: Configuration) -> Configuration:
    """With a learning rate for AdamW that suits the width of the network: updates take twice that of weights."""
    if not isinstance(configuration.optimizer, AdamW):
        return configuration
    rate = RATE / int(str(configuration.model["width"])) * (2 if configuration.lora.rank else 1)
    return replace(configuration, optimizer=replace(configuration.optimizer, lr=float(f"{rate:.2g}")))


def fitted(
    configuration: Configuration,
    tokenizer: Codec,
    parts: Sequence[Corpus],
    chat: Mapping[str, Any] | None,
    free: bool,
) -> tuple[Configuration, str]:
    """With rows that hold the longest conversation, where the context is `free`; and what the text was found to be."""
    train, valid = parts
    block = configuration.model["block_length"]
    bounded = configuration.model["positions"] == "learned" or not free
    most = configuration.context if bounded else max(configuration.context, LONGEST)
    how = answering(configuration, tokenizer, train, chat, min(most, LONGEST) if free else most)
    listed = told(train.documents, how)
    sizes = [len(each.ids) + max(how.canvas - each.answer.count(each.answer[-1]), 0) for each in listed]
    context = most
    if free:
        step = int(str(block)) if block is not None else 8
        context = min(most, max(min(max(sizes), LONGEST), 2 * how.canvas))
        context = min(-(-context // step) * step, most)
        configuration = replace(configuration, model={**configuration.model, "context": context})
    settings = configuration.training
    if settings.rows == "auto":
        whole = -(-sum(sizes) // context)
        rows = max(min(STEP // context, whole), 1)
        rows += -rows % settings.accumulation
        configuration = replace(configuration, training=replace(settings, rows=rows))
    answers = lengths(listed)
    long = sum(size > context for size in sizes)
    held = sum(each.answers for each in valid.documents)
    note = (
        f"{len(answers):,} answers of {min(answers)} to {max(answers)} tokens (median {median(answers):.0f}), "
        f"{'written by the chat template' if chat else 'each after its prompt'}; rows of {context} tokens; "
        f"{held:,} held out"
    )
    if how.padding != "ignore":
        note += f"; answers are learned on a canvas of {how.canvas} tokens, the rest of it end of text ({how.padding})"
    if long:
        note += f"; {long:,} of {len(sizes):,} are longer than a row and learned in pieces (model.context)"
    return configuration, note
