"""Shapes and types of arguments and results are checked while tests run: jaxtyping's checks, of a share of the calls.

A check costs more than most functions that it checks. So the first calls of every function in every test are checked,
the parameters of a test counted as one test, and one in many after those; with `--every-shape` (`make test-all`) all
are.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

PACKAGES = (
    *("process", "predictor", "objective", "likelihood", "decode", "randomness", "types"),
    *("models.attention", "models.layer", "models.conditioning", "models.feed_forward"),
    *("models.kv", "models.rotary", "models.rules"),
)
FIRST, OF_THE_REST = 8, 128
"""Calls of a function that are checked in a test, and one in how many after them."""


class Checks:
    """Which calls are checked; `begin` at the start of every test, with its name."""

    def __init__(self) -> None:
        self.every = False
        self.test = ""

    def begin(self, test: str) -> None:
        self.test = test

    def sometimes(self, plain: Callable[..., Any], checking: Callable[[Any], Any]) -> Callable[..., Any]:
        """What `checking` makes of `plain` in the calls that are checked, `plain` in the others."""
        test, calls = "", 0
        checked: Callable[..., Any] | None = None

        @functools.wraps(plain)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal test, calls, checked
            if test != self.test:
                test, calls = self.test, 0
            calls += 1
            if calls <= FIRST or self.every or not calls % OF_THE_REST:
                checked = checked or checking(plain)
                return checked(*args, **kwargs)
            return plain(*args, **kwargs)

        return call


def install(checks: Checks) -> None:
    """Must come before the first import of the packages."""
    import jaxtyping  # with numpy it is not for the process that only hands out tests

    original = jaxtyping.jaxtyped

    def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
        def decorate(found: Any) -> Any:
            if inspect.isfunction(found):
                return checks.sometimes(found, original(typechecker=typechecker))
            if inspect.isclass(found) and dataclasses.is_dataclass(found) and "__init__" in vars(found):
                found.__init__ = decorate(found.__init__)
            return found

        return decorate

    jaxtyping.jaxtyped = jaxtyped
    jaxtyping.install_import_hook([f"undiffuse.{name}" for name in PACKAGES], "beartype.beartype")
