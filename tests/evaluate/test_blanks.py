"""Single hidden tokens: answers by Bayes' rule in exact worlds, those of the decoding loop, every kind."""

import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.loop import walk
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.errors import UserError
from undiffuse.evaluate.blanks import answers, infill
from undiffuse.evaluate.infill import Accuracy, TokenBlank, draw_token_blanks
from undiffuse.exact.denoiser import bayes_predictor
from undiffuse.exact.vectors import exact_vectors
from undiffuse.exact.world import small_worlds
from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.gammas.linear import Linear
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training.assembly import network_of, predictor_of
from undiffuse.training.plan import Size, sized
from undiffuse.training.recipe import resolve

GIDD = {"uniform_share": 0.2, "shape": 1.0}
NOISES = {
    "mask": {"destination": {"kind": "mask"}},
    "uniform": {"destination": {"kind": "uniform"}},
    "mix": {"destination": {"kind": "mix", "uniform_share": 0.5}},
    "growing-mask": {"schedule": {"kind": "gidd", **GIDD}, "destination": {"kind": "growing-mask", **GIDD}},
    "discrete": {"kind": "discrete", "steps": 40, "destination": {"kind": "uniform"}},
}
TEXT = "the cat sat on the mat, the dog ran to the man, and the cow ate the hay. " * 4
BYTES = Tokenizer.byte_level()


def random_model(recipe: str) -> LanguageModel:
    size = Size(width=16, depth=1, heads=2, context=16, rows=4)
    smallest = ["model.width=16", "model.depth=1", "model.heads=2", "model.context=16"]
    if recipe == "block":
        smallest.append("model.block_length=8")
    configuration = sized(resolve(recipe, smallest).configuration, size)
    network = network_of(configuration, BYTES, seed=0)
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(False).add_(torch.randn_like(parameter))
        if "noise" in name or "modulation" in name:  # else the level, the same at every blank, drowns the text
            parameter.mul_(0.1)
    return LanguageModel(predictor_of(configuration, BYTES, network), BYTES, {})


def blanks_of(text: str, tokenizer: Tokenizer, count: int, window: int = 16) -> tuple[TokenBlank, ...]:
    return draw_token_blanks(tokenizer.encode(text), count, window, seed=1)


def with_another(blank: TokenBlank, place: int, token: int) -> TokenBlank:
    ids = list(blank.ids)
    ids[place] = token
    return TokenBlank(tuple(ids), blank.position)


@pytest.mark.parametrize("head", ["leave_one_out", "posterior"])
@pytest.mark.parametrize("name", [*NOISES, "gaussian"])
def test_exact_networks_answer_by_bayes_rule(name, head):
    toy = small_worlds()["K=2 L=3"]
    predictor = (
        exact_vectors(toy, Linear(), head)
        if name == "gaussian"
        else bayes_predictor(toy, build_process(NOISES[name], toy.vocabulary), head)
    )
    blanks, expected = [], []
    for text in toy.texts:
        for place in range(3):
            rest = [other for other in range(3) if other != place]
            fits = (toy.texts[:, rest] == text[rest]).all(-1)
            mass = [toy.law[fits & (toy.texts[:, place] == v)].sum().item() for v in range(2)]
            blanks.append(TokenBlank(tuple(toy.rows[text].tolist()), place))
            expected.append(toy.rows[mass.index(max(mass))].item())
    model = LanguageModel(predictor, BYTES, {})
    assert answers(model, blanks) == expected
    truth = [blank.ids[blank.position] for blank in blanks]
    correct = sum(a == b for a, b in zip(expected, truth, strict=True))
    assert 0 < correct < len(blanks)
    assert infill(model, blanks) == Accuracy(correct, len(blanks))


@pytest.fixture(scope="module")
def words() -> LanguageModel:
    tokenizer = Tokenizer.train([TEXT], 290)
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=32))
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    process = build_process(NOISES["mask"], tokenizer.vocabulary)
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


def test_a_model_of_masks_answers_as_the_loop_decodes(words):
    blanks = blanks_of(TEXT, words.tokenizer, 12, window=24)
    found = []
    for blank in blanks:
        pending = torch.arange(24) == blank.position
        canvases = [
            canvas for canvas, _ in walk(words.predictor, start(torch.tensor(blank.ids), pending, key=0), Confidence())
        ]
        found.append(int(canvases[-1].ids[0, blank.position]))
    assert answers(words, blanks) == found


@pytest.mark.parametrize("recipe", ["default", "udlm", "gidd", "sedd-uniform", "plaid", "d3pm-matrix", "ar", "block"])
def test_every_kind_of_system_answers_from_what_it_sees(recipe):
    model = random_model(recipe)
    real = set(model.predictor.process.vocabulary.predictable)
    blanks = list(blanks_of(TEXT, BYTES, 12)) + list(blanks_of(TEXT, BYTES, 3, window=9))
    found = answers(model, blanks, rows=5)
    assert set(found) <= real
    assert len(set(found)) > 1
    assert answers(model, blanks, rows=32) == found
    # the hidden token itself is not seen
    assert answers(model, [with_another(blank, blank.position, 7) for blank in blanks]) == found
    assert all(0 < blank.position < len(blank.ids) - 1 for blank in blanks)
    assert answers(model, [with_another(blank, blank.position - 1, 7) for blank in blanks]) != found
    after = answers(model, [with_another(blank, blank.position + 1, 7) for blank in blanks])
    if recipe == "ar":
        assert after == found
    elif recipe == "block":
        first = [blank for blank in blanks if blank.position < 8]
        assert first
        assert answers(model, [with_another(blank, 8, 7) for blank in first]) == answers(model, first)
    else:
        assert after != found


def test_a_causal_model_may_be_asked_with_the_right_side():
    """Of all tokens as candidates the best is that of both sides, a few tokens of the right one read."""
    model = random_model("ar")
    blanks = list(blanks_of(TEXT, BYTES, 6))
    found = answers(model, blanks, right=2, candidates=999)
    for blank, token in zip(blanks, found, strict=True):
        place = blank.position
        rows = torch.tensor([with_another(blank, place, each).ids for each in range(256)])
        log_p = model.logits(rows).double()
        log_p[..., list(model.tokenizer.vocabulary.unpredictable)] = -torch.inf
        each = log_p.log_softmax(-1).gather(-1, rows[..., None])[:, place : place + 3, 0].sum(-1)
        assert each[token] == pytest.approx(each.max().item(), abs=1e-4)
    assert found != answers(model, blanks)
    assert (
        answers(model, [with_another(blank, blank.position, 7) for blank in blanks], right=2, candidates=999) == found
    )
    assert answers(model, blanks, right=2, candidates=1) == answers(model, blanks)
    with pytest.raises(UserError, match="reads both sides as it is: leave out right"):
        answers(random_model("default"), blanks, right=2)


def test_what_cannot_be_asked_is_refused():
    model = random_model("default")
    with pytest.raises(UserError, match="no blank"):
        infill(model, [])
    with pytest.raises(UserError, match="17 tokens are longer than the model's context of 16"):
        infill(model, [TokenBlank(tuple(range(17)), 3)])
    with pytest.raises(UserError, match="rows must be at least 1, not 0"):
        infill(model, blanks_of(TEXT, BYTES, 2), rows=0)
