"""Runs a share of the mutations in one process: patches source in memory, imports what it reaches anew, checks the law.

Usage: worker.py SHARE SHARES. Prints one JSON record per mutation.
"""

import fnmatch
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import pkgutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import CodeType, ModuleType

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]

from importing import ROOT, graph, reached  # noqa: E402
from mutation import Mutation  # noqa: E402
from mutations import MUTATIONS  # noqa: E402

from undiffuse.exact import laws  # noqa: E402
from undiffuse.kinds import COMPONENTS  # noqa: E402


class Patched(importlib.machinery.SourceFileLoader):
    """Loads a module from changed source; nothing is written, no cached bytecode is used."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the one patched module before the ordinary importer does."""

    def __init__(self, mutation: Mutation) -> None:
        self.path = ROOT / mutation.file
        self.name = ".".join(("undiffuse", *Path(mutation.file).with_suffix("").parts))
        self.source = self.path.read_text().replace(mutation.source, mutation.replacement)

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        loader = Patched(fullname, str(self.path), self.source)
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


class Package:
    """The package, imported once. What imports a changed module is imported anew, the rest stays as it is."""

    @cached_property
    def reach(self) -> dict[str, set[str]]:
        """All that each module imports, components that it finds by name included."""
        imports = dict(graph())
        found_by_name = tuple(f"{found.package}." for found in COMPONENTS.values())
        imports["undiffuse.kinds"] = imports["undiffuse.kinds"] | {
            name for name in imports if name.startswith(found_by_name)
        }
        return {name: reached(name, imports) for name in imports}

    @cached_property
    def homes(self) -> dict[str, str]:
        """The module of each law."""
        names = [f"{laws.__name__}.{found.name}" for found in pkgutil.iter_modules(laws.__path__)]
        return {law.name: name for name in names for law in importlib.import_module(name).LAWS}

    @contextmanager
    def changed(self, mutation: Mutation) -> Iterator[None]:
        finder = Finder(mutation)
        anew = {name for name, seen in self.reach.items() if finder.name in seen} | {finder.name}
        before = _take_out(anew)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            _take_out(anew)
            sys.modules.update(before)
            for name, module in before.items():
                if name != "undiffuse":
                    setattr(*_place(name), module)

    def failing(self, mutation: Mutation) -> str | None:
        """`LAW COMPONENT` of the first result that does not hold, None if all hold."""
        glob, checked = f"*{mutation.caught_by.lower()}*", 0
        homes = {law: home for law, home in self.homes.items() if mutation.caught_by.startswith(law)}
        with self.changed(mutation):
            for name, home in homes.items():
                (law,) = [law for law in importlib.import_module(home).LAWS if law.name == name]
                for result in law.check(lambda law, case: fnmatch.fnmatchcase(f"{law} {case}".lower(), glob)):
                    checked += 1
                    if not result.passed:
                        return f"{result.law} {result.component}"
        if not checked:
            raise ValueError(f"no law matches {mutation.caught_by!r}")
        return None


def _take_out(names: set[str]) -> dict[str, ModuleType]:
    """The modules that were imported, no longer so: `from . import name` asks the package for its attribute first."""
    found = {name: sys.modules[name] for name in names & sys.modules.keys()}
    for name in found.keys() - {"undiffuse"}:
        package, last = _place(name)
        vars(package).pop(last, None)
    for name in found:
        del sys.modules[name]
    return found


def _place(name: str) -> tuple[ModuleType, str]:
    package, _, last = name.rpartition(".")
    return sys.modules[package], last


def main(share: int, shares: int) -> None:
    torch.set_num_threads(1)
    package = Package()
    assert package.homes  # all of it is imported before anything changes
    for number in range(share, len(MUTATIONS), shares):
        start = time.process_time()
        print(MUTATIONS[number], file=sys.stderr)  # which one it was, should it raise
        caught = package.failing(MUTATIONS[number])
        print(json.dumps({"number": number, "caught": caught, "seconds": time.process_time() - start}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
