"""`undiffuse study frontier` on a tiny model: results that go on, a table, a plot, and refusals before any work."""

import json

import pytest

from undiffuse.cli.main import run

pytestmark = pytest.mark.xdist_group("tiny command-line model")
SMALL = ("-n", "2", "--prompt-length", "4", "--length", "8", "--threads", "1")


def study(capsys, *arguments: str):
    code = run(["study", "frontier", *arguments, *SMALL])
    return code, *capsys.readouterr()


def test_a_study_writes_results_table_and_goes_on(capsys, work, tmp_path):
    out = tmp_path / "study"
    only = ("--out", str(out), "--no-plot", "--strategy", "confidence")
    code, table, progress = study(capsys, *only)
    assert code == 0
    assert (out / "frontier.md").read_text() == table
    assert "| the text itself |" in table
    assert "4/4" in progress
    asked, *lines = (json.loads(line) for line in (out / "frontier.jsonl").read_text().splitlines())
    assert asked["prompts"] == 2
    # one, two, four and eight tokens a step; without a cache every pass takes all twelve rows
    assert [line["nfe"] for line in lines] == [8, 4, 2, 1]
    assert [line["rows"] for line in lines] == [96, 48, 24, 12]
    # a marked line shows that what is there is not measured again
    marked = [{**line, "nfe": 1000.0} for line in lines[:2]]
    (out / "frontier.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (asked, *marked)))
    code, found, _ = study(capsys, *only, "--json")
    assert code == 0
    assert [line["nfe"] for line in json.loads(found)[1:]] == [1000, 1000, 2, 1]


@pytest.mark.slow
def test_every_strategy_is_measured_or_says_why_not(capsys, work, tmp_path):
    pytest.importorskip("matplotlib")
    code, table, _ = study(capsys, "--out", str(tmp_path), "--cache", "none", "--cache", "dual", "--block-length", "4")
    assert code == 0
    from undiffuse.kinds import STRATEGIES

    for kind in STRATEGIES.kinds:
        assert f"| {kind}" in table or f"- {kind}: " in table
    dual = [line for line in table.splitlines() if line.startswith("| confidence") and "cache=dual" in line]
    # two windows: 12 rows once and 4 rows three times in each, for 8 tokens
    assert float(dual[0].split("|")[4]) == 2 * (12 + 3 * 4) / 8
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert "ancestral" in (tmp_path / "frontier.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategy", "confidense"), "there is no strategy 'confidense'; did you mean 'confidence'?"),
        (("--cache", "duel"), "there is no cache 'duel'; did you mean 'dual'?"),
        (("--length", "62"), "a prompt of 4 tokens and 62 new ones take 66 positions"),
        (("-n", "100000"), "pieces of 12 are asked for: use -n "),
    ],
)
def test_what_cannot_work_is_refused(capsys, work, tmp_path, arguments, message):
    code = run(["study", "frontier", "--out", str(tmp_path), "--no-plot", *SMALL, *arguments])
    assert code == 2
    assert message in capsys.readouterr().err


def test_results_of_another_question_are_not_mixed(capsys, work, tmp_path):
    only = ("--out", str(tmp_path), "--no-plot", "--strategy", "random")
    assert study(capsys, *only)[0] == 0
    code, _, error = study(capsys, *only, "--seed", "1")
    assert code == 2
    assert "holds a study with another seed (0, not 1): choose another --out" in error


def test_fidelity_of_every_cache(capsys, work):
    code = run(["study", "fidelity", "--block-length", "4", "--json", *SMALL])
    out, err = capsys.readouterr()
    assert code == 0, err
    lines = {line["cache"]: line for line in json.loads(out)}
    assert lines["none"]["kl"] == lines["none"]["flips"] == 0
    assert lines["none"]["rows"] == 1
    assert "block diffusion" in lines["block"]["refused"]
    assert (lines["none"]["exact"], lines["dual"]["exact"]) == (True, False)
    # two windows: all 12 rows once and the window's 4 three times, of 8 passes over 12
    assert lines["dual"]["rows"] == pytest.approx(2 * (12 + 3 * 4) / (8 * 12))
    assert run(["study", "fidelity", *SMALL]) == 0
    assert "| dual | no |" in capsys.readouterr().out
