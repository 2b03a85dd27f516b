"""A network that sees one side alone: a blank at the end is a continuation, what text follows is ranked."""

import json
from dataclasses import replace

import pytest
import torch

from undiffuse.cli.main import run
from undiffuse.decode.canvas import start
from undiffuse.decode.passes import Sites, predict_at
from undiffuse.errors import UserError
from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.text.utf8 import HoleText


@pytest.fixture(scope="module")
def causal() -> LanguageModel:
    tokenizer = Tokenizer.byte_level()
    torch.manual_seed(0)
    config = TransformerConfig(rows=tokenizer.vocabulary.rows, width=16, depth=1, heads=2, context=32, causal=True)
    process = build_process(
        {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}, tokenizer.vocabulary
    )
    network = Transformer(config).requires_grad_(False)
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    return LanguageModel(Predictor(network, process, "leave_one_out"), tokenizer, {})


@pytest.mark.parametrize("strategy", ["confidence", "quality", "ancestral"])
@pytest.mark.parametrize("text", ["a [MASK] c", "[MASK:2]b", "a{x:yesno}.", "[MASK] and [MASK]"])
def test_a_blank_with_text_after_it_is_ranked_and_no_strategy_decides_it(causal, text, strategy):
    with pytest.raises(UserError, match=r"ranks the fillings of a blank by what follows it.*leave it out"):
        causal.fill(text, strategy=strategy)
    assert causal.fill(text, candidates=4) == causal.fill(text, strategy="left-to-right", candidates=4)
    assert {hole.kind for hole in causal.fill(text, candidates=4)[0].holes} == {"ranked"}


def test_a_blank_at_the_end_is_a_continuation(causal):
    """Nothing is kept from it: the answer is that of the chain from the left."""
    filled = causal.fill("ab[MASK:2]", top=1)[0]
    assert filled.text.startswith("ab")
    assert filled.nfe == 2


def test_alternatives_are_those_of_the_chain_from_the_left(causal):
    """Each token given those before it, normalized over what may still become whole characters."""
    (hole,) = causal.fill("ab[MASK:3]", top=4)[0].holes
    text = HoleText(causal.tokenizer.tokens)
    for other in (hole, *hole.alternatives):
        data, p = other.text.encode(), 1.0
        for place in range(3):
            held = [*causal.tokenizer.encode(other.text)[:place], *[None] * (3 - place)]
            open_ = causal.tokenizer.vocabulary.mask
            ids = torch.tensor([*b"ab", *(open_ if token is None else token for token in held)])
            canvas = start(ids, torch.arange(5) >= 2 + place, key=0)
            here = torch.arange(5)[None] == 2 + place
            log_p = predict_at(causal.predictor, canvas, Sites.of(here), canvas.pending.double()).posterior()[0, 0]
            allowed = torch.tensor(text.allowed(held, place))[text.of_token]
            p *= log_p.masked_fill(~allowed, -torch.inf).softmax(-1)[data[place]].item()
        assert other.probability == pytest.approx(p, rel=1e-4)


def test_the_command_line(causal, tmp_path, capsys):
    replace(causal, manifest={}).save(tmp_path / "model")
    said = ["fill", "a [MASK] c", "--model", str(tmp_path / "model")]
    assert run([*said, "--candidates", "9", "--right", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("a ")
    assert "covered" in err
    assert run([*said, "--candidates", "9", "--json"]) == 0
    (hole,) = json.loads(capsys.readouterr().out)["holes"]
    assert hole["kind"] == "ranked"
    assert 0 < hole["coverage"] < 1
    for more, what in (
        (["--strategy", "confidence"], "strategy 'confidence'"),
        (["--steps", "2"], "a number of steps"),
    ):
        assert run([*said, *more]) == 2
        shown = " ".join(capsys.readouterr().err.split())
        assert f"{what} means nothing there: leave it out" in shown
        assert "Traceback" not in shown
