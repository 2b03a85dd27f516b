"""Networks that another package computes: whether it is there, and an outline of one.

For each family that names a package the module `FAMILY_network` beside this one wraps the package's own classes, and is
imported when such a network is loaded: nothing else here needs the package.
"""

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import torch

from ..errors import UserError
from ..models.base import Network
from ..models.family import Shape

EXTRA = 'pip install "undiffuse[hf]"'
LEAST = (5, 23)
"""The earliest release that the tests were run with; 5.12 is the first that has these networks."""


def required(family: str, package: str) -> None:
    """UserError, with the command that installs it, where the package is missing or too old."""
    found = installed(package)
    if found is None:
        raise UserError(f"networks of the family {family} are computed by {package}, which is missing: {EXTRA}")
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise UserError(f"networks of the family {family} need {package} {least} or later, not {found}: {EXTRA} -U")


def installed(package: str) -> str | None:
    """The version of a package that is there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def outline(family: str, package: str, shape: Shape, parameters: Mapping[str, tuple[int, ...]]) -> Network:
    """The network without memory: names and shapes of its parameters. UserError unless they are the given ones."""
    required(family, package)
    module = importlib.import_module(f".{family.replace('-', '_')}_network", __package__)
    with torch.device("meta"):
        network: Network = module.network(shape)
    made = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if made != parameters:
        names = sorted(name for name in made.keys() | parameters.keys() if made.get(name) != parameters.get(name))
        raise UserError(
            f"{package} {installed(package)} makes {names[0]} of shape {made.get(names[0])}, and the config says "
            f"{parameters.get(names[0])}: install another release of {package}"
        )
    return network
