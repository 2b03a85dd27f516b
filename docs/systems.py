"""Writes docs/systems/: a page per family of systems with its recipes, its derivation and the laws that hold for it.

Derivations are the documentation of the modules that implement them, recipes are the files of the package; a test
checks that the pages are up to date.

python docs/systems.py
"""

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import undiffuse
from undiffuse.exact.verify import all_laws
from undiffuse.kinds import DESTINATIONS, GAMMAS, OBJECTIVES, PROCESSES, SCHEDULES, Components
from undiffuse.process.jumps import Jumps
from undiffuse.training.recipe import resolve

FOLDER = Path(__file__).with_suffix("")
PACKAGE = Path(undiffuse.__file__).parent


@dataclass(frozen=True)
class System:
    """A row of the field: recipes that share a process, the files of laws that hold for them, and what to read besides.

    `patterns` are what `undiffuse verify` is told to check them; `extra` are modules that no recipe names: samplers,
    operators.
    """

    name: str
    title: str
    recipes: tuple[str, ...]
    laws: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


INTERPOLATING = ("bounds", "forms", "marginals", "steps", "samplers", "heads")
SYSTEMS = (
    System(
        "masked",
        "Masked diffusion: MDLM, LLaDA, RADD, MD4",
        ("mdlm", "llada", "default", "md4"),
        (*INTERPOLATING, "any_order", "objectives", "schedules", "times"),
        ("mask",),
        ("likelihood.early",),
    ),
    System(
        "bert-15-99",
        "A fixed range of masks: BERT as a diffusion model",
        ("bert-15-99",),
        ("objectives",),
        ("objective/clipped",),
    ),
    System("diffusion-bert", "Rare tokens first: DiffusionBERT", ("diffusion-bert",), ("spindle",), ("spindle",)),
    System(
        "d3pm",
        "Discrete time: D3PM",
        ("d3pm-absorb", "d3pm-uniform", "d3pm-matrix"),
        ("discrete_time", "matrix", "samplers"),
        ("discrete", "matrix"),
    ),
    System(
        "sedd",
        "Ratios of probabilities: SEDD",
        ("sedd-absorb", "sedd-uniform"),
        ("scores",),
        ("score", "tweedie", "euler"),
        ("process.scores",),
    ),
    System("udlm", "Uniform noise: UDLM", ("udlm",), INTERPOLATING, ("uniform",)),
    System(
        "duo", "Uniform noise read off Gaussian noise: Duo", ("duo", "duo-simple"), ("duo",), ("duo",), ("process.duo",)
    ),
    System(
        "mixtures",
        "Masks and uniform tokens: GIDD, XDLM",
        ("gidd", "xdlm"),
        (*INTERPOLATING, "schedules"),
        ("growing-mask", "mix"),
    ),
    System(
        "flow-matching",
        "Discrete flow matching",
        ("flow-matching",),
        ("flow_matching",),
        ("flow", "psi"),
        ("decode.strategies.flow_jump", "decode.strategies.psi"),
    ),
    System(
        "gaussian",
        "Noise on vectors: Diffusion-LM, CDCD, PLAID",
        ("diffusion-lm", "cdcd", "plaid"),
        ("gaussian", "diffusion_lm"),
        ("gaussian", "diffusion-lm"),
    ),
    System("block", "Block diffusion: BD3-LM", ("block",), ("blocks",), ("block",)),
    System("autoregressive", "The autoregressive twin", ("ar", "ar-regularized")),
)
ALSO = {"default": "`default` (also `radd`)"}


def page(system: System) -> str:
    """One page, Markdown."""
    parts = [f"# {system.title}\n", "Written by `python docs/systems.py` from the package.\n"]
    parts += ["## Recipes\n"]
    for recipe in system.recipes:
        parts += _recipe(recipe)
    parts += ["## Use\n", _use(system)]
    parts += ["## Derivation\n"]
    for module in _modules(system):
        parts += _derivation(module)
    if system.laws:
        parts += ["## Laws\n", _laws(system)]
    parts += ["## Compared\n", COMPARED]
    return "\n".join(parts)


COMPARED = "All systems in one unit, trained alike on one text: [comparison](../comparison.md).\n"


