"""What the comparison of two commits reports, on made-up records."""

import math
import random
import subprocess

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.same import compare, sides, speed
from benchmarks.same.__main__ import main
from benchmarks.same.probe import digests, generated


def law(component, error=1e-12, tolerance=1e-9):
    return {
        "law": "block/tight",
        "component": component,
        "error": error,
        "tolerance": tolerance,
        "passed": error <= tolerance,
    }


def test_laws_must_have_the_same_errors_to_the_last_bit():
    base = [law("mask"), law("uniform"), law("lost")]
    here = [law("mask", math.nextafter(1e-12, 1)), law("uniform", tolerance=1e-8), law("new")]
    report = compare.laws(base, here)
    assert report.failures == (
        "block/tight: mask: error 1e-12, here 1.0000000000000002e-12",
        "block/tight: uniform: tolerance 1e-09, here 1e-08",
        "lost: block/tight: lost",
    )
    assert report.notes == ("added: block/tight: new",)
    assert report.equal == "0 of 3 results"


def test_equal_laws_must_also_hold():
    assert compare.laws([law("mask")], [law("mask")]) == compare.Report("laws", "1 of 1 results")
    broken = [law("mask", math.nan)]
    assert compare.laws(broken, broken).failures == (
        "does not hold at the base: block/tight: mask",
        "does not hold here: block/tight: mask",
    )


def mutation(file="a.py", source="x", replacement="y", caught_by="block/tight"):
    return {"file": file, "source": source, "replacement": replacement, "caught_by": caught_by}


CAUGHT = {"passed": True, "end": []}


def test_a_mutation_may_move_and_be_reworded_but_not_be_dropped():
    base = [mutation(), mutation(source="p"), mutation(source="q"), mutation(source="r", caught_by="guidance")]
    here = [mutation("b.py"), mutation(source="s"), mutation(source="r", caught_by="guided"), mutation(caught_by="new")]
    report = compare.mutations(base, here, CAUGHT)
    assert report.equal == "3 of 4 carried"
    assert report.failures == ("dropped: block/tight: q → y",)
    assert report.notes == (
        "1 in another file",
        "1 of other source",
        "1 caught by another component",
        "added: new: x",
    )


def test_one_mutation_is_the_counterpart_of_one():
    assert len(compare.mutations([mutation(), mutation()], [mutation()], CAUGHT).failures) == 1


def test_mutations_must_be_caught():
    report = compare.mutations([mutation()], [mutation()], {"passed": False, "end": ["1 failed"]})
    assert report.failures == ("their tests fail here:", "1 failed")


def trained(bound=2.0, **tensors):
    return {"tensors": tensors, "bound": {"mean": bound}}


def test_other_bits_and_bounds_are_reported_by_recipe():
    base = {"mdlm": trained(a="0", b="1"), "llada": trained(a="0"), "duo": trained(), "ar": trained()}
    here = {"mdlm": trained(a="0", b="2"), "llada": trained(2.5, a="0"), "ar": {"error": "no"}, "new": trained()}
    report = compare.weights(base, here)
    assert report.failures == (
        "lost: recipe duo",
        "mdlm: 1 of 2 tensors differ: b",
        "llada: bound {'mean': 2.0}, here {'mean': 2.5}",
        "ar fails here: no",
    )
    assert report.notes == ("added: new",)
    assert report.equal == "0 of 4 recipes"


def test_a_renamed_tensor_is_a_note_and_an_exchange_of_names_a_difference():
    base = {"mdlm": trained(a="0", b="1")}
    report = compare.weights(base, {"mdlm": trained(a="0", c="1")})
    assert report.failures == ()
    assert report.notes == ("mdlm: tensors renamed: b → c",)
    assert compare.weights(base, {"mdlm": trained(a="1", b="0")}).failures == ("mdlm: 2 of 2 tensors differ: a, b",)


def test_the_last_bit_of_a_weight_changes_its_digest_alone(tmp_path):
    found = []
    for value in (1.0, math.nextafter(1.0, 2)):
        save_file({"a": torch.tensor([value], dtype=torch.float64), "b": torch.ones(2)}, tmp_path / "x.safetensors")
        found.append(digests(tmp_path))
    assert found[0]["a"] != found[1]["a"]
    assert found[0]["b"] == found[1]["b"]


