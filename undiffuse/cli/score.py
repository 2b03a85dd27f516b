"""`undiffuse score`: how likely a text is under a model, with error bars."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..figures import error, figure
from .options import (
    AttentionKind,
    Dtype,
    Family,
    Json,
    MaskId,
    Model,
    ModelDevice,
    Plugins,
    Revision,
    Seed,
    Shift,
    Threads,
)

if TYPE_CHECKING:
    from ..language_model import Score


def score(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Texts to measure; - reads standard input.")],
    model: Model = None,
    draws: Annotated[
        int | None, typer.Option("--draws", metavar="N", min=1, help="Random noise levels for each token.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="P", help="Draw until the standard error is below P of the mean, as 1%."),
    ] = None,
    per_token: Annotated[bool, typer.Option("--per-token", help="Also the nats of each token.")] = False,
    per_text: Annotated[bool, typer.Option("--per-text", help="Also the nats of each text.")] = False,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="PAPER",
            help="Count as the code of a paper does (sedd, duo, gidd, mdlm), to compare with its table.",
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
    device: ModelDevice = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
    revision: Revision = None,
) -> None:
    """Measure the likelihood of texts, with standard errors.

    The unit to compare models by is bits per byte: it does not depend on the tokenizer. Of JSONL records with a prompt
    the response is measured, given the prompt.
    """
    from .console import print_json
    from .loading import load_model
    from .source import read_texts

    if draws is not None and precision is not None:
        raise UserError("--draws and --precision both say how long to draw: use one of them")
    share = None if precision is None else fraction(precision)
    texts, prompts = read_texts(files)
    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
    found = loaded.score(texts, prompts=prompts, draws=draws, precision=share, per_token=per_token, seed=seed, as_=as_)
    if json:
        print_json(found.json(per_text))
    else:
        _show(found, per_text)


def fraction(text: str) -> float:
    """`1%` or `0.01` as 0.01; UserError outside (0, 1)."""
    number = text.removesuffix("%")
    try:
        value = float(number) / (100 if number != text else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise UserError(f"--precision {text}: give a share of the mean between 0 and 1, such as 1% or 0.01")
    return value


def _show(found: "Score", per_text: bool) -> None:
    """A table: quantity, value, and standard error or interval."""
    bits, bits_error = found.bits_per_byte
    nats, nats_error = found.nats_per_token
    value, low, high = found.estimate.perplexity
    from ..visible import one_line

    record = found.json()
    terms = "  ".join(f"{name} {figure(nats, 4)}" for name, nats in record["terms"].items())
    kind = record["kind"] if found.estimate.steps is None else f"{record['kind']} of {found.estimate.steps} steps"
    if found.convention is not None:
        print(f"{found.convention.label}; not a bound")
    print(f"bits per byte   {figure(bits, 4)}{error(bits_error, 4)}  ({kind}, {record['draws']} draws)")
    print(f"nats per token  {figure(nats, 4)}{error(nats_error, 4)}  ({terms})")
    name = "perplexity" if found.convention is None else f"perplexity as {found.convention.name}"
    interval = f"95 % interval of the draws: {figure(low, 2)} to {figure(high, 2)}"
    few = f"{record['draws']} draws are too few to state an error: raise --draws, or leave it out"
    print(f"{name:<14}  {figure(value, 2)}  ({interval if math.isfinite(nats_error) else few})")
    given = f", given {found.prompts} prompts (not counted)" if found.prompts else ""
    print(f"text            {record['tokens']} tokens, {record['bytes']} bytes{given}")
    for number, text in enumerate(found.texts if per_text else (), start=1):
        share = figure(text.nats, 3) + error(text.stderr, 3)
        print(f"text {number:<10} {share} nats, {text.tokens} tokens, {text.bytes} bytes")
    for token in found.per_token:
        print(f"{figure(token.nats, 3):>8}  {one_line(token.text)}")
