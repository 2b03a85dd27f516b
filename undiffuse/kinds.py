"""Components by name: a component's `kind` is its file name, so the tree is the catalogue.

A family is a package in which every public module defines one concrete subclass of the family's base. Nothing
registers itself: adding a file adds a kind. Installed packages add kinds by entry points, in the group `undiffuse.`
and the family's name (`undiffuse.strategy`): the kind, and the class as `module:Class`. Whatever else is a subclass of
the base is named so itself.

What is stored of a component from outside names its `package` beside its kind. `refuse_packages` is asked before such
a description, which somebody else may have written, is built: building imports the package.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_type_hints

from .errors import UserError, did_you_mean

OURS = __name__.partition(".")[0]
PACKAGE = "package"
"""The key of a description that says which package a component comes from, where that is not this one."""


@dataclass(frozen=True)
class Components:
    """A named set of interchangeable components. `package` holds one module per kind; `base` is `module:Class`.

    Where other modules live beside them, kinds are those that define a class on one of the abstract `bases`, or `only`
    the ones that are named.
    """

    name: str
    package: str
    base: str
    bases: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ambiguous: Mapping[str, str] = field(default_factory=dict)  # names that mean two things in the field → what to type

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Names of the kinds of this package, from file names alone: no component is imported."""
        if self.only:
            return self.only
        path = importlib.import_module(self.package).__path__
        base_module = self.base.partition(":")[0].rpartition(".")[2]
        names = [module.name for module in pkgutil.iter_modules(path) if not module.ispkg]
        if self.bases:
            names = [name for name in names if self._defines(Path(path[0], f"{name}.py").read_text(encoding="utf-8"))]
        return tuple(sorted(name.replace("_", "-") for name in names if name != base_module))

    def _defines(self, source: str) -> bool:
        """Whether a module has a class on one of the bases that is none of them."""
        found = re.findall(rf"^class (\w+)\((?:{'|'.join(self.bases)})\b", source, re.MULTILINE)
        return any(name not in self.bases for name in found)

    @cached_property
    def outside(self) -> Mapping[str, EntryPoint]:
        """Kinds that installed packages add; none is imported. A name of our own stays ours."""
        found = entry_points(group=f"{OURS}.{self.name.replace(' ', '-')}")
        return {entry.name: entry for entry in found if entry.name not in self.own}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of all kinds, ours first."""
        return (*self.own, *sorted(self.outside))

    def allowed(self, plugins: Collection[str]) -> tuple[str, ...]:
        """Names of the kinds of this package and of the given others."""
        others = (kind for kind, entry in self.outside.items() if entry.module.partition(".")[0] in plugins)
        return (*self.own, *sorted(others))

    @property
    def _base(self) -> type:
        module, _, name = self.base.partition(":")
        return getattr(importlib.import_module(module), name)

    def load(self, kind: str) -> type:
        """The class of a kind; UserError with the nearest name when there is none."""
        if not isinstance(kind, str):
            raise UserError(f"{self.name} must be the name of a kind, not {kind!r}")
        if kind in self.ambiguous:
            raise UserError(f"{self.name} {kind!r} names two curves in the field: {self.ambiguous[kind]}")
        if kind in self.outside or ":" in kind:
            return self._from_outside(kind)
        if kind not in self.own:
            raise UserError(f"there is no {self.name} {kind!r}{did_you_mean(kind, self.kinds)}")
        module, base = importlib.import_module(f"{self.package}.{kind.replace('-', '_')}"), self._base
        found = [
            cls
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if cls.__module__ == module.__name__ and issubclass(cls, base) and not inspect.isabstract(cls)
        ]
        if len(found) != 1:
            raise TypeError(f"{module.__name__} defines {len(found)} concrete subclasses of {base.__name__}, not one")
        return found[0]

    def _from_outside(self, kind: str) -> type:
        """The class of an entry point, or of `module:Class`; importing it runs code of that package."""
        where = self.outside[kind].value if kind in self.outside else kind
        module, _, name = where.partition(":")
        try:
            cls = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UserError(f"{self.name} {kind!r} cannot be imported from {where}: {error}") from error
        if not (inspect.isclass(cls) and issubclass(cls, self._base)) or inspect.isabstract(cls):
            raise UserError(f"{self.name} {kind!r}: {where} is no finished {self._base.__name__} of {OURS}")
        return cls

    def build(self, spec: Mapping[str, object]) -> Any:
        """A component from `{"kind": …, parameters …}`, the form that manifests and recipes hold."""
        parameters = {name: value for name, value in spec.items() if name != PACKAGE}
        kind = str(parameters.pop("kind", ""))
        cls = self.load(kind)
        known = {f.name for f in fields(cls)}
        for name in parameters:
            if name not in known:
                raise UserError(f"{self.name} {kind!r} has no parameter {name!r}{did_you_mean(name, known)}")
        try:
            return cls(**parameters)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.name} {kind!r}: {error}") from error

    def classes(self) -> dict[str, type]:
        return {kind: self.load(kind) for kind in self.kinds}

    def summary(self, kind: str) -> str:
        """First sentence of the component's documentation."""
        return (inspect.getdoc(self.load(kind)) or "").partition("\n")[0]


