"""The process's own reverse chain."""

from dataclasses import dataclass

from ...process.process import Process
from ..reverse import Reverse
from .strategy import Decision, Memory, Observation, Step


@dataclass(frozen=True)
class Ancestral(Reverse[Process]):
    """Draws from the exact reverse kernel between the times of an even grid; works for every process.

    With temperature 1 and no filter the samples' law converges to the model's as steps grow. A step may decide nothing,
    and then needs no network evaluation under masked noise.
    """

    exact = True

    def advance(self, process: Process, seen: Observation, step: Step, memory: Memory) -> Decision:
        return self.drawn(process, seen, step)
