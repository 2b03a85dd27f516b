"""`undiffuse config`: every value of a run's configuration with its origin."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

LONGEST = 100
"""Characters of a line that others are aligned with: a table of numbers is longer."""


def config(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name (see `undiffuse list recipes`) or path.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Values to change, such as model.width=192.")
    ] = None,
) -> None:
    """Print a configuration, every value with its origin.

    Origins are default, recipe and override. The output is a recipe itself: save it to a file and train with
    --recipe FILE.toml.
    """
    from ..training.configuration import flat
    from ..training.recipe import resolve

    resolved = resolve(recipe, overrides or ())
    print("\n".join(toml_lines(flat(resolved.configuration.to_dict()), resolved.origins)))


def toml_lines(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    """`key = value  # origin`, aligned. JSON writes every scalar and list as TOML does; TOML has no null."""
    written = {key: f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None}
    width = max(len(line) for line in written.values() if len(line) <= LONGEST)
    return [f"{line:<{width}}  # {origins[key]}" for key, line in written.items()]
