"""Defaults, then a recipe, then KEY=VALUE: the configuration of a run, and where each of its values comes from."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ..errors import UserError, did_you_mean
from .assembly import check
from .configuration import Configuration, flat, read_configuration
from .start import Start

Origin = Literal["default", "start", "recipe", "override"]
BY_KIND = (
    "process.schedule",
    "process.destination",
    "process.gamma",
    "model.feed_forward",
    "model.stretch",
    "objective",
    "objective.times",
    "optimizer",
)
"""Keys whose value may be written as the name of a kind alone."""
ALIASES = {"radd": ("default", "RADD's loss over equal counts of masks without time input (Ou et al. 2024)")}
"""Published systems that another recipe is already: its name, and what the system is."""


@dataclass(frozen=True)
class Resolved:
    """A configuration, and the origin of each value by its dotted key."""

    configuration: Configuration
    origins: Mapping[str, Origin]


def resolve(
    recipe: str | Path | None = None,
    overrides: Sequence[str] = (),
    start: Start | None = None,
    components: Mapping[str, Mapping[str, Any]] | None = None,
) -> Resolved:
    """Reads a recipe by name or path and applies overrides such as `model.width=192` or `objective=cross-entropy`.

    Without a recipe it is `default`, or with a start what its model was trained by; so is the objective where a recipe
    names none. Network, tokenizer and process are those of the start. `components` are descriptions in place of what
    the recipe says of an objective or a process, before the overrides. UserError for an unknown recipe, key or kind
    (with the nearest name), a wrong type, an impossible combination, or what contradicts the start.
    """
    as_before = recipe is None and start is not None and start.recipe
    tree = _expanded(as_before or _read_recipe("default" if recipe is None else recipe))
    origins: dict[str, Origin] = dict.fromkeys(flat(tree), "start" if as_before else "recipe")
    if start is not None and "objective" not in tree:
        tree["objective"] = _expanded({"objective": dict(start.recipe["objective"])})["objective"]
        origins |= dict.fromkeys(flat({"objective": tree["objective"]}), "start")
    for name, described in (components or {}).items():
        origins = {key: origin for key, origin in origins.items() if key.partition(".")[0] != name}
        tree[name] = _copied(described)
        origins |= dict.fromkeys(flat({name: tree[name]}), "override")
    _add_default_kinds(tree)
    # kinds before parameters, outer before inner, whatever order they were typed in
    for key, value in sorted(
        _once(map(_parse, overrides)), key=lambda pair: (not pair[0].endswith(".kind"), pair[0].count("."))
    ):
        for dropped in _set(tree, key, value):
            origins.pop(dropped, None)
        origins |= dict.fromkeys(flat({key: value}), "override")
    configuration = read_configuration(tree)
    if start is not None:
        configuration = start.configured(configuration, origins)
        taken: dict[str, Origin] = dict.fromkeys(filter(start.decides, flat(configuration.to_dict())), "start")
        origins = taken | origins
    elif configuration.tokenizer.kind == "wordpiece":
        raise UserError("a tokenizer 'wordpiece' is not trained here: use 'bpe' or 'byte', or start from a model")
    check(configuration, None if start is None else start.tokenizer)
    return Resolved(configuration, {key: origins.get(key, "default") for key in flat(configuration.to_dict())})


def _copied(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copied(value) if isinstance(value, Mapping) else value for name, value in tree.items()}


def recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    files = (p.name.removesuffix(".toml") for p in _home().iterdir() if p.name.endswith(".toml"))
    return tuple(sorted((*files, *ALIASES)))


def describe_recipe(name: str) -> str:
    """The first line of a recipe's header, or which recipe it is."""
    if name in ALIASES:
        same, system = ALIASES[name]
        return f"{system}: another name of {same!r}."
    return _home().joinpath(f"{name}.toml").read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def _home() -> Any:
    return resources.files("undiffuse") / "recipes"


def _read_recipe(recipe: str | Path) -> dict[str, Any]:
    is_path = isinstance(recipe, Path) or recipe.endswith(".toml") or "/" in recipe
    if not is_path and recipe not in recipes():
        raise UserError(
            f"there is no recipe {str(recipe)!r}{did_you_mean(str(recipe), recipes())}; a path ends in .toml"
        )
    file = ALIASES.get(str(recipe), (recipe, ""))[0]
    source = Path(recipe) if is_path else _home() / f"{file}.toml"
    try:
        return tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read the recipe {recipe}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UserError(f"the recipe {recipe} is not valid TOML: {error}") from error


def _parse(override: str) -> tuple[str, Any]:
    """KEY=VALUE: a dotted key, and a TOML value; what is not TOML is a string, so quotes may be left out."""
    key, equals, text = override.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key or not text:
        raise UserError(f"{override!r} is not of the form KEY=VALUE, for example model.width=192")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return (f"{key}.kind", value) if key in BY_KIND and isinstance(value, str) else (key, value)


def _once(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """UserError for a key that has two values."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UserError(f"{key.removesuffix('.kind')} is given twice: leave out one of its values")
        found[key] = value
    return list(found.items())


def _expanded(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The tree with components that are given by name alone written as tables."""
    return {
        name: {"kind": value}
        if prefix + name in BY_KIND and isinstance(value, str)
        else _expanded(value, f"{prefix}{name}.")
        if isinstance(value, dict)
        else value
        for name, value in tree.items()
    }


def _add_default_kinds(tree: dict[str, Any]) -> None:
    """Says of every component which kind it is, so that its parameters can be set alone."""
    defaults = Configuration().to_dict()
    keys = ["tokenizer", "objective", "optimizer"]
    noise = tree.get("process", {})
    if isinstance(noise, dict) and noise.get("kind", "interpolating") in ("interpolating", "discrete"):
        keys += ["process.schedule", "process.destination"]
    for key in keys:
        table, default = tree, defaults
        for part in key.split("."):
            table, default = _below(table, part, key), default[part]
        table.setdefault("kind", default["kind"])


def _set(tree: dict[str, Any], key: str, value: Any) -> list[str]:
    """Sets a leaf. Another kind of a component drops the parameters of the kind before, which are returned."""
    *path, last = key.split(".")
    for part in path:
        tree = _below(tree, part, key)
    dropped = []
    if last == "kind" and tree.get("kind") != value:
        dropped = list(flat(tree, ".".join(path) + "."))
        tree.clear()
    tree[last] = value
    return dropped


def _below(tree: dict[str, Any], part: str, key: str) -> dict[str, Any]:
    below = tree.setdefault(part, {})
    if not isinstance(below, dict):
        raise UserError(f"cannot set {key}: {part} = {below!r} is not a table")
    return below
