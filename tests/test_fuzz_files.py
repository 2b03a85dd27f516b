"""A thousand seeded random recipes, checkpoint directories, and arguments of functions that take such.

A seed that once failed becomes a plain test of its own.
"""

import json
import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from fuzzing import CASES, ODD, taken

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.kinds import COMPONENTS
from undiffuse.training.configuration import flat
from undiffuse.training.recipe import recipes, resolve
from undiffuse.training.run import train
from undiffuse.training.run_directory import RunDirectory

WRITTEN = (
    "0",
    "1",
    "-1",
    "3",
    "1e999",
    "0.5",
    "nan",
    "-inf",
    "true",
    "[]",
    "[0.3, 0.8]",
    "{}",
    "''",
    "x",
    "auto",
    "[[1.0]]",
)


def recipe_case(seed: int) -> None:
    draw = random.Random(seed)
    name = draw.choice(recipes())
    keys = list(flat(resolve(name).configuration.to_dict()))
    kinds = [kind for family in COMPONENTS.values() for kind in family.kinds]
    overrides = []
    for key in draw.sample(keys, draw.randint(1, 2)):
        value = draw.choice((*WRITTEN, draw.choice(kinds), str(draw.randint(-9, 99))))
        overrides.append(f"{key}{draw.choice(('', '', '', '.kind', '.x'))}={value}")
    resolve(name, overrides)


KINDS = [kind for family in COMPONENTS.values() for kind in family.kinds]
KEYS = sorted({key for name in recipes() for key in flat(resolve(name).configuration.to_dict())})
NAMES = [*sorted({part for key in KEYS for part in key.split(".")}), "x", '"a b"', "''", "1"]
VALUES = [
    *(str(10**power) for power in (0, 1, 3, 12, 18)),
    "0",
    "-1",
    "2",
    "8",
    "17",
    "64",
    "0.0",
    "-0.5",
    "0.5",
    "1.0",
]
VALUES += [
    "1e300",
    "inf",
    "nan",
    "-inf",
    "true",
    "false",
    "''",
    "'x'",
    "'auto'",
    "'é'",
    "'*'",
    "[]",
    "{}",
    "'\"'",
    "0x10",
]
VALUES += ["1979-05-27", "07:32:00", *(f"'{kind}'" for kind in KINDS)]


def toml(draw: random.Random, depth: int = 0) -> str:
    kind = draw.random() if depth < 2 else 1.0
    inner = [toml(draw, depth + 1) for _ in range(draw.randrange(3))] if kind < 0.3 else []
    if kind < 0.15:
        return f"[{', '.join(inner)}]"
    return (
        "{" + ", ".join(f"{draw.choice(NAMES)} = {value}" for value in inner) + "}"
        if kind < 0.3
        else draw.choice(VALUES)
    )


def recipe_file_case(seed: int, folder: Path) -> None:
    """A recipe of any keys and values, and sometimes of any bytes; whether it is taken is known before `--out` is."""
    draw = random.Random(seed)
    lines = []
    for _ in range(draw.randint(0, 5)):
        if draw.random() < 0.2:
            lines.append(f"[{draw.choice(NAMES)}{draw.choice(('', '.kind', f'.{draw.choice(NAMES)}'))}]")
        else:
            lines.append(f"{draw.choice((draw.choice(KEYS), draw.choice(NAMES)))} = {toml(draw)}")
    data = "\n".join(lines).encode()
    if draw.random() < 0.1:
        data = data[: draw.randrange(len(data) + 1)] + draw.randbytes(3)
    (folder / "recipe.toml").write_bytes(data)
    overrides = [f"{draw.choice(KEYS)}={draw.choice(VALUES)}" for _ in range(draw.randrange(2))]
    begin(folder, recipe=folder / "recipe.toml", overrides=overrides)


def begin(folder: Path, **options) -> None:
    """Trains as far as the directory of the run; until then nothing may be written."""
    text = folder / "text.txt"
    if not text.exists():
        text.write_text("a text to be learned from\n" * 30 + "and more of that\n" * 9)
    given = {"files": text, "out": folder / "made", "steps": 1, **options}
    before = sorted(folder.iterdir())
    with suppress(ReachedError):
        train(**given)
    assert sorted(folder.iterdir()) == before


class ReachedError(Exception):
    """The place where a run would begin to write."""


def reached(*_, **__):
    raise ReachedError


