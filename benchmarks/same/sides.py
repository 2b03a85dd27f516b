"""The two sides of a comparison: a commit in a worktree of its own, and the working tree."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("probe.py")
CACHE = Path(tempfile.gettempdir(), "undiffuse-same")
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
KERNELS = ("ATEN_", "DNNL_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_")
"""Prefixes of environment variables on which numbers depend."""


def git(*arguments: str, root: Path = ROOT) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A commit's files in a temporary directory."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "base").resolve()
        git("worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            yield path
        finally:
            git("worktree", "remove", "--force", str(path))


@dataclass(frozen=True)
class Side:
    """A checkout. What a probe found is kept in `CACHE`, by commit, and read from there if it is `fixed`."""

    root: Path
    fixed: bool

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **THREADS, "PYTHONPATH": str(self.root), "PYTHONHASHSEED": "0"}

    @property
    def commit(self) -> str | None:
        """The commit whose files these are; None where something was changed."""
        return None if git("status", "--porcelain", root=self.root) else git("rev-parse", "HEAD", root=self.root)

    def start(self, script: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A script in a process of its own that imports this side's package."""
        command = [sys.executable, str(script), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment, stdin=pipe, stdout=pipe, text=True, **options
        )

    def answers(self, probe: str, items: Mapping[str, Any]) -> dict[str, Any]:
        """A probe's record of each item. RuntimeError if its process does not end well."""
        before = self.commit
        known = {name: self._file(before, probe, item) for name, item in items.items()} if before else {}
        found = {name: json.loads(file.read_text()) for name, file in known.items() if self.fixed and file.exists()}
        asked = {name: item for name, item in items.items() if name not in found}
        if asked:
            with self.start(PROBE) as process:
                try:
                    output, _ = process.communicate(json.dumps({"probe": probe, "items": asked}))
                except BaseException:
                    process.kill()
                    raise
            if process.returncode:
                raise RuntimeError(f"the probe {probe} ended with exit code {process.returncode} in {self.root}")
            found |= {line["item"]: line["record"] for line in map(json.loads, output.splitlines())}
            if before and before == self.commit:
                for name in asked:
                    _write(known[name], found[name])
        return {name: found[name] for name in items}

    def _file(self, commit: str, probe: str, item: Any) -> Path:
        numbers = {name: value for name, value in self.environment.items() if name.startswith(KERNELS)}
        versions = [platform.python_version(), version("torch"), version("numpy")]
        key = json.dumps([PROBE.read_text(), probe, item, numbers, versions], sort_keys=True)
        return CACHE / commit / f"{probe}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _write(file: Path, record: Any) -> None:
    if isinstance(record, dict) and "error" in record:
        return  # it may be one of this moment
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as partial:
        json.dump(record, partial)
    os.replace(partial.name, file)
