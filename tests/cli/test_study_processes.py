"""`undiffuse study processes` on tiny models: equal cells, a study that goes on after any stop, pages, refusals."""

import json
from pathlib import Path

import pytest
from conftest import TINY  # type: ignore[attr-defined]

from undiffuse.cli.main import run
from undiffuse.study import processes
from undiffuse.study.cell import Asked
from undiffuse.study.processes import Study, results
from undiffuse.training.progress import unwatched

SMALL = (*TINY, "training.checkpoint_seconds=0.0")
ASKED = Asked(nfe=(2, 4), samples=2, blanks=4)
OPTIONS = ("--nfe", "2,4", "-n", "2", "--blanks", "4", "--threads", "1", "--no-plot")


def study(capsys, text: Path, out: Path, *more: str, steps: int = 4):
    code = run(["study", "processes", str(text), *SMALL, "--out", str(out), "--steps", str(steps), *OPTIONS, *more])
    return code, *capsys.readouterr()


def untimed(cell: dict) -> dict:
    """What no clock measured."""
    training = {k: v for k, v in cell["training"].items() if k not in ("seconds", "tokens_per_second", "curve")}
    curve = [(step, bits) for step, _, bits in cell["training"]["curve"]]
    return {**cell, "seconds": None, "training": {**training, "curve": curve}}


def test_a_study_reads_running_text_and_says_so(capsys, text, tmp_path):
    code, _, told = study(capsys, text, tmp_path / "study", "--recipes", "mdlm", "data.records=lines")
    assert code == 2
    assert "a study continues pieces of one running text: leave out data.records" in told


@pytest.fixture(scope="module")
def whole(text, tmp_path_factory) -> Path:
    """A study that was not interrupted."""
    out = tmp_path_factory.mktemp("study") / "whole"
    arguments = ["study", "processes", str(text), *SMALL, "--out", str(out), "--steps", "4", *OPTIONS]
    assert run([*arguments, "--recipes", "mdlm,plaid,ar"]) == 0
    return out


@pytest.mark.slow
def test_every_cell_says_what_the_page_needs(whole, text):
    asked, cells = results(whole)
    assert [cell["recipe"] for cell in cells] == ["ar", "mdlm", "plaid"]
    assert asked["files"] == [text.name]
    assert asked["text"]["surprise"] > 0
    for cell in cells:
        assert cell["training"]["shape"] == {"width": 16, "depth": 1, "heads": 1, "context": 64, "rows": 4}
        assert cell["training"]["tokens"] == 4 * 4 * 64
        assert cell["training"]["curve"][-1][0] == 4
        assert cell["infill"]["count"] == 4
        assert cell["text"] == asked["text"]  # all were asked to continue the same
    ar, mdlm, plaid = cells
    assert ar["likelihood"]["kind"] == "exact"
    assert [line["nfe"] for line in ar["generation"]] == [48]
    assert [line["method"] for line in ar["repair"]] == ["relook"]
    assert "autoregressive" in ar["refused"]["repair, reverse"]
    assert [line["steps"] for line in mdlm["generation"]] == [2, 4]
    for cell in (mdlm, plaid):
        parts = [cell["likelihood"][name] for name in ("prior", "diffusion", "reconstruction")]
        assert sum(parts) == pytest.approx(cell["likelihood"]["bits_per_byte"]["mean"])
        assert {line["method"] for line in cell["repair"]} == {"reverse", "relook"}
    assert plaid["likelihood"]["prior"] > 0


@pytest.mark.slow
def test_bits_per_byte_are_those_of_the_run(whole):
    manifest = json.loads((whole / "runs" / "mdlm-0" / "manifest.json").read_text())
    cell = json.loads((whole / "cells" / "mdlm-0.json").read_text())
    assert cell["likelihood"]["bits_per_byte"] == manifest["training"]["bound"]["bits_per_byte"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["while it trains", "after it trained"])
def test_an_interrupted_study_ends_in_the_same_numbers(capsys, monkeypatch, whole, text, tmp_path, stop):
    out = tmp_path / "study"
    again = Study.open(
        [str(text)], out, ["mdlm", "plaid"], steps=4, overrides=SMALL, asked=ASKED, threads=1, device="cpu"
    )

    def killed(*_):
        raise KeyboardInterrupt

    watch = unwatched
    with monkeypatch.context() as patched:
        if stop == "after it trained":
            patched.setattr(processes, "measured", killed)
        else:
            watch = lambda now: killed() if now.step == 3 else None  # noqa: E731
        with pytest.raises(KeyboardInterrupt):
            again.measure(again.cells[0], watch)
    assert not (out / "cells").exists()
    assert (out / "runs" / "mdlm-0" / "manifest.json").exists() == (stop == "after it trained")
    assert study(capsys, text, out, "--recipes", "mdlm,plaid")[0] == 0
    for name in ("mdlm-0.json", "plaid-0.json"):
        ours, theirs = (json.loads((each / "cells" / name).read_text()) for each in (out, whole))
        assert untimed(ours) == untimed(theirs)


