"""Every component that exists, by name: what the laws loop over. A new file of a family appears here by itself."""

from ..kinds import DESTINATIONS, SCHEDULES
from ..process.destinations.destination import Destination
from ..process.destinations.growing_mask import GrowingMask
from ..process.destinations.mask import Mask
from ..process.destinations.mix import Mix
from ..process.destinations.uniform import Uniform
from ..process.interpolating import Interpolating
from ..process.schedules.gidd import Gidd
from ..process.schedules.one_minus_t import OneMinusT
from ..process.schedules.polynomial import Polynomial
from ..process.schedules.schedule import Schedule
from .world import World


def schedules() -> dict[str, Schedule]:
    """Every schedule at its defaults, and second values of parameters that change the shape of the curve."""
    return {kind: SCHEDULES.build({"kind": kind}) for kind in SCHEDULES.kinds} | {
        "polynomial power=0.5": Polynomial(0.5),
        "gidd uniform_share=0.4 shape=2": Gidd(0.4, 2.0),
    }


def destinations() -> dict[str, Destination]:
    """Every destination at its defaults, and second parameters."""
    return {kind: DESTINATIONS.build({"kind": kind}) for kind in DESTINATIONS.kinds} | {
        "mix uniform_share=0.6": Mix(0.6),
    }


def processes(world: World) -> dict[str, Interpolating]:
    """Every pair of a schedule and a destination that constructs."""
    found = {}
    for schedule_name, schedule in schedules().items():
        for destination_name, destination in destinations().items():
            try:
                process = Interpolating(world.vocabulary, schedule, destination)
            except ValueError:
                continue
            found[f"{destination_name}, {schedule_name}"] = process
    return found


def masked(world: World) -> dict[str, Interpolating]:
    """The processes without uniform noise: those with a time-free optimum."""
    return {name: process for name, process in processes(world).items() if not process.destination.uniform}


def golden(world: World) -> dict[str, Interpolating]:
    """The four processes whose golden numbers the laws hold."""
    vocabulary, line = world.vocabulary, OneMinusT()
    return {
        "uniform": Interpolating(vocabulary, line, Uniform()),
        "mix k=.3": Interpolating(vocabulary, line, Mix(0.3)),
        "growing-mask p=.2": Interpolating(vocabulary, Gidd(0.2), GrowingMask(0.2)),
        "mask": Interpolating(vocabulary, line, Mask()),
    }
