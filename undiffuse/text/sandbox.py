"""Where the template of a stranger runs: Jinja without access to anything, within bounds of time and memory.

Every operation that makes text is counted before it is carried out, every turn of a loop and every call; there is no
way to wait or to fill the memory. Strings keep the origin of their characters (`traced`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from datetime import datetime
from typing import Any

from jinja2 import Undefined, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment, SecurityError
from jinja2.visitor import NodeTransformer

from .budget import Budget, made, number, sized, weight
from .traced import ANSWER, Traced, followed, joined, reach, shown

MAKERS = ("capitalize", "lower", "upper", "title", "trim", "replace", "string", "indent", "truncate", "escape", "e")
"""Filters that make a string; `join`, `safe` and `tojson` are our own."""
OTHERS = (
    *("abs", "batch", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "last"),
    *("length", "list", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr"),
    *("sort", "sum", "unique", "wordcount"),
)
"""Filters that pass on what they are given. Filters that can make much of little (center, format, …) are left out."""
COMPARING = ("dictsort", "groupby", "max", "min", "sort", "unique")


class Sandbox(ImmutableSandboxedEnvironment):
    """For one rendering. What Hugging Face templates use is there: `generation`, `break`, `tojson`, `raise_exception`,
    `strftime_now`, blocks whose line breaks are trimmed."""

    intercepted_binops = frozenset(SandboxedEnvironment.default_binop_table)

    def __init__(self, budget: Budget) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
        self.finalize = self.shown
        self.budget = budget
        self.filters = {name: _filter(name) for name in (*MAKERS, *OTHERS)}
        self.filters |= {"join": _join, "safe": _safe, "tojson": _tojson}
        self.filters |= {COUNTED: _counted, JOINED: _concatenated, WEIGHED: _weighed}
        self.globals = {
            **{name: self.globals[name] for name in ("range", "dict", "namespace", "cycler", "joiner")},
            "raise_exception": _raise,
            "strftime_now": _now,
        }

    def shown(self, value: Any) -> Any:
        """A value as it is written; what is undefined is written as nothing."""
        if isinstance(value, str | Undefined):
            return value
        self.budget.spend(weight(value))
        return shown(value)

    def concat(self, pieces: Iterable[str]) -> str:
        """What a template, a macro or a block writes."""
        return joined(self._spent(pieces))

    def _spent(self, pieces: Iterable[str]) -> Iterator[str]:
        for piece in pieces:
            self.budget.spend(len(piece))
            yield piece

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = Parser(self, source, name, filename).parse()
        return Counting().visit(parsed)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        size = sized(left, right, operator)
        self.budget.spend(size)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        owner = getattr(__obj, "__self__", None)
        if not isinstance(owner, str):
            __self.budget.spend(0)
            return super().call(__context, __obj, *args, **kwargs)
        name = __obj.__name__
        if name not in METHODS:
            raise SecurityError(f"the method {name!r} of strings is not available")
        if name == "join":
            args = tuple(map(list, args))
        __self.budget.spend(made(owner, name, args, kwargs))
        if reach((args, kwargs)):
            __obj = getattr(Traced.of(owner), name)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Any:
        if super().wrap_str_format(value) is not None:
            raise SecurityError("the method 'format' of strings is not available")
        return None


QUESTIONS = {"count", "endswith", "find", "index", "rfind", "rindex", "startswith"}
METHODS = frozenset(
    name
    for name in dir(str)
    if name in QUESTIONS or name.startswith("is") or (name in vars(Traced) and not name.startswith("_"))
)
"""Of strings: what `Traced` follows. Methods that can make much of little (center, format, …) are left out."""
COUNTED, JOINED, WEIGHED = " counted", " joined", " weighed"
"""Filters that no template can name."""


class Counting(NodeTransformer):
    """Loops count their turns, `~` keeps the origin of what it joins, and what is compared or hashed is weighed."""

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return node if node.ctx != "load" else _filtered(node, WEIGHED)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, WEIGHED)
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, WEIGHED)
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filtered(node.iter, COUNTED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), JOINED)


class Generation(Extension):
    """`{% generation %}` … `{% endgeneration %}`: what the model itself writes."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_answer"), [], [], body).set_lineno(line)

    def _answer(self, caller: Any) -> Traced:
        return Traced.of(caller()).marked(ANSWER)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


PLAIN = SandboxedEnvironment()


def _filter(name: str) -> Any:
    """A filter of Jinja, counted."""

    @pass_context
    def filtered(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        room = _room(context)
        if name not in MAKERS:
            room.budget.spend(0 if name != "batch" else max(map(number, args), default=0))
            if isinstance(value, Sized):
                room.budget.spend(weight(value) if name in COMPARING else len(value))
            return PLAIN.call_filter(name, value, args, kwargs, context=context)
        value = room.shown(value)
        bits = reach((value, args, kwargs))
        if isinstance(value, str):
            room.budget.spend(made(value, name, args, kwargs))
            value = Traced.of(value)
        return followed(PLAIN.call_filter(name, value, args, kwargs, context=context), bits)

    return filtered


@pass_context
def _join(context: Context, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = PLAIN.call_filter("map", value, (), {"attribute": attribute}, context=context)
    room = _room(context)
    pieces = [str(room.shown(piece)) for piece in value]
    room.budget.spend(sum(len(piece) + len(d) for piece in pieces))
    return Traced.of(shown(d)).join(pieces)


@pass_context
def _safe(context: Context, value: Any) -> str:
    return _room(context).shown(value)


@pass_context
def _tojson(
    context: Context,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    number(indent)
    _room(context).budget.spend(weight(value))
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    _room(context).budget.spend(len(text))
    return followed(text, reach(value))


@pass_context
def _counted(context: Context, values: Any) -> Iterator[Any]:
    budget = _room(context).budget
    for value in values:
        budget.spend(0)
        yield value


@pass_context
def _concatenated(context: Context, pieces: list[Any]) -> str:
    room = _room(context)
    whole = joined([room.shown(piece) for piece in pieces])
    room.budget.spend(len(whole))
    return whole


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    if isinstance(value, list | tuple | Mapping):
        weight(value)
    return value


class RefusedError(Exception):
    """What a template says with `raise_exception`."""


def _raise(message: object = "") -> None:
    raise RefusedError(str(message))


def _now(form: str) -> str:
    return followed(datetime.now().strftime(form), reach(form))


def _room(context: Context) -> Sandbox:
    room = context.environment
    assert isinstance(room, Sandbox)
    return room
