"""Log-probabilities of written tokens: each definition against the network asked by hand, and sums over all texts."""

import math
from itertools import permutations

import pytest
import torch

from undiffuse.decode.canvas import CANCELLED, Canvas, start
from undiffuse.decode.evaluation import at_once
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.language_model.log_probabilities import DEFINITIONS, Numbers, definition_of, log_probabilities
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.types import State, Tags
from undiffuse.vocabulary import Vocabulary

MASK = 6


def predictor(destination: str = "mask", **config) -> Predictor:
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=7, width=16, depth=2, heads=2, context=6, **config)).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    vocabulary = Vocabulary(7, mask=MASK, bos=5)
    process = Interpolating(vocabulary, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load(destination)())
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def finished(ids: list[int], prompt: int, span: int | None = None) -> Canvas:
    """A text of which all after the prompt was written."""
    row = torch.tensor(ids)
    canvas = start(row, torch.arange(len(ids)) >= prompt, key=0, span=span)
    return canvas.replace(ids=row[None], pending=torch.zeros_like(canvas.pending))


def numbers(name: str, model: Predictor, ids: list[int], prompt: int = 1, span: int | None = None) -> Numbers:
    return at_once(log_probabilities(name, model, finished(ids, prompt, span), {4}, 0))


def asked(model: Predictor, ids: list[int], place: int) -> torch.Tensor:
    """ln p of every token at a place, of a network without attention blocks that is shown a text by hand."""
    row, yes = torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool)
    rows = model.rows(State(row), torch.zeros(row.shape, dtype=torch.float64), Tags(torch.arange(len(ids))[None]), yes)
    logits = model.denoiser.head(model.run(rows))[0, place]
    return logits.masked_fill(torch.tensor([False] * 5 + [True] * 2), -torch.inf).log_softmax(-1)


def hidden(ids: list[int], places) -> list[int]:
    return [MASK if place in places else token for place, token in enumerate(ids)]


IDS = [0, 3, 1, 2, 0]


def test_final_is_each_token_given_all_others():
    model = predictor()
    found = numbers("final", model, IDS)
    assert found.tokens == IDS[1:]
    expected = [asked(model, hidden(IDS, {place}), place)[IDS[place]].item() for place in range(1, 5)]
    assert found.log_p == pytest.approx(expected, abs=1e-9)


def test_under_noise_that_shows_tokens_one_pass_reads_all():
    model = predictor("uniform")
    found = numbers("final", model, IDS)
    expected = [asked(model, IDS, place)[IDS[place]].item() for place in range(1, 5)]
    assert found.log_p == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["final", "elbo"])
def test_of_a_causal_network_they_are_the_chain_rule(name):
    """So over all texts of three tokens the probabilities add up to one."""
    model = predictor(causal=True)
    every = torch.cartesian_prod(*[torch.tensor([0, 1, 2, 3])] * 3).tolist()
    found = [numbers(name, model, [1, *text]) for text in every]
    total = sum(math.exp(sum(each.log_p)) for each in found)
    ends = [
        sum(math.exp(sum(numbers(name, model, [1, *text]).log_p)) * _ended(model, [1, *text]) for text in texts)
        for texts in ([[]], *(torch.cartesian_prod(*[torch.arange(4)] * n).view(-1, n).tolist() for n in (1, 2)))
    ]
    assert total + sum(ends) == pytest.approx(1, abs=1e-9)


def _ended(model: Predictor, before: list[int]) -> float:
    """The probability that the text ends there, by hand."""
    return asked(model, [*before, 4], len(before))[4].exp().item()


def test_blocks_see_what_stands_before_and_themselves():
    model = predictor(block_length=2)
    before = numbers("final", model, [0, 1, 2, 3, 1, 0], 2, span=2).log_p
    later = numbers("final", model, [0, 1, 2, 3, 2, 1], 2, span=2).log_p
    beside = numbers("final", model, [0, 1, 2, 0, 1, 0], 2, span=2).log_p
    assert before[:2] == pytest.approx(later[:2], abs=1e-12)
    assert abs(before[0] - beside[0]) > 1e-6


def test_the_share_of_a_single_token_is_all_there_is():
    model = predictor()
    one = numbers("elbo", model, IDS, prompt=4)
    assert one.log_p == pytest.approx(numbers("final", model, IDS, prompt=4).log_p, abs=1e-9)
    assert (one.facts["kind"], one.facts["stderr"]) == ("exact", 0.0)


def test_shares_add_up_to_the_bound_by_enumeration():
    """Of a network without time the bound is the mean over orders of the chain rule in that order."""
    model = predictor()
    exact = 0.0
    orders = list(permutations((2, 3, 4)))
    for order in orders:
        for number, place in enumerate(order):
            exact += asked(model, hidden(IDS, set(order[number:])), place)[IDS[place]].item() / len(orders)
    found = numbers("elbo", model, IDS, prompt=2)
    assert found.tokens == IDS[2:]
    assert found.facts["kind"] == "bound"
    assert found.facts["draws"] >= 16
    assert abs(sum(found.log_p) - exact) < 5 * found.facts["stderr"]


def test_commit_is_what_the_loop_kept_up_to_the_end_of_the_text():
    canvas = finished([0, 3, 1, 4, 2], 1)
    canvas = canvas.replace(
        commit_logp=-torch.arange(5.0)[None],
        commit_step=torch.tensor([[-1, 0, 1, 2, CANCELLED]]),
    )
    found = at_once(log_probabilities("commit", predictor(), canvas, {4}, 0))
    assert found == Numbers([3, 1], [-1.0, -2.0])
    nothing = finished([0, 4, 1], 1)
    assert at_once(log_probabilities("elbo", predictor(), nothing, {4}, 0)) == Numbers([], [])


def test_what_there_is_none_of():
    assert [definition_of(name) for name in DEFINITIONS] == ["commit", "final", "elbo"]
    with pytest.raises(UserError, match="no log-probabilities 'finale': they are commit, final, elbo"):
        definition_of("finale")
