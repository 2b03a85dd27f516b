"""What is recorded of a token: p(token | everything but this position), given its type, whatever draws it."""

import math

import pytest
import torch

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.whole_text import Span, WholeText
from undiffuse.exact.catalog import golden
from undiffuse.exact.denoiser import bayes_predictor
from undiffuse.exact.world import small_worlds
from undiffuse.kinds import STRATEGIES
from undiffuse.process.needs import meets
from undiffuse.text.automaton import of_sequences

WORLD = small_worlds()["K=3 L=2"]
KINDS = ("ancestral", "greedy-tail", "tweedie", "euler", "flow-jump", "predictor-corrector", "psi", "remdm")
CASES = [
    (kind, name)
    for kind in (*KINDS, "entropy-renoise")
    for name, process in golden(WORLD).items()
    if meets(STRATEGIES.load(kind)().needs, process)
]


def expected(first: int, among: tuple[int, ...]) -> dict[int, float]:
    """p(second | first, the second is one of these), by enumeration."""
    mass = {v: WORLD.law[first * WORLD.tokens + v].item() for v in among}
    return {int(WORLD.rows[v]): p / sum(mass.values()) for v, p in mass.items()}


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("steps", [1, 4, 16])
def test_one_open_position_of_two(kind, name, steps):
    first, among = 1, (0, 2)
    ids, pending = torch.tensor([WORLD.rows[first], WORLD.rows[0]]), torch.tensor([False, True])
    canvas = Canvas.concatenate([start(ids, pending, key=key, steps=steps) for key in range(8)])
    language = of_sequences([[int(WORLD.rows[v])] for v in among], WORLD.vocabulary.rows)
    typed = WholeText([Span(row, 1, 2, language) for row in range(len(canvas.ids))])
    predictor = bayes_predictor(WORLD, golden(WORLD)[name])
    for constraint, kept in ((None, (0, 1, 2)), (typed, among)):
        known = expected(first, kept)
        *_, (done, _) = walk(predictor, canvas, Decoder(STRATEGIES.load(kind)(), constraint=constraint))
        for token, logp in zip(done.ids[:, 1].tolist(), done.commit_logp[:, 1].exp().tolist(), strict=True):
            assert logp == pytest.approx(known[token], abs=1e-5)


@pytest.mark.parametrize("name", golden(WORLD))
@pytest.mark.parametrize("kind", ["ancestral", "confidence", "random"])
def test_tied_tokens_of_one_step_have_the_probability_of_all_of_them(kind, name):
    """Π p_i(x_i) / Σ over the language of it, by enumeration: the product of their marginals is another number."""
    process, language = golden(WORLD)[name], [(0, 0), (1, 1), (2, 1)]
    if not meets(STRATEGIES.load(kind)().needs, process):
        return
    p = [[sum(WORLD.law[WORLD.texts[:, i] == v].tolist()) for v in range(WORLD.tokens)] for i in range(2)]
    total = sum(p[0][a] * p[1][b] for a, b in language)
    known = {tuple(WORLD.rows[list(ab)].tolist()): p[0][ab[0]] * p[1][ab[1]] / total for ab in language}
    blank, pending = WORLD.rows[[0, 0]], torch.ones(2, dtype=torch.bool)
    canvas = Canvas.concatenate([start(blank, pending, key=key, steps=1) for key in range(8)])
    automaton = of_sequences([list(ids) for ids in known], WORLD.vocabulary.rows)
    typed = WholeText([Span(row, 0, 2, automaton) for row in range(len(canvas.ids))])
    how = Decoder(STRATEGIES.load(kind)(filters=Filters(temperature=1.0)), constraint=typed)
    *_, (done, _) = walk(bayes_predictor(WORLD, process), canvas, how)
    for ids, logp in zip(done.ids.tolist(), done.commit_logp.tolist(), strict=True):
        assert sum(logp) == pytest.approx(math.log(known[tuple(ids)]), abs=1e-5)
