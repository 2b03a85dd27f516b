"""From one format of a model to another, without a change of what it says."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import UserError, did_you_mean
from ..kinds import CHECKPOINT_FAMILIES
from ..models.transformer import Transformer
from ..text.codec import Codec
from ..text.published_tokenizer import NoTokenizer
from ..text.tokenizer_file import PUBLISHED, own_of
from . import published_writing, storage
from .adapters import Adapted
from .arguments import names, path, string
from .gguf_model import SUFFIX
from .named import find
from .number_formats import number_format
from .overrides import Overrides
from .saved import OWN, Saved
from .trained import Trained


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    to: str | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    family: str | None = None,
    mask_id: int | None = None,
    attention: str | None = None,
    shift: bool | None = None,
    plugins: Collection[str] = (),
) -> Path:
    """Write a model into a new directory, in the layout of a family, or as a run ("undiffuse"); its path.

    `to` defaults to what it is; an adapter is merged into its base. Numbers stay as they are stored unless `dtype`
    names a format (quantized ones become float32; a run holds float32), so converting there and back gives the same
    bits. The other arguments are those of `load`. UserError before weights are read if the target has no words for the
    model, or if its place is taken.
    """
    source, destination = path("source", source), path("destination", destination)
    _check_place(destination)
    named = find(source, None if revision is None else string("revision", revision))
    found = storage.opened(named.place, Overrides.of(family, mask_id, attention, shift), names("plugins", plugins))
    own = found.layout if isinstance(found, Adapted) else OWN if isinstance(found, Saved) else found.family
    target = own if to is None else string("to", to)
    if target not in (OWN, *CHECKPOINT_FAMILIES.kinds):
        raise UserError(
            f"there is no family {target!r} to convert to{did_you_mean(target, (OWN, *CHECKPOINT_FAMILIES.kinds))}"
        )
    stored = torch.float32 if isinstance(found, Saved) else found.dtype
    wanted = _format(number_format(dtype), stored, target)
    model = found.described()
    model.trunk("converted")
    if target == OWN:
        model = replace(model, tokenizer=_own_tokenizer(model))
    else:
        published_writing.config_of(model, target)
    full = found.load((torch.device("cpu"),), wanted)
    if wanted == torch.float16:
        _check_finite(full)
    storage.save(replace(full, tokenizer=model.tokenizer, name=named.name), destination, target)
    return destination


def _check_place(destination: Path) -> None:
    if destination.suffix == SUFFIX:
        raise UserError(f"GGUF files are read and not written: name a directory in the place of {destination}")
    if destination.exists():
        raise UserError(f"{destination} exists and is not overwritten; choose another place")


def _format(asked: torch.dtype | None, stored: torch.dtype, target: str) -> torch.dtype:
    """The format to write. UserError for one that the target does not hold."""
    if asked == torch.int8:
        raise UserError("weights in int8 are not saved: convert to another format, and load that with --dtype int8")
    wanted = asked or stored
    if target == OWN and torch.promote_types(wanted, torch.float32) != torch.float32:
        raise UserError(
            f"a run holds float32, which is narrower than the {str(wanted)[6:]} of this model: say --dtype float32"
        )
    if target == OWN and asked not in (None, torch.float32):
        raise UserError(f"a run holds float32, not {str(asked)[6:]}: leave out --dtype")
    return wanted


def _own_tokenizer(model: Trained) -> Codec:
    """UserError where there is none, which a run cannot be without."""
    if isinstance(model.tokenizer, NoTokenizer):
        raise UserError(f"a run holds its tokenizer, and {model.name} has none: {model.tokenizer.fix}")
    if isinstance(model.tokenizer, PUBLISHED):
        return own_of(model.tokenizer, model.predictor.process.vocabulary)
    return model.tokenizer


def _check_finite(model: Trained) -> None:
    """UserError where float16 has no room for a number."""
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    for name, value in network.named_parameters():
        if not value.isfinite().all():
            raise UserError(f"float16 has no room for some numbers of {name}: take bfloat16 or float32")
