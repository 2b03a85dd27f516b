"""Components of other packages: found by entry points, named in what is stored, imported only with leave."""

import json
import sys
import textwrap

import pytest
import torch

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.kinds import SCHEDULES, STRATEGIES, Components, build_process, describe, describe_process, kind_of
from undiffuse.process.interpolating import Interpolating
from undiffuse.vocabulary import Vocabulary

CODE = """
    from dataclasses import dataclass

    import torch

    from undiffuse.process.schedules.schedule import Schedule, Time


    @dataclass(frozen=True)
    class Steep(Schedule):
        '''α = (1 − t)^power.'''

        power: float = 2.0

        def alpha(self, t: Time) -> Time:
            return (1 - t) ** self.power

        def one_minus_alpha(self, t: Time) -> Time:
            return -torch.expm1(self.power * torch.log1p(-t))

        def derivative(self, t: Time) -> Time:
            return -self.power * (1 - t) ** (self.power - 1)

        def inverse(self, alpha: Time) -> Time:
            return 1 - alpha ** (1 / self.power)
"""


@pytest.fixture
def schedules(tmp_path, monkeypatch) -> Components:
    """The family of schedules on a machine where the package `elsewhere` is installed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "__init__.py").write_text("")
    (tmp_path / "elsewhere" / "curves.py").write_text(textwrap.dedent(CODE))
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[undiffuse.schedule]\nsteep = elsewhere.curves:Steep\ncos = elsewhere.curves:Steep\n"
        "missing = elsewhere.nothing:At\nwrong = elsewhere.curves:dataclass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("elsewhere")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(SCHEDULES.__dict__, "outside", raising=False)
    yield SCHEDULES
    SCHEDULES.__dict__.pop("outside", None)


def test_an_installed_kind_is_listed_without_being_imported(schedules):
    assert "steep" in schedules.kinds
    assert "elsewhere" not in sys.modules
    assert schedules.load("cos").__module__.startswith("undiffuse"), "a name of our own stays ours"


def test_it_is_built_and_described_with_its_package(schedules):
    steep = schedules.build({"kind": "steep", "power": 3.0})
    assert describe(steep) == {"kind": "steep", "package": "elsewhere", "power": 3.0}
    process = Interpolating(Vocabulary(5, mask=4), steep)
    spec = {"kind": "interpolating", **describe_process(process)}
    assert build_process(spec, Vocabulary(5, mask=4)) == process
    assert schedules.build(describe(steep)) == steep


def test_a_class_without_an_entry_point_is_named_by_its_place(schedules):
    steep = schedules.load("elsewhere.curves:Steep")()
    assert kind_of(steep) == "steep"
    schedules.__dict__["outside"] = {}
    assert kind_of(steep) == "elsewhere.curves:Steep"
    assert schedules.build(describe(steep)) == steep


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "'missing' cannot be imported from elsewhere.nothing:At"),
        ("wrong", "no finished Schedule"),
        ("elsewhere.curves:Nobody", "cannot be imported"),
        ("steap", "did you mean 'steep'"),
    ],
)
def test_what_is_refused(schedules, kind, message):
    with pytest.raises(UserError, match=message):
        schedules.load(kind)


def test_a_run_with_it_loads_only_with_leave(schedules, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 100)
    run = ud.train(
        text,
        out=tmp_path / "run",
        steps=2,
        overrides=["process.schedule=steep", "tokenizer.kind=byte", "model.width=32", "model.depth=1"],
    )
    assert json.loads((run.directory / "manifest.json").read_text())["process"]["schedule"] == {
        "kind": "steep",
        "package": "elsewhere",
        "power": 2.0,
    }
    for name in [name for name in sys.modules if name.startswith("elsewhere")]:
        del sys.modules[name]
    with pytest.raises(UserError, match=r"uses 'steep' of the package 'elsewhere'.*--plugin elsewhere"):
        ud.load(tmp_path / "run")
    assert "elsewhere" not in sys.modules
    loaded = ud.load(tmp_path / "run", plugins=["elsewhere"])
    assert torch.equal(loaded.predictor.process.law.schedule.alpha(torch.tensor([0.5])), torch.tensor([0.25]))


def test_a_kind_that_hides_its_package_in_its_name_is_refused_too(schedules):
    from undiffuse.kinds import refuse_packages

    with pytest.raises(UserError, match="package 'os'"):
        refuse_packages({"process": [{"kind": "os.path:join"}]}, ["elsewhere"], "run")
    refuse_packages({"process": [{"kind": "mask"}], "prompt": {"kind": 3}}, [], "run")


def test_strategies_of_ours_are_not_from_outside():
    assert not STRATEGIES.outside


SMALL = ["tokenizer.kind=byte", "model.width=32", "model.depth=1"]


@pytest.mark.slow
def test_objective_and_process_may_be_objects(tmp_path):
    from undiffuse.objective.bound import Bound
    from undiffuse.objective.clipped import Clipped
    from undiffuse.process.spindle import Spindle

    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 100)
    clipped = ud.train(
        text, out=tmp_path / "a", steps=2, objective=Clipped([0.2, 0.9]), overrides=[*SMALL, "objective.times=uniform"]
    )
    assert describe(clipped.model.predictor.process)["kind"] == "interpolating"
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["training"]["objective"]["clip"] == [0.2, 0.9]
    masks = Spindle(Vocabulary(4, mask=3), 0.2)
    run = ud.train(text, out=tmp_path / "b", steps=2, process=masks, objective=Bound(), overrides=SMALL)
    spindle = run.model.predictor.process
    assert (kind_of(spindle), spindle.strength) == ("spindle", 0.2)
    with pytest.raises(UserError, match="objective is an object here, not 'clipped'"):
        ud.train(text, out=tmp_path / "c", steps=2, objective="clipped")


def test_an_interrupted_run_goes_on_only_with_leave(schedules, tmp_path, capsys):
    from undiffuse.cli.main import run as command

    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 100)
    ud.train(text, out=tmp_path / "run", steps=2, overrides=["process.schedule=steep", *SMALL])
    for arguments in (
        ["train", "--resume", str(tmp_path / "run"), "--steps", "1"],
        ["fill", "the [MASK]", "--model", str(tmp_path / "run")],
    ):
        assert command(arguments) == 2
        assert "--plugin elsewhere" in capsys.readouterr().err
        assert not command([*arguments, "--plugin", "elsewhere"])


def test_training_from_a_model_with_it_needs_leave_and_has_it_throughout(schedules, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 100)
    first = ud.train(text, out=tmp_path / "first", steps=2, overrides=["process.schedule=steep", *SMALL])
    with pytest.raises(UserError, match="uses 'steep' of the package 'elsewhere'"):
        ud.train(text, start=first.directory, out=tmp_path / "next", steps=1)
    further = ud.train(text, start=first.directory, out=tmp_path / "next", steps=1, plugins=["elsewhere"])
    assert further.model.predictor.process == first.model.predictor.process
    assert ud.resume(further.directory, steps=1, plugins=["elsewhere"]).step == 2