@pytest.mark.slow
def test_cells_that_are_there_stay_and_others_join_them(capsys, text, tmp_path):
    assert study(capsys, text, tmp_path, "--recipes", "mdlm")[0] == 0
    path = tmp_path / "cells" / "mdlm-0.json"
    marked = json.loads(path.read_text())
    marked["likelihood"]["bits_per_byte"]["mean"] = 99.5
    path.write_text(json.dumps(marked))
    code, page, progress = study(capsys, text, tmp_path, "--recipes", "mdlm,d3pm-matrix", "--seeds", "2")
    assert code == 0
    assert "1/4  mdlm, seed 0: 99.500" in progress
    assert sorted(each.name for each in (tmp_path / "cells").iterdir()) == [
        f"{recipe}-{seed}.json" for recipe in ("d3pm-matrix", "mdlm") for seed in (0, 1)
    ]
    assert page == (tmp_path / "processes.md").read_text()
    for made in ("processes.md", "index.html"):
        written = (tmp_path / made).read_text()
        assert "mdlm" in written
        assert "d3pm-matrix" in written
    code, found, _ = study(capsys, text, tmp_path, "--recipes", "mdlm", "--json")
    assert code == 0
    asked = json.loads(found)
    assert [cell["recipe"] for cell in asked["cells"]] == ["d3pm-matrix", "d3pm-matrix", "mdlm", "mdlm"]
    assert asked["nfe"] == [2, 4]
    # bytes are the tokens of one recipe alone: the vocabulary that was asked for is the others'
    assert [cell["training"]["tokenizer"]["kind"] for cell in asked["cells"]] == ["byte", "byte", "bpe", "bpe"]
    assert asked["shape"]["tokens"] == 290
    # one draw of the noise is another for another seed, on the same text and the same blanks
    bits = [cell["likelihood"]["bits_per_byte"]["mean"] for cell in asked["cells"]]
    assert bits[0] != bits[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "5"), "study.json holds a study with another steps (4, not 5): choose another --out"),
        (("--nfe", "2"), "holds a study with another nfe ([2, 4], not [2])"),
        (("optimizer.lr=0.02",), "holds a study with another overrides"),
    ],
)
def test_another_study_is_not_mixed_in(capsys, whole, text, arguments, message):
    code, _, error = study(capsys, text, whole, "--recipes", "udlm", *arguments)
    assert code == 2
    assert message in error
    assert not (whole / "runs" / "udlm-0").exists()


@pytest.mark.slow
def test_a_study_of_another_text_is_not_mixed_in(capsys, whole, text, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Other words, then. " + text.read_text())
    code, _, error = study(capsys, other, whole, "--recipes", "mdlm")
    assert code == 2
    assert "holds a study with another training text" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipes", "mdlm,mdml"), "there is no recipe 'mdml'; did you mean 'mdlm'?"),
        (("--recipes", "mdlm,plaid", "model.block_length=16"), "recipe plaid: model: a latent size excludes"),
        (("--recipes", "mdlm,d3pm-matrix", "process.destination=mask"), "recipe d3pm-matrix: there is no key process."),
        (("--nfe", "8,x"), "--nfe '8,x': expected whole numbers"),
        (("--length", "60"), "use --length 2 to 48"),
        (("--minutes", "1"), "give minutes or steps, not both"),
        (("-",), "standard input can be read once: name a file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(capsys, text, tmp_path, arguments, message):
    code, _, error = study(capsys, text, tmp_path / "study", *arguments)
    assert code == 2
    assert message in " ".join(error.split())
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_training_that_fails_leaves_the_others_alone(capsys, text, tmp_path):
    (tmp_path / "wild.toml").write_text('[optimizer]\nkind = "muon"\nlr = 1e30\n')
    code, page, error = study(capsys, text, tmp_path / "study", "--recipes", f"{tmp_path / 'wild.toml'},ar", steps=10)
    assert code == 2
    assert "1 of 2 could not be measured: wild-0: the loss is" in " ".join(error.split())
    assert [cell["recipe"] for cell in results(tmp_path / "study")[1]] == ["ar"]
    assert "| ar" in page
