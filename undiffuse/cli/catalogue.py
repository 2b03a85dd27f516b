"""`undiffuse list`: what exists, read from the tree."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError, did_you_mean

if TYPE_CHECKING:
    from ..kinds import Components

Entries = Iterable[tuple[str, str]]
"""Names with one line each."""

MEANING = {
    "processes": "how text is destroyed in training and restored in decoding (process.kind)",
    "schedules": "how much of the text is destroyed at each noise level (process.schedule)",
    "destinations": "what destroyed tokens become (process.destination)",
    "noise curves": "how Gaussian noise grows with the level (process.gamma)",
    "objectives": "what training minimizes (objective)",
    "times": "how a batch draws its noise levels (objective.times)",
    "models": "networks",
    "feed-forward layers": "what a layer does to every row alone (model.feed_forward)",
    "layers": "how the layers of a network stand around attention and feed-forward (model.layer)",
    "stretches": "how rotary positions are slowed for longer texts (model.stretch)",
    "families": "of public checkpoints that can be loaded (--model DIR)",
    "optimizers": "how weights follow gradients (optimizer)",
    "trackers": "programs that show the metrics of a run (training.track)",
    "strategies": "which tokens each step of decoding decides (--strategy)",
    "caches": "what is kept between the steps of decoding (--cache)",
    "guidances": "how a condition is followed more, or less, than the network does by itself",
    "correctors": "what improves a text between two steps (strategy predictor-corrector)",
    "recipes": "published systems and the default, ready to train (--recipe)",
    "demos": "small tasks that train live and check themselves (undiffuse demo NAME)",
}
"""What each sort is for, and where its names are used."""


def catalogue(
    sort: Annotated[
        str | None,
        typer.Argument(metavar="COMPONENTS", help="One sort of them, such as strategies (default: all sorts)."),
    ] = None,
) -> None:
    """List what can be chosen by name: strategies, schedules, recipes, and more.

    The name is what options such as --strategy take, and the `kind` in a recipe. `families` are those of the public
    checkpoints that can be loaded.
    """
    sorts = _sorts()
    if sort is not None:
        wanted = sort if sort in sorts else _plural(sort)
        if wanted not in sorts:
            raise UserError(f"there are no components called {sort!r}{did_you_mean(sort, sorts)}")
        sorts = {wanted: sorts[wanted]}
    print("\n\n".join(_section(plural, list(entries())) for plural, entries in sorts.items()))


def _sorts() -> dict[str, Callable[[], Entries]]:
    """The entries of every sort, read when they are asked for: a component's line is in its code."""
    from ..kinds import COMPONENTS

    components = {_plural(name): partial(_components, found) for name, found in COMPONENTS.items()}
    return components | {
        "strategies": partial(_strategies, COMPONENTS["strategy"]),
        "recipes": _recipes,
        "demos": _demos,
    }


def _components(family: "Components") -> Entries:
    return ((kind, family.summary(kind)) for kind in family.kinds)


def _strategies(family: "Components") -> Entries:
    from ..language_model.settings import PRESETS

    yield from _components(family)
    yield from ((name, f"Preset: {preset.summary}") for name, preset in PRESETS.items())


def _recipes() -> Entries:
    from ..training.recipe import describe_recipe, recipes

    return ((name, describe_recipe(name)) for name in recipes())


def _demos() -> Entries:
    from ..demo.showpiece import names, showpiece

    return ((name, showpiece(name).summary) for name in names())


def _section(title: str, entries: list[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in entries), default=0)
    return "\n".join(
        [f"{title}: {MEANING.get(title, '')}".rstrip(), *(f"  {name:<{width}}  {line}" for name, line in entries)]
    )


def _plural(name: str) -> str:
    if name.endswith("y"):
        return name[:-1] + "ies"
    if name.endswith(("ss", "ch")):
        return name + "es"
    return name if name.endswith("s") else name + "s"
