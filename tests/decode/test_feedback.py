"""Networks that read their own last prediction, with blocks that begin where a request writes: any such network."""

from dataclasses import replace

import pytest
import torch
from toy import Echo, predictor

from undiffuse.decode.batch import FEEDBACK
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import begin, step, walk
from undiffuse.decode.request import Request
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.entropy_renoise import EntropyRenoise
from undiffuse.models import rules
from undiffuse.models.traits import Traits


class Told(Echo):
    """Its logits also depend on the mean code of each token under what it is told; codes are two numbers."""

    traits = Traits(11, 64, rules.canvas, 4, takes=frozenset({"feedback"}), floating=True, feedback=2)

    def __init__(self) -> None:
        super().__init__(1.0)
        self.told: list[torch.Tensor] = []
        self.seen: list[torch.Tensor] = []

    codes = torch.stack((torch.linspace(-1, 1, 11), torch.linspace(-1, 1, 11).square()), -1)

    def trunk(self, rows, kv=None):
        told = rows.feedback
        self.told.append(told)
        self.seen.append(rows.tags.position)
        hidden = super().trunk(rows, kv)
        return torch.cat((hidden[..., :-1], hidden[..., -1:] + told.double().sum(-1, keepdim=True)), -1)

    def fed_back(self, log_p):
        return log_p.exp().to(self.codes.dtype) @ self.codes


def told() -> "tuple[Told, object]":
    network = Told()
    return network, replace(predictor("uniform"), denoiser=network, head="posterior")


def canvas(prompt: int, length: int, seed: int = 0, **plan) -> Canvas:
    ids = torch.cat((torch.arange(prompt) % 4, torch.zeros(length, dtype=torch.long)))
    return start(ids, torch.arange(len(ids)) >= prompt, key=seed, span=4, floating=True, **plan)


def test_blocks_begin_where_a_request_writes():
    one = canvas(6, 9)
    assert one.origin.tolist() == [6]
    assert one.window_number.tolist() == [[-1] * 6 + [0] * 4 + [1] * 4 + [2]]
    assert one.blocks.tolist() == [[0] * 6 + [1] * 4 + [2] * 4 + [3]]
    assert one.finished_blocks.tolist() == [[True] * 6 + [False] * 9]
    assert canvas(0, 5).blocks.tolist() == [[0] * 4 + [1]]
    aligned = start(one.ids[0], one.pending[0], key=0, span=4)
    assert aligned.origin.tolist() == [0]
    assert aligned.blocks.tolist() == [[0] * 4 + [1] * 4 + [2] * 4 + [3] * 3]


@pytest.mark.parametrize("strategy", [EntropyRenoise(longest=3, settled=1e-9), Ancestral()], ids=["told", "plain"])
def test_it_is_told_what_it_said_last(strategy):
    """As the strategy reads it where that says so (entropy-renoise tempers it), else as it is; at first nothing."""
    network, whole = told()
    said = []

    class Recording(type(whole)):
        def read(self, hidden, state, t):
            said.append(super().read(hidden, state, t))
            return said[-1]

    recording = Recording(network, whole.process, whole.head)
    seen = [each for each, _ in walk(recording, canvas(3, 7, planned=lambda n: n.clamp(max=3)), Decoder(strategy))]
    assert len(network.told) == len(said) == len(seen) - 1 == 6
    expected = torch.zeros(1, 10, 2)
    for number, (before, prediction) in enumerate(zip(seen, said, strict=False)):
        torch.testing.assert_close(network.told[number], expected, atol=1e-6, rtol=0)
        place = (before.window & before.pending)[0].nonzero()[:, 0]
        heat = 1.0
        if isinstance(strategy, EntropyRenoise):
            heat = 0.4 + 0.4 * (3 - int(before.clock[0])) / 3
        log_p = (prediction.logits[0] / heat).log_softmax(-1)
        expected = expected.clone()
        expected[0, place] = network.fed_back(log_p[: len(place)])
    assert network.told[3][0, 7:].abs().sum() == 0  # the second canvas begins anew
    assert network.told[1].abs().sum() > 0


def test_requests_take_along_what_they_are_told():
    _, whole = told()
    strategy = EntropyRenoise(longest=5, settled=1e-9)

    def request(prompt: int, length: int, seed: int) -> Request:
        made = canvas(prompt, length, seed, planned=strategy.planned)
        return Request(made, Decoder(strategy, cache=NoCache()))

    def finished(batch):
        while batch.running():
            batch, _ = step(whole, batch)
        return batch.canvas.ids

    alone = finished(begin(whole, [request(2, 4, 7)]))
    batch = begin(whole, [request(5, 8, 1)])
    batch, _ = step(whole, batch)
    batch = batch.join(begin(whole, [request(2, 4, 7)]))
    assert batch.groups[0].memory[FEEDBACK].shape == (2, 13, 2)
    batch, _ = step(whole, batch)
    batch = batch.select([1])
    assert torch.equal(finished(batch)[:, :6], alone)


def test_networks_that_are_told_nothing_remember_nothing():
    batch = begin(
        predictor("uniform"), [Request(start(torch.zeros(4).long(), torch.ones(4) > 0, key=0), Decoder(Ancestral()))]
    )
    assert FEEDBACK not in batch.groups[0].memory


def test_a_window_takes_at_most_the_longest_unless_asked():
    strategy = EntropyRenoise(longest=3)
    assert strategy.planned(torch.tensor([2, 9])).tolist() == [2, 3]
    assert canvas(0, 4, planned=strategy.planned).steps.tolist() == [[3]]
    assert canvas(0, 4, steps=4, planned=strategy.planned).steps.tolist() == [[4]]