@pytest.fixture
def unwritten(monkeypatch):
    monkeypatch.setattr(RunDirectory, "create", reached)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Names that are drawn may be those of places to write to."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


TRAIN = ("files", "out", "start", "recipe", "minutes", "steps", "valid", "seed", "overrides", "objective", "process")
TRAIN += ("plugins", "device", "dtype", "threads", "revision")
LOAD = ("directory", "device", "dtype", "family", "mask_id", "attention", "shift", "check_head", "plugins", "revision")
INSPECT = ("place", "family", "mask_id", "attention", "shift", "plugins", "revision")
CONVERT = ("source", "destination", "to", *(name for name in INSPECT if name != "place"))
RESUME = ("directory", "minutes", "steps", "threads", "plugins", "progress")


def functions_case(seed: int, folder: Path) -> None:
    """`ud.train`, `ud.load`, `ud.inspect`, `ud.convert` and `ud.resume` with arguments of any type."""
    draw = random.Random(seed)
    kinds = (("train", TRAIN), ("load", LOAD), ("inspect", INSPECT), ("convert", CONVERT), ("resume", RESUME))
    kind, names = draw.choice(kinds)
    some = ("llada", "dream", "full", "block:2", "float16", "int8")
    odd = {name: draw.choice((*ODD, draw.choice(some))) for name in draw.sample(names, draw.randint(1, 2))}
    if kind == "train":
        begin(folder, **odd)
    elif kind == "load":
        ud.load(**{"directory": checkpoint(draw), "device": "cpu", **odd})
    elif kind == "inspect":
        ud.inspect(**{"place": checkpoint(draw), **odd})
    elif kind == "convert":
        ud.convert(**{"source": checkpoint(draw), "destination": folder / f"to {seed}", **odd})
    else:
        ud.resume(**{"directory": folder, **odd})


ROOT = Path(__file__).parent / "golden"


def checkpoint(draw: random.Random) -> Path:
    return ROOT / draw.choice(("llada", "dream", "sdar")) / "checkpoint"


def checkpoint_case(seed: int, folder: Path) -> None:
    draw = random.Random(seed)
    source = ROOT / draw.choice(("llada", "dream", "sdar")) / "checkpoint"
    directory = folder / str(seed)
    shutil.copytree(source, directory)
    for _ in range(draw.randint(1, 2)):
        path = draw.choice(sorted(directory.iterdir()))
        data = path.read_bytes()
        how = draw.randrange(4)
        if how == 0:
            path.unlink()
            path.write_bytes(b"")
        elif how == 1:
            path.write_bytes(data[: draw.randrange(len(data) + 1)])
        elif how == 2 and data:
            place = draw.randrange(min(len(data), 4000))
            path.write_bytes(data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :])
        elif path.suffix == ".json" and data:
            content = read(data)
            mutate(content, draw)
            path.write_text(json.dumps(content))
    family = draw.choice((None, None, "llada", "dream", "sdar"))
    try:
        loads = ud.inspect(directory, family=family).loads
        try:
            model = ud.load(directory, family=family)
        except UserError:
            assert not loads
            raise
        assert loads
        model.logits(torch.tensor([[1, 2, 3]]))
    finally:
        shutil.rmtree(directory)


def read(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return {}


def mutate(content: object, draw: random.Random) -> None:
    """One value somewhere in a JSON document becomes another, or goes."""
    plain = (None, True, 0, -1, 1, 3, 1 << 70, 0.5, float("nan"), 1e300, "", "x", [], [1], {}, {"a": 1}, ["a", "b"])
    while isinstance(content, dict | list) and content:
        place = draw.choice(list(content) if isinstance(content, dict) else range(len(content)))
        if isinstance(content[place], dict | list) and content[place] and draw.random() < 0.7:
            content = content[place]
        elif draw.random() < 0.2:
            del content[place]
            return
        else:
            content[place] = draw.choice(plain)
            return


@pytest.mark.slow
def test_recipes():
    assert taken(recipe_case)


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten")
def test_files_of_recipes(tmp_path):
    assert taken(lambda seed: recipe_file_case(seed, tmp_path)) > CASES // 50


@pytest.mark.slow
def test_checkpoint_directories(tmp_path):
    assert taken(lambda seed: checkpoint_case(seed, tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten")
def test_arguments_of_functions(tmp_path):
    assert taken(lambda seed: functions_case(seed, tmp_path))
