"""What a place is that holds no model, so that an error can say more than that."""

from pathlib import Path

from ..errors import UserError, did_you_mean

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Endings of files that are programs as much as weights, and are never opened."""
FEW = 8
"""Names that an error lists."""
PICKLED = (
    "programs and never opened, take the model as safetensors (most models on Hugging Face have a branch or a copy "
    "with them)"
)


def no_model(place: Path) -> UserError:
    """Why `place`, which has neither a manifest nor a config, cannot be loaded, and what to do."""
    if place.is_dir():
        return UserError(f"{place} is not a model, it has no manifest.json and no config.json: {_within(place)}")
    if place.exists():
        return UserError(f"{place} is not a model, it is a file: {_of_file(place)}")
    return UserError(f"there is no model directory {place}{_beside(place)}")


def _beside(place: Path) -> str:
    """The nearest name, or all where they are few, of directories and GGUF files that are there."""
    parent = place.parent
    names = (
        [path.name for path in parent.iterdir() if path.is_dir() or path.suffix == ".gguf"] if parent.is_dir() else []
    )
    said = did_you_mean(place.name, names) if names else ""
    return said if said.startswith("; did") or len(names) <= FEW else ""


def pickled(directory: Path) -> str | None:
    """What to say of a directory with pickled weights; None where there are none."""
    names = sorted(path.name for path in directory.iterdir() if path.suffix in PICKLES)
    return f"its weights are pickled ({names[0]}), which are {PICKLED}" if names else None


def _of_file(path: Path) -> str:
    if path.suffix in PICKLES:
        return f"pickled weights are {PICKLED}"
    if path.suffix in (".safetensors", ".json"):
        return f"name its directory, {path.parent}"
    return "a model is a directory, or a file whose name ends in .gguf"


def _within(directory: Path) -> str:
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not names:
        return "it is empty"
    if "run.json" in names:
        return f"it is a run that did not finish: undiffuse train --resume {directory}"
    if "model_index.json" in names:
        return "it is a pipeline of diffusers, whose models are not of text"
    if files := [name for name in names if name.endswith(".gguf")]:
        return f"name a file in it, as in {directory / files[0]}"
    if held := [
        name for name in names if any((directory / name / f).is_file() for f in ("manifest.json", "config.json"))
    ]:
        return f"name a directory in it, as in {directory / held[0]}"
    if said := pickled(directory):
        return said
    if any(name.endswith(".safetensors") for name in names):
        return "its weights are there; copy its config.json and tokenizer too"
    return "name a run, a public checkpoint or a GGUF file"