def index() -> str:
    """The list of the pages."""
    rows = [
        f"| [{system.title}]({system.name}.md) | {', '.join(f'`{recipe}`' for recipe in system.recipes)} |"
        for system in SYSTEMS
    ]
    return "\n".join(
        [
            "# Systems\n",
            "A page for each family of diffusion language models: recipes with the numbers to expect, the derivation,",
            "and the laws that `undiffuse verify` checks by exact enumeration. What they share and how they differ:",
            "[processes](../processes.md). Written by `python docs/systems.py`.\n",
            "| system | recipes |\n|---|---|",
            *rows,
            "",
        ]
    )


def pages() -> dict[Path, str]:
    """Every file of the folder."""
    return {FOLDER / f"{system.name}.md": page(system) for system in SYSTEMS} | {FOLDER / "README.md": index()}


def _recipe(name: str) -> list[str]:
    """Header as prose, command and table of a recipe's file."""
    lines = (PACKAGE / "recipes" / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    size = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    header = [line.lstrip("# ") for line in lines[:size]]
    command = next(line for line in header if line.startswith("undiffuse "))
    prose = " ".join(line for line in header if line and line != command)
    body = "\n".join(lines[size:]).strip()
    shown = f"```toml\n{body}\n```\n" if body else "Everything is the default.\n"
    title = ALSO.get(name, f"`{name}`")
    return [f"### {title}\n", textwrap.fill(prose, 118) + "\n", f"```\n{command}\n```\n", shown]


def _use(system: System) -> str:
    name = system.recipes[0]
    configuration = resolve(name).configuration
    blanks = not configuration.model.get("causal") and configuration.model.get("block_length") is None
    lines = [f"undiffuse train mytext.txt --recipe {name} --out runs/{name}"]
    lines += [f'undiffuse fill "To be, or ____ to be" --model runs/{name}'] if blanks else []
    lines += [f"undiffuse generate --model runs/{name}", f"undiffuse score mytext.txt --model runs/{name}"]
    lines += [f"undiffuse study processes mytext.txt --minutes 2 --recipes {','.join(system.recipes)}"]
    return "```\n" + "\n".join(lines) + "\n```\n"


def _modules(system: System) -> Iterator[str]:
    """The modules with the mathematics of the recipes, each once: processes and their parts, `extra`, objectives."""
    found: dict[str, None] = {}
    settings = [resolve(recipe).configuration for recipe in system.recipes]
    for configuration in settings:
        if configuration.model.get("causal"):
            continue
        process = configuration.to_dict()["process"]
        process_kind = process.get("kind") or "interpolating"
        if issubclass(PROCESSES.load(process_kind), Jumps):
            found["process.law"] = None
        found[_module(PROCESSES, process_kind)] = None
        for key, family in (("destination", DESTINATIONS), ("schedule", SCHEDULES), ("gamma", GAMMAS)):
            inner = process.get(key)
            kind = inner["kind"] if isinstance(inner, dict) else inner
            if kind is not None:
                found[_module(family, kind)] = None
    found |= dict.fromkeys(system.extra)
    found |= {_module(OBJECTIVES, c.to_dict()["objective"]["kind"]): None for c in settings}
    return iter(found)


def _module(family: Components, kind: str) -> str:
    return f"{family.package}.{kind.replace('-', '_')}".removeprefix("undiffuse.")


def _derivation(module: str) -> list[str]:
    """What the module says before its code: one line as prose, a derivation as it is set there."""
    path = PACKAGE / (module.replace(".", "/") + ".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, _, rest = text.partition("\n\n")
    name = f"`{path.relative_to(PACKAGE.parent).as_posix()}`: "
    lines = [textwrap.fill(name + " ".join(first.split()), 118) + "\n"]
    return [*lines, f"```text\n{rest.strip()}\n```\n"] if rest else lines


def _laws(system: System) -> str:
    rows = [
        f"| `{law.name}` | {_said(law.error.__doc__)} |"
        for law in all_laws()
        if law.error.__module__.rpartition(".")[2] in system.laws
    ]
    checks = "\n".join(f"undiffuse verify {pattern}" for pattern in system.patterns)
    return "\n".join([f"```\n{checks}\n```\n", "| law | what is compared |", "|---|---|", *rows, ""])


def _said(text: str | None) -> str:
    """The first paragraph, in one line of a table."""
    return " ".join((text or "").partition("\n\n")[0].split()).replace("|", "\\|")


def write(files: dict[Path, str]) -> Sequence[Path]:
    """Writes the folder, and returns what it holds that is no page of it any more."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return [path for path in sorted(FOLDER.glob("*.md")) if path not in files]


if __name__ == "__main__":
    for stale in write(pages()):
        stale.unlink()
