"""Requests of one batch at different strategies.

Nothing else knows: the loop sees one strategy, whose answers are those of `members[canvas.member]` for every request.
Each member present decides about all rows of the batch and its own are kept, so the network runs once per step, and a
member costs a pass over the logits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from ..errors import UserError
from ..process.needs import Need
from ..process.process import Process
from .canvas import Canvas
from .look import View
from .proposal import Proposal
from .strategies.strategy import Decision, Look, Memory, Step, Strategy

Record = TypeVar("Record", Step, Proposal, Decision, View)


@dataclass(frozen=True)
class Mixed(Strategy):
    """Every request follows `members[canvas.member]` and gets what it would get alone.

    UserError, before any network evaluation, for requests of a member that does not exist.
    """

    members: tuple[Strategy, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise UserError("a mixture of strategies needs at least one")

    @property
    def exact(self) -> bool:
        return all(member.exact for member in self.members)

    @property
    def progressive(self) -> bool:
        return all(member.progressive for member in self.members)

    @property
    def revocable(self) -> bool:
        return any(member.revocable for member in self.members)

    @property
    def shadows(self) -> bool:
        return any(member.shadows for member in self.members)

    @property
    def guidable(self) -> bool:
        return all(member.guidable for member in self.members)

    @property
    def scored(self) -> bool:
        return all(member.scored for member in self.members)

    @property
    def needs(self) -> tuple[Need, ...]:
        return tuple(need for member in self.members for need in member.needs)

    def noise(self, process: Process, canvas: Canvas) -> Int[Tensor, "R L"]:
        strangers = (canvas.member < 0) | (canvas.member >= len(self.members))
        if bool(strangers.any()):
            raise UserError(
                f"a request asks for strategy {int(canvas.member[strangers][0])} of {len(self.members)}: members are "
                "numbered from 0"
            )
        return self._rows(canvas, lambda member: member.noise(process, canvas))

    def begin(self, process: Process, canvas: Canvas) -> Memory:
        return {
            f"{number}.{name}": value
            for number, member in enumerate(self.members)
            for name, value in member.begin(process, canvas).items()
        }

    def view(self, canvas: Canvas, memory: Memory) -> View | None:
        found: View | None = None
        for number, member in self._present(canvas):
            view = member.view(canvas, _own(memory, number))
            if found is not None and view is not None:
                view = _merge(canvas.member == number, view, found)
            found = view
        return found

    def bound(self, canvas: Canvas) -> Int[Tensor, " R"]:
        return self._rows(canvas, lambda member: member.bound(canvas))

    def step(self, process: Process, canvas: Canvas) -> Step:
        return self._records(canvas, lambda member: member.step(process, canvas))

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return self._rows(canvas, lambda member: member.reads(process, canvas, step))

    def may_revoke(self, canvas: Canvas) -> Bool[Tensor, "R 1"]:
        return self._rows(canvas, lambda member: member.may_revoke(canvas))

    def in_shadow(self, canvas: Canvas) -> Bool[Tensor, "R 1"]:
        return self._rows(canvas, lambda member: member.in_shadow(canvas))

    def propose(self, look: Look) -> Proposal:
        return self._records(look.canvas, lambda member: member.propose(look))

    def advance(self, process: Process, look: Look, step: Step, memory: Memory) -> Decision:
        canvas = look.canvas
        found: Decision | None = None
        after = dict(memory)
        for number, member in self._present(canvas):
            decision = member.advance(process, look, step, _own(memory, number))
            after |= {f"{number}.{name}": value for name, value in decision.memory.items()}
            if decision.certificate is None:
                decision = replace(decision, certificate=torch.full_like(step.t, torch.inf))
            found = decision if found is None else _merge(canvas.member == number, decision, found)
        assert found is not None
        return replace(found, memory=after)

    def _present(self, canvas: Canvas) -> Iterator[tuple[int, Strategy]]:
        return ((number, self.members[number]) for number in canvas.member.unique().tolist())

    def _rows(self, canvas: Canvas, ask: Callable[[Strategy], Tensor]) -> Tensor:
        """What each request's own member answers, requests first."""
        found: Tensor | None = None
        for number, member in self._present(canvas):
            answer = ask(member)
            found = answer if found is None else _where(canvas.member == number, answer, found)
        assert found is not None
        return found

    def _records(self, canvas: Canvas, ask: Callable[[Strategy], Record]) -> Record:
        found: Record | None = None
        for number, member in self._present(canvas):
            answer = ask(member)
            found = answer if found is None else _merge(canvas.member == number, answer, found)
        assert found is not None
        return found


def _own(memory: Memory, number: int) -> Memory:
    return {name.partition(".")[2]: value for name, value in memory.items() if name.startswith(f"{number}.")}


def _where(rows: Bool[Tensor, " R"], value: Shaped[Tensor, "R *rest"], other: Shaped[Tensor, "R *rest"]) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (value.ndim - 1)), value, other)


def _merge(rows: Bool[Tensor, " R"], record: Record, other: Record) -> Record:
    """A record with the fields of another outside the rows."""
    values = {f.name: getattr(record, f.name) for f in fields(record) if isinstance(getattr(record, f.name), Tensor)}
    return replace(record, **{name: _where(rows, value, getattr(other, name)) for name, value in values.items()})
