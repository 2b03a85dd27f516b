"""Which parameters a run trains: all of the network's, those that patterns name, and what adapters bring along."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from torch import nn

from ..errors import UserError


class Adapter(Protocol):
    """Parameters put into a network to be trained beside or instead of its own: low-rank updates, soft prompts."""

    def attach(self, network: nn.Module) -> None:
        """Registers them in modules of the network, whose own parameters stay what they are."""
        ...

    def merge(self, network: nn.Module) -> None:
        """Folds them into the network's own parameters and takes them out again."""
        ...


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Leaves those parameters trainable that a pattern names (`blocks.*.attention.*`).

    UserError for a pattern that names none.
    """
    names = dict(network.named_parameters())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            known = dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in names)
            raise UserError(f"training.train: no parameter is called {pattern!r}; there are {', '.join(known)}")
    for name, parameter in names.items():
        parameter.requires_grad_(any(fnmatchcase(name, pattern) for pattern in patterns))
