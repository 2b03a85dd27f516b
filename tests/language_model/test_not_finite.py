"""Predictions that are no numbers: every verb says so in one line, and none answers as if nothing were wrong."""

import pytest
import torch

from undiffuse.cli.main import run
from undiffuse.decode.proposal import Filters
from undiffuse.errors import UserError
from undiffuse.language_model import LanguageModel

VERBS = {
    "fill": lambda model: model.fill("The [MASK] fox"),
    "a length": lambda model: model.fill("The [MASK:1-3] fox"),
    "greedy": lambda model: model.generate("The", length=3, temperature=0.0),
    "drawn": lambda model: model.generate("The", length=3, temperature=1.0),
    "score": lambda model: model.score("The quick brown fox"),
    "to a precision": lambda model: model.score("The quick brown fox", precision=0.01),
    "check": lambda model: model.check("The quick brown fox"),
    "decode": lambda model: model.decode([[1]], 3, strategy="confidence"),
}


def broken(model: LanguageModel, name: str, value: float) -> LanguageModel:
    """The same model with one weight of another value."""
    network = type(model.predictor.denoiser)(model.predictor.denoiser.config)
    network.load_state_dict(model.predictor.denoiser.state_dict())
    with torch.no_grad():
        network.get_parameter(name)[5] = value
    network.eval().requires_grad_(False)
    predictor = type(model.predictor)(network, model.predictor.process, model.predictor.head)
    return LanguageModel(predictor, model.tokenizer, {})


@pytest.mark.parametrize("value", [torch.nan, torch.inf], ids=str)
@pytest.mark.parametrize("use", VERBS.values(), ids=VERBS)
def test_every_verb_notices(model, use, value):
    with pytest.raises(UserError, match="predictions of the network are not finite in float32; its weights"):
        use(broken(model, "unembedding.weight", value))


@pytest.mark.parametrize("use", VERBS.values(), ids=VERBS)
def test_float16_that_overflows_says_which_format_to_try(model, use):
    half = broken(model, "unembedding.weight", 60000.0)
    half.predictor.denoiser.half().unembedding.weight.mul_(1000)
    with pytest.raises(UserError, match="not finite in float16; this format overflows: load it with --dtype bfloat16"):
        use(half)


def test_on_the_command_line_it_is_one_line(model, tmp_path, capsys):
    broken(model, "blocks.0.attention.qkv.weight", torch.nan).save(tmp_path / "m")
    assert run(["--quiet", "generate", "The", "--length", "4", "--model", str(tmp_path / "m")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("undiffuse: the predictions of the network are not finite")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("temperature", [1e-40, 1e-320])
def test_the_least_temperatures_are_zero(model, temperature):
    assert Filters(temperature) == Filters(0.0)
    cold, zero = (
        model.generate("The", length=8, temperature=t, strategy="confidence", seed=3)[0] for t in (temperature, 0.0)
    )
    assert cold.text == zero.text
    drawn = Filters(1e-29).apply(torch.tensor([0.5, 0.3, 0.2]).log())
    assert torch.equal(drawn, torch.tensor([0.0, -torch.inf, -torch.inf])) or drawn.exp()[0] == 1
