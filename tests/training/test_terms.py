"""What is printed of a loss and of a bound: all terms of every bound, and nothing that passes a loss for one."""

import re

import pytest

from undiffuse.cli.bar import describe
from undiffuse.training.metrics import read_metrics

RECIPES = {
    "default": ("default", True),
    "sedd-uniform": ("sedd-uniform", True),  # its prior and reconstruction are not zero
    "llada": ("llada", False),
    "duo-simple": ("duo-simple", False),
    "cdcd": ("cdcd", False),
}


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "is_bound"), RECIPES.values(), ids=RECIPES)
def test_a_bound_has_its_terms_and_a_loss_is_called_no_bound(train_tiny, recipe, is_bound):
    seen = []
    run = train_tiny(recipe=recipe, steps=4, progress=seen.append)
    training, report = run.model.manifest["training"], (run.directory / "report.md").read_text()
    terms, nats = training["bound"]["terms"], training["bound"]["nats_per_token"]["mean"]
    assert list(terms) == ["prior", "diffusion", "reconstruction"]
    assert sum(terms.values()) == pytest.approx(nats)
    line = "In nats per token it is {:.4f}: prior {:.4f}, diffusion {:.4f}, reconstruction {:.4f}."
    assert line.format(nats, *terms.values()) in report
    if recipe == "sedd-uniform":
        assert terms["prior"] > 0
        assert terms["reconstruction"] > 0

    assert training["loss_is_bound"] is is_bound
    assert ("| step | training, bits per byte" in report) is is_bound
    assert ("this objective is no bound" in report) is not is_bound
    said = [describe(progress) for progress in seen if progress.bits_per_byte is not None]
    assert said
    assert all(bool(re.search(r"loss \S+ bits/byte(  |$)", text)) is is_bound for text in said)
    assert all(("(no bound)" in text) is not is_bound for text in said)

    assert "perplexity" not in report.lower()
    assert not any("perplexity" in text.lower() for text in said)
    for record in read_metrics(run.directory / "metrics.jsonl"):
        validated = record.pop("validation", None)
        assert "perplexity" not in str(record)
        if validated is not None:  # of the held-out text, whatever was minimized
            assert validated["kind"] == "bound"
            assert list(validated["terms"]) == ["prior", "diffusion", "reconstruction"]
