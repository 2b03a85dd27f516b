"""A run in discrete time: its label says how many steps the bound is of."""

import json

import numpy as np
import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.language_model import load
from undiffuse.training.recipe import resolve
from undiffuse.training.run import resume, train


@pytest.mark.parametrize("recipe", ["d3pm-absorb", "d3pm-uniform"])
def test_the_bound_says_of_how_many_steps_it_is(train_tiny, recipe):
    run = train_tiny("process.steps=8", recipe=recipe, steps=4)
    assert "| this model, upper bound of 8 steps |" in (run.directory / "report.md").read_text()
    model = load(run.directory)
    score = model.score(["a text to score"], draws=4).json()
    assert (score["kind"], score["steps"]) == ("bound", 8)
    terms = score["terms"]
    assert terms["diffusion"] > 0
    assert terms["reconstruction"] > 0
    assert sum(terms.values()) == pytest.approx(score["nats_per_token"]["mean"])
    (filled,) = model.fill("ab [MASK] cd", strategy="ancestral", steps=8)
    assert filled.text.startswith("ab ")
    (made,) = model.generate(length=12, steps=8)
    assert made.nfe <= 8


def test_bytes_train_and_generate_under_a_matrix_of_moves(text, tmp_path):
    small = ("model.width=16", "model.depth=1", "model.context=32", "training.rows=4", "process.steps=6")
    run = train(text, out=tmp_path / "run", steps=4, threads=1, recipe="d3pm-matrix", overrides=small)
    assert "upper bound of 6 steps" in (run.directory / "report.md").read_text()
    model = load(run.directory)
    score = model.score(["a text to score"], draws=4).json()
    assert score["steps"] == 6
    assert score["terms"]["reconstruction"] > 0
    (filled,) = model.fill("ab [MASK:3] cd", steps=6)
    assert (filled.strategy, filled.text[:3], len(filled.text)) == ("ancestral", "ab ", len("ab xyz cd"))
    with pytest.raises(UserError, match="use strategy 'ancestral'"):
        model.fill("ab [MASK] cd", strategy="confidence")


@pytest.mark.parametrize("tokenizer", ["{kind='bpe', size=400}", "{kind='bpe'}"])
def test_words_are_too_many_for_a_matrix(text, tmp_path, tokenizer):
    with pytest.raises(UserError, match=r"at most 300 tokens, and this vocabulary has \d+: use tokenizer.kind=byte"):
        train(text, out=tmp_path / "run", steps=4, recipe="d3pm-matrix", overrides=(f"tokenizer={tokenizer}",))
    assert not (tmp_path / "run").exists()


def one_sided() -> torch.Tensor:
    """Bytes move up by one or stay, letters never leave the letters: neither symmetric nor in one part."""
    rows = torch.zeros(257, 257, dtype=torch.float64)
    for byte in range(257):
        after = ord("a") if byte == ord("z") else byte if byte in (ord("a") - 1, 256) else byte + 1
        rows[byte, after] += 0.75
        rows[byte, byte] += 0.25
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "npy", "json"])
def test_any_matrix_trains_and_its_file_is_not_needed_afterwards(text, tmp_path, form):
    file = tmp_path / f"moves.{form}"
    rows = one_sided()
    if form == "npy":
        np.save(file, rows.numpy())
    elif form == "json":
        file.write_text(json.dumps(rows.tolist()))
    else:
        file.write_text("\n".join(",".join(map(str, row)) for row in rows.tolist()))
    small = ("model.width=16", "model.depth=1", "model.context=32", "training.rows=4", "process.steps=6")
    moves = ("process.moves=given", f"process.matrix={file}", "objective.auxiliary=0.01")
    run = train(text, out=tmp_path / "run", steps=2, threads=1, recipe="d3pm-matrix", overrides=(*small, *moves))
    file.unlink()
    assert "moves given, steps 6, matrix of 257 rows" in (run.directory / "report.md").read_text()
    assert len((run.directory / "manifest.json").read_text().splitlines()) < 1000
    resume(run.directory, steps=2)
    model = load(run.directory)
    assert torch.equal(model.predictor.process.move, rows)
    score = model.score(["a text to score"], draws=2).json()
    assert score["terms"]["prior"] > 0.01  # that letters were letters is still to be seen
    (filled,) = model.fill("ab [MASK:3] cd", steps=6)
    assert len(filled.text.encode()) == len("ab xyz cd")  # a token is a byte
    assert model.generate(length=6, steps=6)[0].nfe <= 7  # and one for bytes that are no text yet


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("default", ["objective=discrete-time"], "needs noise in steps: use process 'discrete'"),
        ("d3pm-absorb", ["objective.auxiliary=-1"], "cannot be negative: -1"),
        ("d3pm-absorb", ["objective=score-entropy"], "needs noise of one kind: process 'interpolating'"),
        ("d3pm-matrix", ["tokenizer={kind='bpe', size=400}"], "this vocabulary has 397"),
        ("d3pm-matrix", ["process.matrix=moves.txt"], "expected a file of numbers that ends in .csv, .npy or .json"),
        ("d3pm-matrix", ["process.matrix=nowhere.csv"], "process.matrix: cannot read nowhere.csv: No such file"),
        (
            "d3pm-absorb",
            ["objective.times=equal-count", "model.time_conditioning=false"],
            "'equal-count' are not those of steps",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(recipe, overrides, message):
    with pytest.raises(UserError, match=message):
        resolve(recipe, overrides)


def test_only_the_bound_alone_is_called_one():
    assert not resolve("d3pm-absorb").configuration.objective.is_bound
    assert resolve("d3pm-absorb", ["objective.auxiliary=0"]).configuration.objective.is_bound