SCHEDULES = Components(
    "schedule",
    "undiffuse.process.schedules",
    "undiffuse.process.schedules.schedule:Schedule",
    ambiguous={
        "linear": "use 'one-minus-t' (linear in α, also published as loglinear), or 'geometric' (σ = −ln α)",
        "cosine": "use 'one-minus-cos' for 1 − cos(π(1 − t)/2), or 'cos' for cos(πt/2)",
    },
)
DESTINATIONS = Components(
    "destination", "undiffuse.process.destinations", "undiffuse.process.destinations.destination:Destination"
)
GAMMAS = Components("noise curve", "undiffuse.process.gammas", "undiffuse.process.gammas.gamma:Gamma")
TIMES = Components("times", "undiffuse.objective.times", "undiffuse.objective.times.estimator:Estimator")
PROCESSES = Components(
    "process",
    "undiffuse.process",
    "undiffuse.process.process:Process",
    bases=("Process", "Jumps"),
)
MODELS = Components("model", "undiffuse.models", "torch.nn:Module", only=("transformer",))
FEED_FORWARDS = Components(
    "feed-forward layer", "undiffuse.models.feed_forward", "undiffuse.models.feed_forward.feed_forward:FeedForward"
)
LAYERS = Components("layer", "undiffuse.models.layers", "undiffuse.models.layers.layer_kind:LayerKind")
STRETCHES = Components("stretch", "undiffuse.models.stretches", "undiffuse.models.stretches.stretch:Stretch")
CHECKPOINT_FAMILIES = Components(
    "family",
    "undiffuse.models",
    "undiffuse.models.family:CheckpointFamily",
    bases=("CheckpointFamily", "QwenNames", "EncoderNames", "DiTNames"),
)
OBJECTIVES = Components("objective", "undiffuse.objective", "undiffuse.objective.objective:Objective")
STRATEGIES = Components("strategy", "undiffuse.decode.strategies", "undiffuse.decode.strategies.strategy:Strategy")
CACHES = Components("cache", "undiffuse.decode.caches", "undiffuse.decode.caches.cache:CachePolicy")
GUIDANCE = Components("guidance", "undiffuse.decode.guidance", "undiffuse.decode.guidance.guidance:Guidance")
CORRECTORS = Components("corrector", "undiffuse.decode.correctors", "undiffuse.decode.correctors.corrector:Corrector")
OPTIMIZERS = Components(
    "optimizer", "undiffuse.training.optimizers", "undiffuse.training.optimizers.optimizer:OptimizerChoice"
)
TRACKERS = Components("tracker", "undiffuse.training.trackers", "undiffuse.training.trackers.tracker:Tracker")
COMPONENTS = {
    f.name: f
    for f in (
        PROCESSES,
        SCHEDULES,
        DESTINATIONS,
        GAMMAS,
        OBJECTIVES,
        TIMES,
        MODELS,
        FEED_FORWARDS,
        LAYERS,
        STRETCHES,
        CHECKPOINT_FAMILIES,
        OPTIMIZERS,
        TRACKERS,
        STRATEGIES,
        CACHES,
        GUIDANCE,
        CORRECTORS,
    )
}


def components_of(cls: type) -> dict[str, Components]:
    """The fields of a component that hold other components, with their families."""
    bases = {family.base: family for family in COMPONENTS.values()}
    hints = {
        name: f"{getattr(h, '__module__', '')}:{getattr(h, '__qualname__', '')}"
        for name, h in get_type_hints(cls).items()
    }
    return {name: bases[base] for name, base in hints.items() if base in bases}


def parameters_of(cls: type, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a component is built from, given `{"kind", …}` in which its own components are described or built."""
    inner = components_of(cls)
    return {
        name: inner[name].build(value) if name in inner and isinstance(value, Mapping) else value
        for name, value in spec.items()
        if name not in ("kind", PACKAGE)
    }


def build_process(spec: Mapping[str, Any], vocabulary: Any) -> Any:
    """A process over a vocabulary from `{"kind", …}`, its components described or built; UserError if impossible."""
    cls = PROCESSES.load(str(spec.get("kind", "interpolating")))
    try:
        return cls(vocabulary, **parameters_of(cls, spec))
    except (TypeError, ValueError) as error:
        raise UserError(f"process: {error}") from error


def describe_process(process: Any) -> dict[str, object]:
    """The inverse of `build_process`."""
    return {name: value for name, value in describe(process).items() if name != "vocabulary"}


def describe(component: object) -> dict[str, object]:
    """The inverse of `Components.build`: `{"kind": …, parameters …}`, ready for JSON; `package` if it is not ours."""
    parameters = {f.name: getattr(component, f.name) for f in fields(component)}  # type: ignore[arg-type]
    nested = {k: describe(v) if is_dataclass(v) else v for k, v in parameters.items()}
    package = package_of(component)
    return {"kind": kind_of(component), **({} if package == OURS else {PACKAGE: package}), **nested}


def kind_of(component: object) -> str:
    """The kind of a component: its module's file name; from outside its entry point's, or `module:Class`."""
    cls = type(component)
    if package_of(component) == OURS:
        return cls.__module__.rpartition(".")[2].replace("_", "-")
    where = f"{cls.__module__}:{cls.__qualname__}"
    named = (kind for f in COMPONENTS.values() for kind, entry in f.outside.items() if entry.value == where)
    return next(named, where)


def package_of(component: object) -> str:
    """The package that a component is from."""
    return type(component).__module__.partition(".")[0]


def refuse_packages(description: Any, allowed: Collection[str], what: str) -> None:
    """UserError for the first component of a stored description whose package is not among the allowed ones.

    Components are looked for at any depth; `what` holds the description, in words.
    """
    if isinstance(description, Mapping):
        kind, package = description.get("kind"), description.get(PACKAGE)
        if package is None and isinstance(kind, str) and ":" in kind:
            package = kind.partition(":")[0].partition(".")[0]
        if package is not None and package not in allowed:
            raise UserError(
                f"{what} uses {kind!r} of the package {package!r}, and loading it would run code of that package: "
                f"allow it by --plugin {package}, or plugins=[{package!r}] in Python"
            )
        description = list(description.values())
    if isinstance(description, list | tuple):
        for part in description:
            refuse_packages(part, allowed, what)
