"""A run under a spindle counts the training text, and its model knows what was counted."""

import json

import torch

from undiffuse.language_model import load
from undiffuse.training.run_directory import RunDirectory


def test_counts_are_those_of_the_training_text_and_travel_with_the_model(train_tiny):
    run = train_tiny(recipe="diffusion-bert", steps=4)
    model = load(run.directory)
    train_text = RunDirectory.open(run.directory).text[0]
    ids = [i for document in train_text.documents for i in model.tokenizer.encode(document.text)]
    vocabulary = model.tokenizer.vocabulary
    counted = torch.bincount(torch.tensor(ids), minlength=vocabulary.rows)[list(vocabulary.predictable)].tolist()
    written = json.loads((run.directory / "manifest.json").read_text())["process"]
    assert written["kind"] == "spindle"
    gap = [a - b for a, b in zip(written["counts"], counted, strict=True)]
    assert sum(map(abs, gap)) <= 1  # an end of text may be among what is learned
    assert model.predictor.process == run.model.predictor.process
    assert model.score(["a text to score"], draws=4).json()["kind"] == "bound"
    (filled,) = model.fill("ab [MASK] cd", steps=4)
    assert (filled.strategy, filled.text[:3]) == ("confidence", "ab ")
    assert "spindle, strength 0.3 |" in (run.directory / "report.md").read_text()
