"""Holes of small types have p(text | all the rest, type), by enumeration of worlds and of spellings."""

import math
from dataclasses import dataclass

import pytest
import torch
from letters import Letters, exact_model, laws

from undiffuse.exact.laws.spindle import exact
from undiffuse.exact.world import World
from undiffuse.language_model import LanguageModel
from undiffuse.models import rules
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor


@dataclass(frozen=True)
class Swing(Denoiser):
    """Logits that swing with all tokens and how far away they are."""

    rows: int

    @property
    def traits(self):
        return Traits(self.rows, 64, rules.full)

    def trunk(self, rows, kv=None):
        ids, place = rows.state.ids.double(), rows.tags.position.double()
        near = (-(place[:, :, None] - place[:, None]).abs() / 2).exp() * (1.3 * ids).sin()[:, None]
        return (near * (place[:, :, None] - place[:, None]).sin()).sum(-1, keepdim=True)

    def head(self, hidden):
        return 2 * (40 * hidden + 2.1 * torch.arange(self.rows)).sin()


@pytest.fixture(params=["bpe", "bytes"])
def swing(request, model, byte_model) -> LanguageModel:
    """A model to which every token of a text matters."""
    base = model if request.param == "bpe" else byte_model
    network = Swing(base.tokenizer.vocabulary.rows)
    return LanguageModel(Predictor(network, base.predictor.process, "leave_one_out"), base.tokenizer, {})


WORLD = World(3, 4, torch.rand(81, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).square())
LAW = laws(WORLD)
NOISES = ("mask", "growing-mask p=.2", "uniform", "mix k=.3")


def shown(hole) -> dict[str, float]:
    return {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}


def known(before: str, texts: list[str], after: str) -> dict[str, float]:
    """p(text | before, after, it is one of them)."""
    mass = {text: LAW[before + text + after] for text in texts}
    return {text: p / sum(mass.values()) for text, p in mass.items()}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    ("hole", "texts"),
    [
        ("{x:/(aa|bb)/}", ["aa", "bb"]),
        ("{x:/a[bc]|[bc]a/}", ["ab", "ac", "ba", "ca"]),
        ("{x:choice(ab|ba|cc)}", ["ab", "ba", "cc"]),
        ("{x:/[a-c]{2}/}", [a + b for a in "abc" for b in "abc"]),
    ],
)
def test_a_small_type_has_the_probabilities_of_its_texts(noise, hole, texts):
    for strategy in ("ancestral", "greedy-tail"):
        for filled in exact_model(WORLD, noise).fill(f"a{hole}c", strategy=strategy, steps=2, samples=3, top=99):
            assert shown(filled.holes[0]) == pytest.approx(known("a", texts, "c"), abs=1e-6)
            assert filled.holes[0].kind == "text"


def test_of_two_holes_each_is_given_the_other():
    for filled in exact_model(WORLD).fill("{x:/(aa|bb)/}{y:/[ac]b/}", samples=8, top=9):
        one, two = filled.holes
        left, right = (
            {text: LAW[text + two.text] for text in ("aa", "bb")},
            {t: LAW[one.text + t] for t in ("ab", "cb")},
        )
        for hole, mass in ((one, left), (two, right)):
            assert shown(hole) == pytest.approx({text: p / sum(mass.values()) for text, p in mass.items()}, abs=1e-6)


def spelled(data: bytes, tokens: tuple[bytes, ...]) -> list[list[int]]:
    """Every sequence of tokens that has these bytes."""
    if not data:
        return [[]]
    return [
        [row, *rest]
        for row, piece in enumerate(tokens)
        if piece and data.startswith(piece)
        for rest in spelled(data[len(piece) :], tokens)
    ]


def test_a_text_has_the_probability_of_all_its_spellings(swing):
    """By the definition: a geometric prior of the length, what follows with the hole open, and the chain of tokens."""
    tokens = swing.tokenizer
    space = b" " if tokens.kind == "bpe" else b""
    left, right, mask = tokens.encode("The"), tokens.encode(" dog, lazy"), tokens.vocabulary.mask

    def log_p(middle: list[int], after: list[int], place: int) -> torch.Tensor:
        logits = swing.logits(torch.tensor([[*left, *middle, *after]]))[0, len(left) + place].double()
        return logits.index_fill(0, torch.tensor(tokens.vocabulary.unpredictable), -math.inf).log_softmax(-1)

    mass = {}
    for text in ("fox", "qu"):
        mass[text] = 0.0
        for x in spelled(space + text.encode(), tokens.tokens):
            score = len(x) * math.log(0.7)
            for k in range(4):
                score += log_p([mask] * len(x), right[:k] + [mask] * (4 - k) + right[4:], len(x) + k)[right[k]].item()
            for k, token in enumerate(x):
                score += log_p(x[:k] + [mask] * (len(x) - k), right, k)[token].item()
            mass[text] += math.exp(score)
    hole = swing.fill(f"The{space.decode()}{{x:/(fox|qu)/}} dog, lazy", top=2)[0].holes[0]
    assert len(spelled(space + b"fox", tokens.tokens)) == (3 if space else 1)
    assert shown(hole) == pytest.approx({text: p / sum(mass.values()) for text, p in mass.items()}, rel=1e-3)


def test_what_the_number_is_stands_beside_it(byte_model):
    few, many, blank = byte_model.fill("a{x:/(aa|bb)/}b{n:int(1-99)}c[MASK]")[0].holes
    assert [hole.kind for hole in (few, many, blank)] == ["text", "path", "path"]
    assert byte_model.fill("a[MASK]")[0].json()["holes"][0]["kind"] == "path"


@pytest.mark.parametrize("head", ["leave_one_out", "posterior"])
def test_masks_that_prefer_rare_tokens_change_nothing(head):
    """A mask says something of its token, at every time but 1, at which open positions are read."""
    model, texts = LanguageModel(exact(WORLD, 0.3, head), Letters(WORLD), {}), ["aab", "bba", "ccc"]
    for filled in model.fill("{x:/(aab|bba|ccc)/}b", samples=3, top=9, strategy="random"):
        assert shown(filled.holes[0]) == pytest.approx(known("", texts, "b"), abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_lengths_are_guided_as_all_is(swing, scale):
    """p_c(n) ∝ p(n) p(text | n) and p_u(n) = p(n), so p_c^γ p_u^(1 − γ) ∝ p(n) p(text | n)^γ."""
    text = "The[MASK:1-5] fox, lazy dog"
    plain, guided = (
        {each.tokens: each.probability for each in swing.fill(text, guidance=one)[0].holes[0].lengths}
        for one in (1.0, scale)
    )
    mass = {n: 0.7**n * (p / 0.7**n) ** scale for n, p in plain.items()}
    assert guided == pytest.approx({n: p / sum(mass.values()) for n, p in mass.items()}, rel=1e-3)


def test_with_a_scale_of_0_the_fixed_text_says_nothing(swing):
    """Nor of the lengths of a choice, where as many tokens of another text stand around it."""
    for hole in ("{x:choice(o|ee|iou)}", "{x:/(o|ee|iou)/}", "{x:/[a-z]{1,3}/}"):
        one, two = (
            swing.fill(f"{left}{hole}{right}", guidance=0.0, top=9)[0].holes[0]
            for left, right in (("abc", "?!,?!;"), ("xyz", "!?!;?,"))
        )
        assert (one.text, one.kind) == (two.text, two.kind)
        assert shown(one) == pytest.approx(shown(two), rel=1e-4)
        assert [each.probability for each in one.lengths] == pytest.approx([each.probability for each in two.lengths])
