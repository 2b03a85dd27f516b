"""From a directory to a model one can talk to."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from ..device import AUTO, devices_of
from . import storage
from .arguments import flag, function, names, path, string
from .checkpoints import Progress
from .model import LanguageModel
from .named import Found, find
from .number_formats import number_format
from .overrides import Overrides


def load(
    directory: str | Path | Found | None = None,
    *,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype | None = None,
    family: str | None = None,
    mask_id: int | None = None,
    attention: str | None = None,
    shift: bool | None = None,
    check_head: bool = True,
    plugins: Collection[str] = (),
    revision: str | None = None,
    progress: Progress | None = None,
) -> LanguageModel:
    """The model in a directory or a GGUF file, of a name, or of the newest run. UserError for anything not whole.

    Names are those of `list_models()`; a path that exists wins. Without a run it is the model that comes with this
    package, which is said on stderr. What does not exist here and has the form of an id of Hugging Face
    (`GSAI-ML/LLaDA-8B-Instruct`) is taken from there, at a `revision`, through huggingface_hub and its cache: configs,
    tokenizers and safetensors alone.

    A directory of a public family (`undiffuse list families`) loads as it is published. `family`, `mask_id`,
    `attention` (full, causal or block:N) and `shift` (row i − 1 speaks of position i) overrule what its files say.
    Without a `dtype` (a name, or torch's) it keeps the one it is stored in; models of our own and quantized ones are
    float32. With "int8" matrices take a byte for each number, and the rest is bfloat16. Of several devices (all GPUs,
    or those of "cuda:0,cuda:1") the first holds the model, or all share its layers if that has no room for them.

    With `check_head` a manifest is refused too if the network's answers contradict the kind of head that it claims. A
    model with components of other packages is loaded only if `plugins` names those: loading imports them, and so runs
    their code. `progress` is called with the count of numbers read so far, and of all.
    """
    said = None if directory is None or isinstance(directory, Found) else path("directory", directory)
    revision = None if revision is None else string("revision", revision)
    arguments: dict[str, Any] = {
        "devices": devices_of(device),
        "dtype": number_format(dtype),
        "overrides": Overrides.of(family, mask_id, attention, shift),
        "check_head": flag("check_head", check_head),
        "plugins": names("plugins", plugins),
        "progress": None if progress is None else function("progress", progress),
    }
    found = directory if isinstance(directory, Found) else find(said, revision)
    if found is not directory and found.bundled:
        print(found.note, file=sys.stderr)
    return LanguageModel.of(storage.read(found, **arguments))
