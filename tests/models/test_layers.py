"""Kinds of layers and what else published networks have, each against an independent way to compute it."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from undiffuse.errors import UserError
from undiffuse.kinds import LAYERS
from undiffuse.models.conditioning import SigmaEmbedding
from undiffuse.models.feed_forward.dense import Dense
from undiffuse.models.layers.adaptive import Adaptive
from undiffuse.models.layers.post_norm import PostNorm
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.types import Given, Rows, State, Tags

CONFIG = TransformerConfig(rows=19, width=16, depth=3, heads=2, context=12, qk_norm=False)
BERT = {
    "layer": PostNorm(),
    "qkv_bias": True,
    "scales": True,
    "feed_forward": Dense(bias=True),
    "positions": "learned",
    "types": 2,
    "embedding_norm": True,
}
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


def network(**changes) -> Transformer:
    torch.manual_seed(5)
    made = Transformer(replace(CONFIG, **changes))
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.4)
    return made.requires_grad_(False).eval()


def hidden(made: Transformer, ids=IDS, **given) -> torch.Tensor:
    return made.trunk(Rows(State(ids), Tags(torch.arange(ids.shape[1]).expand_as(ids)), **given))


def same(got, want):
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", LAYERS.kinds)
def test_a_new_trunk_of_every_kind_predicts_uniformly(kind):
    made = Transformer(replace(CONFIG, layer=LAYERS.load(kind)(), head_bias=True))
    assert not made.head(hidden(made)).any()


def test_layers_with_norms_after_the_sums_are_those_of_torch():
    made = network(**BERT)
    x = made.embedding(IDS) + made.position.weight[:8] + made.token_type.weight[0]
    x = F.layer_norm(x, (16,), made.embedding_norm.scale, made.embedding_norm.bias)
    for block in made.blocks:
        theirs = nn.TransformerEncoderLayer(16, 2, 64, dropout=0.0, activation="gelu", batch_first=True).eval()
        ours = {
            "self_attn.in_proj": block.attention.qkv,
            "self_attn.out_proj": block.attention.out,
            "linear1": block.feed_forward.up,
            "linear2": block.feed_forward.down,
        }
        state = {f"{name}{'_' if 'in_proj' in name else '.'}weight": part.weight for name, part in ours.items()}
        state |= {f"{name}{'_' if 'in_proj' in name else '.'}bias": part.bias for name, part in ours.items()}
        for name, around in (("norm1", block.around_attention), ("norm2", block.around_feed_forward)):
            state |= {f"{name}.weight": around.norm.scale, f"{name}.bias": around.norm.bias}
        theirs.load_state_dict(state)
        x = theirs(x)
    same(hidden(made), x)


def test_learned_positions_begin_at_their_first_row_and_end_with_the_context():
    made, moved = network(**BERT), network(**BERT, first_position=3)
    moved.load_state_dict(made.state_dict() | {"position.weight": F.pad(made.position.weight, (0, 0, 3, 0))})
    assert torch.equal(hidden(made), hidden(moved))
    assert (made.traits.bounded, network().traits.bounded) == (True, False)


def test_given_vectors_have_positions_and_a_type_too():
    made = network(**BERT)
    vectors = made.embedding(IDS) + 0.5
    given = Given(vectors, torch.ones_like(IDS, dtype=torch.bool))
    made.embedding.weight += 0.5
    same(hidden(made, given=given), hidden(made))


def test_local_layers_see_their_window_and_global_ones_everything():
    """Of 3 layers the second and third see 1 to either side: together 2, and 3 layers of the kind would see 3."""
    ids = IDS.clone()
    ids[0, 7] = 0
    near = network(local_window=1, global_every=4)  # the first layer is global and all others are local
    near.blocks[0].attention.out.weight.zero_()
    changed = (hidden(near, ids) - hidden(near)).abs().amax(-1)[0] > 1e-6
    assert changed.tolist() == [False] * 5 + [True] * 3
    mixed = network(local_window=1, global_every=2)
    assert ((hidden(mixed, ids) - hidden(mixed)).abs().amax(-1)[0] > 1e-6).all()


def test_a_window_over_everything_with_one_base_is_the_plain_network():
    plain, local = network(rope_base=77.0), network(rope_base=77.0, local_window=8, local_base=77.0, global_every=2)
    same(hidden(local), hidden(plain))
    other = network(rope_base=77.0, local_window=8, local_base=5.0, global_every=2)
    assert (hidden(other) - hidden(plain)).abs().max() > 0.01


def test_the_embedding_is_normalized_once_before_the_first_attention():
    made = network(embedding_norm=True, scales=True)
    assert not list(made.blocks[0].around_attention.norm.parameters())
    plain = network(scales=True)
    state = {k: v for k, v in made.state_dict().items() if not k.startswith("embedding_norm")}
    x = F.layer_norm(made.embedding.weight, (16,), made.embedding_norm.scale)
    plain.load_state_dict(state | {"embedding.weight": x, "blocks.0.around_attention.norm.scale": torch.ones(16)})
    plain.blocks[0].around_attention.norm = nn.Identity()
    same(hidden(made), hidden(plain))


def test_sines_of_sigma_are_those_of_diffusion_transformers():
    """cos and sin of σ · 10000^(−i/128), as SEDD took them from DiT."""
    made = SigmaEmbedding(256).requires_grad_(False)
    for linear in (made.first, made.second):
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    sigma = 1.7
    found = made(torch.tensor([[1 - math.exp(-sigma)]], dtype=torch.float64))[0, 0]
    for i, sine in ((0, math.cos), (64, math.cos), (127, math.cos), (128, math.sin), (200, math.sin)):
        value = sine(sigma * 10_000 ** (-(i % 128) / 128))
        for _ in range(2):
            value = value / (1 + math.exp(-value))
        assert float(found[i]) == pytest.approx(value, abs=1e-6)


def test_adaptive_layers_follow_sigma_at_each_position_and_are_at_rest_without_it():
    made = network(layer=Adaptive(10))
    assert (made.traits.takes & {"level"}, made.traits.accepts) == (set(), {"level"})
    still, level = hidden(made), torch.full(IDS.shape, 0.6, dtype=torch.float64)
    assert torch.equal(still, hidden(made, level=torch.zeros_like(level)))
    assert (still - hidden(made, level=level)).abs().max() > 0.01
    told = network(layer=Adaptive(10), time_conditioning=True)
    assert "level" in told.traits.takes
    same(hidden(told, level=level), hidden(made, level=level))
    with pytest.raises(TypeError, match=r"Rows\.level"):
        hidden(told)


def test_gates_of_adaptive_layers_open_with_their_modulation_alone():
    made = network(layer=Adaptive(10))
    for block in made.blocks:
        for around in (block.around_attention, block.around_feed_forward):
            around.modulation.linear.weight.zero_()
            around.modulation.linear.bias.zero_()
    made.last.linear.weight.zero_()
    made.last.linear.bias.zero_()
    same(hidden(made), F.layer_norm(made.embedding(IDS), (16,)))


def test_a_head_with_a_layer_and_a_bias():
    made = network(**BERT, tied=True, head_transform=True, head_bias=True)
    x = torch.randn(4, 16)
    norm = made.transform.norm
    inner = F.layer_norm(F.gelu(made.transform.dense(x)), (16,), norm.scale, norm.bias)
    same(made.head(x), inner @ made.embedding.weight.T + made.head_bias)
    assert network(head_transform=True).transform.dense.bias is None


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, ("features", "keys")),
        ({"embedding_norm": True}, ("features", "keys")),
        (BERT, ("keys",)),
        ({"layer": Adaptive()}, ("keys",)),
        ({"local_window": 3, "global_every": 3}, ("keys",)),
    ],
    ids=str,
)
def test_features_are_kept_where_a_sum_is_all_there_is(changes, kept):
    assert network(**changes).traits.keeps == set(kept)


@pytest.mark.parametrize("changes", [BERT, {"layer": Adaptive(8)}, {"local_window": 2, "global_every": 2}], ids=str)
def test_keys_that_are_kept_give_the_same_rows(changes):
    """Everything once; then the rows that nobody has changed, from the kept keys of the others."""
    made, positions = network(**changes), torch.arange(8)[None]
    kv = made.memory(1, 8)
    first = made.trunk(Rows(State(IDS), Tags(positions)), kv)
    same(first, hidden(made))
    at = torch.tensor([[6, 1, 3]])
    same(made.trunk(Rows(State(IDS[:, at[0]]), Tags(at)), kv), first[:, at[0]])


def test_a_size_of_nothing():
    with pytest.raises(UserError, match="layer 'adaptive': size must be at least 1, not 0"):
        Adaptive(0)
