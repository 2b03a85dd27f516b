"""What a network with a time input is told where text is clean beside noise."""

import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.passes import Sites, predict_at
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.uniform import Uniform
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.types import Rows, State, Tags
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(20, mask=19)
UNEVEN = torch.tensor([[0.0, 0.0, 0.9, 0.9, 0.0, 0.9, 0.0, 0.3]], dtype=torch.float64)
IDS = torch.arange(8)[None]


def predictor(head: str = "leave_one_out", **config) -> Predictor:
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=20, width=16, depth=2, heads=2, context=8, **config)).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    process = Interpolating(VOCABULARY, OneMinusT(), Uniform())
    return Predictor(network.requires_grad_(False), process, head)


def hidden(of: Predictor, t: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    return of.run(rows(of, t, valid))


def rows(of: Predictor, t: torch.Tensor, valid: torch.Tensor | None = None) -> Rows:
    every = torch.ones(1, 8, dtype=torch.bool)
    return of.rows(State(IDS), t, Tags(torch.arange(8)[None], live=valid), every)


def test_clean_text_beside_noise_is_told_as_a_row_of_their_mean():
    of = predictor(time_conditioning=True)
    even = torch.full_like(UNEVEN, UNEVEN.mean().item())
    assert torch.allclose(hidden(of, UNEVEN), hidden(of, even), atol=1e-12)
    assert not torch.allclose(hidden(of, even), hidden(of, even + 0.2), atol=1e-3)


def test_padding_has_no_level():
    of = predictor(time_conditioning=True)
    valid = torch.arange(8)[None] < 6
    padded = torch.where(valid, UNEVEN, 1.0)
    mean = torch.full_like(UNEVEN, UNEVEN[valid].mean().item())
    assert torch.allclose(hidden(of, padded, valid)[valid], hidden(of, mean, valid)[valid], atol=1e-12)


def test_rows_of_one_level_are_told_it():
    even = torch.full_like(UNEVEN, 0.37)
    told = rows(predictor(time_conditioning=True), even).level
    assert told is not None
    assert torch.allclose(told, even, atol=1e-15)


def test_others_are_told_their_own():
    # a posterior looks at the own token, and must know how far to trust it; blocks have levels of their own
    for of in (
        predictor("posterior", time_conditioning=True),
        predictor(time_conditioning=True, block_length=4),
    ):
        assert torch.equal(rows(of, UNEVEN).level, of.process.level(UNEVEN))
    assert rows(predictor(), UNEVEN).level is None
    of = predictor("posterior", time_conditioning=True)
    even = torch.full_like(UNEVEN, UNEVEN.mean().item())
    assert not torch.allclose(hidden(of, UNEVEN), hidden(of, even), atol=1e-3)


def test_decoding_tells_what_training_does():
    of = predictor(time_conditioning=True)
    canvas = start(IDS[0], UNEVEN[0] > 0, key=0)
    sites = Sites.of(canvas.pending, int(canvas.pending.sum()))
    found = predict_at(of, canvas, sites, UNEVEN).leave_one_out()
    expected = of.read(hidden(of, UNEVEN), State(canvas.ids), UNEVEN).leave_one_out()
    assert torch.allclose(found, expected[canvas.pending][None], atol=1e-10)
