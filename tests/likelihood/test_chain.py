"""The autoregressive twin: exact, causal, and scored by the chain rule."""

import torch

from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.likelihood.bound import bound
from undiffuse.likelihood.windows import windows
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.autoregressive import Autoregressive
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.randomness import Draws
from undiffuse.types import State, Tags
from undiffuse.vocabulary import Vocabulary


def predictor() -> Predictor:
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=7, width=16, depth=2, heads=2, context=4, causal=True))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    vocabulary = Vocabulary(7, mask=6, bos=5)
    process = Interpolating(vocabulary, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def test_the_probabilities_of_all_texts_sum_to_one():
    texts = torch.cartesian_prod(*[torch.arange(5)] * 4)
    found = bound(predictor(), windows(texts.tolist(), 4))
    nats = found.per_token.view(-1, 4).sum(-1)
    torch.testing.assert_close((-nats).exp().sum(), torch.ones((), dtype=torch.float64), atol=1e-5, rtol=0)
    assert (found.kind, found.stderr, found.draws) == ("exact", 0.0, 1)


def test_no_row_sees_its_own_token_or_a_later_one_or_another_document():
    model, ids = predictor(), torch.tensor([[0, 1, 2, 3]])
    yes, place = torch.ones(1, 4, dtype=torch.bool), torch.arange(4)[None]

    def hidden(tokens, document=None):
        tags = Tags(place, live=yes, document=document)
        return model.run(model.rows(State(tokens), torch.zeros(1, 4), tags, yes))[0]

    changed = ids.clone()
    changed[0, 2] = 4
    moved = (hidden(ids) - hidden(changed)).abs().amax(-1) > 1e-6
    assert moved.tolist() == [False, False, False, True]
    document = torch.tensor([[0, 0, 0, 1]])
    assert torch.equal(hidden(ids, document)[3], hidden(changed, document)[3])


def test_the_objective_is_the_likelihood():
    model, text = predictor(), windows([[0, 1, 2, 3], [4, 4, 1]], 4, prompts=[1, 0])
    loss = Autoregressive().loss(model, text, Draws.seeded(0), 2)
    assert loss.weight.item() == 6
    torch.testing.assert_close(loss.sum.double(), torch.tensor(bound(model, text).nats), check_dtype=False)
