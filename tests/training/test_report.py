"""What a reader finds in report.md."""

import re
from types import SimpleNamespace

import pytest

from undiffuse.evaluate.ngram import best_order
from undiffuse.training.metrics import read_metrics
from undiffuse.training.report import write_report
from undiffuse.training.run_directory import RunDirectory


@pytest.fixture
def run(train_tiny):
    return train_tiny()


def test_its_numbers_are_those_of_the_run(run):
    report = (run.directory / "report.md").read_text()
    training = run.model.manifest["training"]
    bound = training["bound"]["bits_per_byte"]
    assert f"**{bound['mean']:.3f}** ± {bound['stderr']:.3f}" in report
    train, valid = RunDirectory.open(run.directory).text
    order, bits = best_order(*([d.text.encode() for d in corpus.documents] for corpus in (train, valid)))
    assert f"contexts of up to {order} bytes) | {bits:.3f} |" in report
    assert f"{training['parameters']:,} weights" in report
    assert "trained for 24 steps in " in report
    assert "extrapolation" not in report
    losses = [line for line in read_metrics(run.directory / "metrics.jsonl") if "buckets" in line]
    row = re.search(r"^\| loss \| (.*) \|$", report, re.MULTILINE)
    assert row[1].split(" | ") == ["–" if b is None else f"{b:.3f}" for b in losses[-1]["buckets"]]
    for line in losses:
        assert re.search(rf"^\| {line['step']} \| {line['bits_per_byte']:.3f} \|", report, re.MULTILINE)


def test_its_commands_name_the_run_and_its_samples_stand_as_code(run):
    report = (run.directory / "report.md").read_text()
    commands = re.findall(r"^    undiffuse (\w+) ", report, re.MULTILINE)
    assert commands == ["fill", "generate", "score", "train"]
    assert report.count(str(run.directory)) == 4
    samples = report.partition("## Samples")[2].partition("Of these characters")[0]
    body = [line for line in samples.splitlines() if line.strip() and not line.startswith(("    ", "---"))]
    assert body == ["3 texts by strategy `ancestral`, seed 0, nothing selected."]


@pytest.mark.parametrize(("half", "share"), [("", 100), ("~" * 60, 50)])
def test_it_says_how_much_is_copied(run, half, share):
    """A model that quotes the training text, and one that fills half of each sample with what is not in it."""
    directory = RunDirectory.open(run.directory)
    quote = directory.text[0].documents[0].text[100:160]
    quoting = SimpleNamespace(
        tokenizer=run.model.tokenizer,
        predictor=run.model.predictor,
        generate=lambda prompt, **options: [SimpleNamespace(text=quote + half)] * 3,
    )
    write_report(directory, quoting, run.model.manifest["training"])
    report = (run.directory / "report.md").read_text()
    assert abs(int(re.search(r"Of these characters (\d+) %", report)[1]) - share) <= 2  # line breaks between samples
    assert "The longest passage in common has 60 characters" in report