def trajectory(**changed):
    known = {"ids": [[5, 6]], "commit_step": [[0, 1]], "nfe": [2], "rows": [4], "commit_logprob": [[-1.0, -2.0]]}
    return known | changed


def test_trajectories_are_tokens_order_evaluations_and_rows():
    base = dict.fromkeys(("same", "order", "digits", "work"), trajectory())
    here = base | {
        "order": trajectory(commit_step=[[1, 0]]),
        "digits": trajectory(commit_logprob=[[-1.0, -2.25]]),
        "work": trajectory(nfe=[3], rows=[6]),
    }
    report = compare.golden(base, here)
    assert report.failures == ("order: other commit_step", "work: other nfe, rows")
    assert report.notes == ("digits: log-probabilities differ by at most 2.5e-01",)


def test_the_interval_of_the_ratio_decides():
    assert speed.interval([1.0, 1.21]) == pytest.approx((1.1, 1.0, 1.21))
    report = speed.judged({"quick": [1.0, 1.01, 0.99], "slow": [1.1, 1.11, 1.1], "noisy": [0.9, 1.1, 1.0]})
    assert report.equal == "1 of 3 steps below 1.03"
    assert [line.partition(":")[0] for line in report.failures] == ["slow", "noisy"]
    assert report.failures[0].endswith("slower")
    assert "undecided, at this scatter use --rounds" in report.failures[1]


def test_the_interval_covers_though_some_rounds_are_disturbed():
    draw, missed, rounds = random.Random(1), 0, 12
    for _ in range(400):
        found = [
            math.exp(draw.gauss(0.01, 0.02) + draw.choice((-0.3, 0.3)) * (draw.random() < 0.1)) for _ in range(rounds)
        ]
        _, low, high = speed.interval(found)
        missed += not low <= math.exp(0.01) <= high
    assert 8 <= missed <= 36, "5 % of 400 are 20, within 3.7 standard errors"


def test_the_text_is_the_same_on_every_machine():
    text = generated(30_000)
    assert 30_000 <= len(text) < 31_000
    assert text.isascii()
    assert generated(500) == text[: len(generated(500))]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A commit, and a probe that answers each item with the time of asking."""
    root = tmp_path / "repository"
    root.mkdir()
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import json, sys, time\n"
        "for name in json.load(sys.stdin)['items']:\n"
        "    print(json.dumps({'item': name, 'record': time.monotonic_ns()}))\n"
    )
    monkeypatch.setattr(sides, "PROBE", probe)
    monkeypatch.setattr(sides, "CACHE", tmp_path / "cache")
    (root / "file").write_text("one")
    for command in ("init -q", "add file", "-c user.name=a -c user.email=a@b commit -q -m one"):
        subprocess.run(["git", "-C", str(root), *command.split()], check=True)
    return root


def test_a_commit_is_asked_once_and_a_changed_tree_always(repository):
    here, base = sides.Side(repository, fixed=False), sides.Side(repository, fixed=True)
    first = here.answers("laws", {"a": 1})
    assert base.answers("laws", {"a": 1, "b": 2})["a"] == first["a"]
    assert base.answers("laws", {"a": 3})["a"] != first["a"]
    assert here.answers("laws", {"a": 1}) != first
    (repository / "file").write_text("two")
    changed = here.answers("laws", {"c": 1})
    subprocess.run(["git", "-C", str(repository), "checkout", "-q", "file"], check=True)
    assert base.answers("laws", {"c": 1}) != changed


def test_unknown_commits_and_probes_are_refused(capsys):
    assert main(["no-such-commit"]) == 2
    assert "no-such-commit is no commit of this repository" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--only", "laws,lows"])
    assert "lows: there are laws, mutations, weights, golden, speed" in capsys.readouterr().err


def test_a_probe_says_which_item_failed_and_goes_on():
    side = sides.Side(sides.ROOT, fixed=False)
    found = side.answers("weights", {"no recipe": {}, "no steps": {"recipe": "mdlm"}})
    assert found == {"no recipe": {"error": "KeyError: 'recipe'"}, "no steps": {"error": "KeyError: 'steps'"}}
