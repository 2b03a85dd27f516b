"""Keys and values by position: a cached forward pass over some rows equals the full one when nothing is stale."""

import pytest
import torch

from undiffuse.models.kv import KV
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.types import Rows, State, Tags

SLOTS = 12
TOLERANCE = {"atol": 1e-5, "rtol": 1e-4}


def network(**changes):
    torch.manual_seed(3)
    model = Transformer(TransformerConfig(rows=17, width=24, depth=3, heads=4, context=SLOTS, **changes))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@torch.no_grad()
def cached(model, kv, ids, positions, live=None):
    return model.trunk(Rows(State(ids), Tags(positions, live=live)), kv)


@torch.no_grad()
def uncached(model, ids):
    tags = Tags(torch.arange(ids.shape[1]).expand_as(ids))
    return model.trunk(Rows(State(ids), tags))


@pytest.fixture
def ids():
    return torch.randint(0, 17, (2, SLOTS), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kv_heads", [0, 2])
def test_a_causal_prefix_can_be_computed_in_any_pieces(ids, kv_heads):
    model = network(causal=True, kv_heads=kv_heads)
    kv, pieces, start = model.memory(2, SLOTS), [], 0
    for stop in (1, 2, 7, SLOTS):
        pieces.append(cached(model, kv, ids[:, start:stop], torch.arange(start, stop).expand(2, -1)))
        start = stop
        assert (kv.filled.sum(1) == stop).all()
    torch.testing.assert_close(torch.cat(pieces, dim=1), uncached(model, ids), **TOLERANCE)


def test_refilling_a_block_of_a_causal_network_equals_the_full_pass(ids):
    model, changed = network(causal=True), ids.clone()
    changed[:, 5:9] = (changed[:, 5:9] + 1) % 17
    kv = model.memory(2, SLOTS)
    cached(model, kv, ids[:, :9], torch.arange(9).expand(2, -1))
    again = cached(model, kv, changed[:, 5:9], torch.arange(5, 9).expand(2, -1))
    torch.testing.assert_close(again, uncached(model, changed)[:, 5:9], **TOLERANCE)


def test_all_rows_at_once_equal_the_uncached_bidirectional_pass(ids):
    model = network()
    kv = model.memory(2, SLOTS + 5)  # slots beyond the canvas are absent
    first = cached(model, kv, ids, torch.arange(SLOTS).expand(2, -1))
    torch.testing.assert_close(first, uncached(model, ids), **TOLERANCE)
    shuffled = torch.randperm(SLOTS, generator=torch.Generator().manual_seed(5))
    again = cached(model, kv, ids[:, shuffled], shuffled.expand(2, -1))
    torch.testing.assert_close(again, first[:, shuffled], **TOLERANCE)


def test_one_layer_of_a_bidirectional_network_is_never_stale(ids):
    """With depth 1 keys depend on their own token alone, so recomputing the changed rows is exact."""
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(rows=17, width=24, depth=1, heads=4))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    kv = model.memory(2, SLOTS)
    cached(model, kv, ids, torch.arange(SLOTS).expand(2, -1))
    changed, where = ids.clone(), torch.tensor([2, 3, 8])
    changed[:, where] = (changed[:, where] + 1) % 17
    got = cached(model, kv, changed[:, where], where.expand(2, -1))
    torch.testing.assert_close(got, uncached(model, changed)[:, where], **TOLERANCE)


def test_padding_rows_write_nowhere(ids):
    model = network(causal=True)
    kv = model.memory(2, SLOTS)
    positions = torch.tensor([[0, 1, 2, 3], [0, 1, 0, 0]])
    live = torch.tensor([[True] * 4, [True, True, False, False]])
    hidden = cached(model, kv, ids[:, :4], positions, live)
    assert hidden.isfinite().all()
    assert kv.filled.sum(1).tolist() == [4, 2]
    torch.testing.assert_close(hidden[1, :2], uncached(model, ids)[1, :2], **TOLERANCE)
    rest = cached(model, kv, ids[1:].expand(2, -1)[:, 2:4], torch.tensor([[2, 3], [2, 3]]))
    torch.testing.assert_close(rest[1], uncached(model, ids)[1, 2:4], **TOLERANCE)


def test_requests_leave_join_and_forget(ids):
    model = network(causal=True)
    alone, other = model.memory(2, SLOTS), model.memory(2, SLOTS)
    prefix = torch.arange(6).expand(2, -1)
    cached(model, alone, ids[:, :6], prefix)
    cached(model, other, ids.flip(0)[:, :6], prefix)
    both = alone[torch.tensor([1])].join(other[torch.tensor([True, False])])
    tail = cached(model, both, ids[[1, 1], 6:], torch.arange(6, SLOTS).expand(2, -1))
    torch.testing.assert_close(tail, uncached(model, ids)[[1, 1], 6:], **TOLERANCE)
    assert not alone.filled[:, 6:].any()  # the copies are independent

    gone = torch.arange(SLOTS).expand(2, -1) < 6
    forgotten = both.forget(gone)
    assert (forgotten.filled == ~gone).all()
    assert both.filled.all()


def test_an_empty_memory_takes_type_and_shape_from_the_network():
    kv = network(kv_heads=2).bfloat16().memory(5, 7)
    assert isinstance(kv, KV)
    assert [held.shape for held in kv.keys] == [(3, 5, 2, 8, 6)]
    assert [held.dtype for held in kv.values] == [torch.bfloat16]
    assert not kv.filled.any()
    assert not kv.clean.any()
