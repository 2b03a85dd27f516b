"""Models on Hugging Face by their ids (`GSAI-ML/LLaDA-8B-Instruct`), through huggingface_hub and its cache.

Configs, tokenizers, templates and safetensors are fetched, or one GGUF file that is named after the id: never code, and
never pickles. What an id means is for huggingface_hub to say: its cache, its token, its mirror (HF_ENDPOINT), and
whether there is a network at all (HF_HUB_OFFLINE).
"""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ..errors import UserError
from .no_model import PICKLED
from .safetensors_file import Entry, entries_of, header_of
from .stored_tensors import CONFIG, INDEX, WEIGHTS, HeaderOf, files_of_index

ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MANIFEST = "manifest.json"
SMALL = ("*.json", "*.jinja", "merges.txt", "vocab.txt")
"""Of the top folder alone: what a directory has beside its weights, as far as it is read."""


def is_id(source: str | Path) -> bool:
    """Whether a name that may be a path means a model on Hugging Face: what exists here, or its folder, is a path."""
    text = source.as_posix() if isinstance(source, Path) else source
    owner, _, rest = text.partition("/")
    name = rest.partition("/")[0] if text.endswith(".gguf") else rest
    return not Path(text).exists() and not Path(owner).exists() and ID.fullmatch(f"{owner}/{name}") is not None


def fetched(source: str | Path, revision: str | None = None) -> Path:
    """The directory in huggingface_hub's cache, or the GGUF file, with everything that is read of a model."""
    text = source.as_posix() if isinstance(source, Path) else source
    owner, name, *rest = text.split("/")
    repository = f"{owner}/{name}"
    if rest:
        with _told(repository, revision):
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(repository, "/".join(rest), revision=revision))
    directory = _described(repository, revision)
    weights = files_of_index(directory) if (directory / INDEX).is_file() else [WEIGHTS]
    directory = _snapshot(repository, directory.name, [*SMALL, *map(glob.escape, weights)])
    missing = [file for file in weights if not (directory / file).is_file()]
    if missing:
        raise _missing(repository, missing[0])
    return directory


def outlined(source: Path, revision: str | None) -> tuple[Path, HeaderOf | None]:
    """Where a model of Hugging Face lies here as far as its headers need it, and what reads those that are not here.

    Of a public checkpoint no weights are fetched. None where all of the model is here, as it is of a GGUF
    file and of a run.
    """
    if source.suffix == ".gguf":
        return fetched(source, revision), None
    directory = _described(source.as_posix(), revision)
    if (directory / MANIFEST).is_file():
        return fetched(source, revision), None
    return directory, partial(_header, source.as_posix(), revision, directory.name)


def _described(repository: str, revision: str | None) -> Path:
    """The directory in the cache, with what a model has beside its weights."""
    directory = _snapshot(repository, revision, SMALL)
    if not (directory / CONFIG).is_file() and not (directory / MANIFEST).is_file():
        raise UserError(
            f"{repository} has no config.json: it is no model that is read; of a repository of GGUF files name one, "
            f"as in {repository}/model-q8_0.gguf"
        )
    return directory


def _header(repository: str, revision: str | None, commit: str, path: Path) -> dict[str, Entry]:
    """The header of a file in the cache, or else on Hugging Face, from the beginning of the file alone."""
    if path.is_file():
        return header_of(path)
    with _told(repository, revision):
        from huggingface_hub import HfApi, errors

        try:
            found = HfApi().parse_safetensors_file_metadata(repository, path.name, revision=commit)
        except errors.EntryNotFoundError as error:
            raise _missing(repository, path.name) from error
        except errors.SafetensorsParsingError as error:
            raise UserError(f"{path.name} of {repository} has no header that is read: {_line(error)}") from error
    said = {
        name: {"dtype": each.dtype, "shape": each.shape, "data_offsets": each.data_offsets}
        for name, each in found.tensors.items()
    }
    return entries_of(path, said)


def _missing(repository: str, file: str) -> UserError:
    return UserError(
        f"{repository} has no {file} in the cache or on Hugging Face: pickled weights (pytorch_model.bin) are {PICKLED}"
    )


def _snapshot(repository: str, revision: str | None, files: Sequence[str]) -> Path:
    with _told(repository, revision):
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=list(files), ignore_patterns=["*/*"])
        )


@contextmanager
def _told(repository: str, revision: str | None) -> Iterator[None]:
    """Every way in which huggingface_hub fails, as one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{repository} asks for consent: accept its terms at https://huggingface.co/{repository} and log in "
            "(hf auth login)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{repository} has no revision {revision!r} on Hugging Face") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"there is neither a file nor a directory {repository}, nor a model of that name on Hugging Face that this "
            "computer may read (if it is private: hf auth login)"
        ) from error
    except errors.HFValidationError as error:
        raise UserError(f"{repository} is no name of a model on Hugging Face: {_line(error)}") from error
    except (OSError, errors.HTTPError) as error:
        from huggingface_hub import constants

        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _line(error)
        raise UserError(
            f"there is neither a file nor a directory {repository}, the cache of huggingface_hub does not hold all of "
            f"a model of that name{f' at {revision}' if revision else ''}, and it cannot be fetched: {why}"
        ) from error


def _line(error: BaseException) -> str:
    """The first line of what a library says, without the name of its exception's class."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text.removeprefix("Got: ")
