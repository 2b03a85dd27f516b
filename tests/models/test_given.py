"""Vectors in place of tokens: the embedding of a token is as good as the token, whatever is run of the text."""

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.exact.denoiser import ArbitraryDenoiser
from undiffuse.exact.world import toy_a
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.published_tokenizer import NoTokenizer
from undiffuse.types import Given, State, Tags
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(20, mask=19)
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]])
WHERE = torch.tensor([[1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1, 1]], dtype=torch.bool)
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1, 1, 1]])
NETWORKS = {"plain": {}, "shifted": {"output_offset": -1}, "causal": {"causal": True}, "blocks": {"block_length": 4}}


def predictor(**config) -> Predictor:
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=20, width=16, depth=2, heads=2, context=8, **config))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    process = Interpolating(VOCABULARY, OneMinusT(), Mask())
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def hidden(model: Predictor, ids: torch.Tensor, given: Given | None, document=None, **chosen) -> torch.Tensor:
    tags = Tags(torch.arange(8).expand(2, 8), document=document)
    every = torch.ones(2, 8, dtype=torch.bool)
    return model.run(model.rows(State(ids), torch.zeros(2, 8), tags, every, given=given, **chosen))


@pytest.mark.parametrize("document", [None, DOCUMENTS], ids=["one text", "documents"])
@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_the_embedding_of_a_token_is_the_token(config, document):
    """Bit for bit, with another token beneath; every other vector changes what is said."""
    model = predictor(**config)
    given = Given(model.denoiser.embedding(IDS), WHERE)
    plain, beneath = hidden(model, IDS, None, document), torch.where(WHERE, 0, IDS)
    assert torch.equal(hidden(model, beneath, given, document), plain)
    assert not torch.equal(hidden(model, beneath, None, document), plain)
    other = Given(given.vectors + 1, WHERE)
    assert not torch.equal(hidden(model, IDS, other, document), plain)


def test_vectors_follow_the_rows_that_are_run():
    model = predictor()
    at = torch.tensor([[0, 1, 5, 7], [2, 3, 4, 6]])
    given = Given(model.denoiser.embedding(IDS), WHERE)
    found = hidden(model, torch.where(WHERE, 0, IDS), given, at=at, of=at)
    assert torch.equal(found, hidden(model, IDS, None, at=at, of=at))


def test_a_network_of_tokens_alone_refuses_vectors():
    world = toy_a()
    model = Predictor(
        ArbitraryDenoiser(world, 0), Interpolating(world.vocabulary, OneMinusT(), Mask()), "leave_one_out"
    )
    ids, every = torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(UserError, match="reads tokens alone"):
        model.rows(State(ids), torch.zeros(1, 2), Tags(ids), every, given=Given(torch.zeros(1, 2, 3), every))


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_padding_before_a_text_changes_nothing(config):
    """Also for the causal twin, whose first token is given the start symbol and not what pads."""
    if config.get("block_length"):
        pytest.skip("attention blocks count columns")
    model = LanguageModel(predictor(**config), NoTokenizer(VOCABULARY, "here"), {})
    text = IDS[:, :5]
    padded = torch.cat((torch.full((2, 3), 7), text), dim=1)
    valid = torch.arange(8).expand(2, 8) >= 3
    found = model.logits(padded, valid)[:, 3:]
    assert torch.allclose(found, model.logits(text), atol=1e-5)
