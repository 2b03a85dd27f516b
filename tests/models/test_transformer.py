"""The trunk: invariances that no implementation detail can fake."""

from dataclasses import replace

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.models.feed_forward.dense import Dense
from undiffuse.models.layers.adaptive import Adaptive
from undiffuse.models.layers.post_norm import PostNorm
from undiffuse.models.rotary import Angles, rotate
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.types import Rows, State, Tags

CONFIG = TransformerConfig(rows=23, width=32, depth=2, heads=4, context=16)
TOLERANCE = 1e-5


def network(**changes):
    """A network whose every weight is random: zero-initialized outputs would hide most mistakes."""
    torch.manual_seed(7)
    model = Transformer(replace(CONFIG, **changes))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def ids_of(rows, length, seed=0):
    return torch.randint(0, CONFIG.rows, (rows, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits(model, ids, *, positions=None, live=None, document=None, t=None, editable=None):
    positions = torch.arange(ids.shape[1]).expand_as(ids) if positions is None else positions
    tags = Tags(positions, live=live, document=document)
    return model.head(model.trunk(Rows(State(ids), tags, level=t, editable=editable)))


def assert_same(got, want):
    torch.testing.assert_close(got, want, atol=TOLERANCE, rtol=1e-4)


VARIANTS = [
    {},
    {"norm": "rmsnorm", "activation": "swiglu"},
    {"activation": "relu2", "qk_norm": False},
    {"kv_heads": 2},
    {"causal": True},
    {"causal": True, "output_offset": -1},
    {"rotary_dim": 4},
    {"layer": PostNorm(), "positions": "learned", "first_position": 2, "types": 2, "embedding_norm": True},
    {"layer": Adaptive(12), "activation": "gelu-tanh", "feed_forward": Dense(bias=True), "head_bias": True},
    {"local_window": 2, "local_base": 50.0, "global_every": 2, "embedding_norm": True, "head_transform": True},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_padding_on_either_side_changes_nothing(changes):
    model, ids = network(**changes), ids_of(2, 9)
    want = logits(model, ids)
    for left, right in ((0, 4), (3, 0), (2, 2)):
        padded = torch.nn.functional.pad(ids, (left, right), value=5)
        live = torch.nn.functional.pad(torch.ones_like(ids, dtype=torch.bool), (left, right), value=False)
        positions = (torch.arange(padded.shape[1]) - left).clamp(0, 8).expand_as(padded)
        got = logits(model, padded, positions=positions, live=live)
        assert got.isfinite().all()
        assert_same(got[:, left : left + 9], want)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_batch_mates_do_not_matter(changes):
    model, ids = network(**changes), ids_of(5, 9)
    assert_same(logits(model, ids)[2:3], logits(model, ids[2:3]))


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_packed_documents_are_separate_forward_passes(changes):
    model, ids = network(**changes), ids_of(1, 11)
    positions = torch.cat((torch.arange(4), torch.arange(7)))[None]
    document = torch.tensor([[0] * 4 + [1] * 7])
    packed = logits(model, ids, positions=positions, document=document)
    assert_same(packed[:, :4], logits(model, ids[:, :4]))
    assert_same(packed[:, 4:], logits(model, ids[:, 4:]))


def test_a_bidirectional_row_sees_the_last_token_and_a_causal_one_no_later_token():
    ids = ids_of(1, 9)
    changed = ids.clone()
    changed[0, -1] = (changed[0, -1] + 1) % CONFIG.rows
    both, causal = network(), network(causal=True)
    assert (logits(both, ids) - logits(both, changed))[0, 0].abs().max() > 0.01
    difference = (logits(causal, ids) - logits(causal, changed))[0].abs().amax(-1)
    assert (difference[:-1] == 0).all()
    assert difference[-1] > 0.01


def test_only_relative_positions_matter():
    model, ids = network(), ids_of(2, 9)
    shifted = torch.arange(9).expand_as(ids) + 1000
    assert_same(logits(model, ids, positions=shifted), logits(model, ids))
    reverse = torch.arange(8, -1, -1).expand_as(ids)
    assert (logits(model, ids, positions=reverse) - logits(model, ids)).abs().max() > 0.01


def test_a_part_of_a_head_turns_with_its_position():
    """The first dimensions turn as a head of their number does, the rest not at all."""
    x = torch.randn(1, 2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    angles = Angles.at(torch.arange(5)[None], 4, 100.0, torch.float64)
    turned = rotate(x, angles)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert torch.equal(turned[..., :4], rotate(x[..., :4], angles))
    assert not torch.equal(turned[:, :, 1:, :4], x[:, :, 1:, :4])


def test_the_causal_twin_and_a_published_causal_network_are_one():
    """Row i of one is given what row i − 1 of the other is; rotary angles know differences of positions alone."""
    twin, published = network(causal=True), network(causal=True, output_offset=-1)
    assert (twin.traits.reads_previous, twin.traits.logit_row) == (True, 0)
    assert (published.traits.reads_previous, published.traits.logit_row) == (False, -1)
    assert twin.traits.one_sided
    assert published.traits.one_sided
    ids = ids_of(2, 9)
    assert_same(logits(twin, ids), logits(published, ids))


def test_queries_that_may_see_nothing_stay_finite():
    model, ids = network(), ids_of(2, 6)
    nothing = torch.zeros_like(ids, dtype=torch.bool)
    for dtype in (torch.float32, torch.bfloat16):
        assert logits(model.to(dtype), ids, live=nothing).isfinite().all()


def test_grouped_heads_equal_repeated_ones():
    grouped, repeated = network(kv_heads=2), network()
    state = grouped.state_dict()
    d = CONFIG.width // CONFIG.heads
    for layer in range(CONFIG.depth):
        name = f"blocks.{layer}.attention.qkv.weight"
        q, k, v = state[name].split((4 * d, 2 * d, 2 * d))
        k, v = (w.view(2, d, -1).repeat_interleave(2, dim=0).flatten(0, 1) for w in (k, v))
        state[name] = torch.cat((q, k, v))
    repeated.load_state_dict(state)
    ids = ids_of(2, 9)
    assert_same(logits(grouped, ids), logits(repeated, ids))
    live = torch.rand(2, 9, generator=torch.Generator().manual_seed(1)) < 0.7
    assert_same(logits(grouped, ids, live=live), logits(repeated, ids, live=live))


def test_each_position_reads_its_own_noise_level_and_editable_flag():
    ids = ids_of(1, 9)
    level = torch.full((1, 9), 0.3)
    timed, marked = network(time_conditioning=True), network(editable_input=True)
    other = level.clone()
    other[0, 4] = 0.9
    assert (logits(timed, ids, t=level) - logits(timed, ids, t=other))[0, 4].abs().max() > 0.01
    editable = torch.ones(1, 9, dtype=torch.bool)
    fixed = editable.clone()
    fixed[0, 4] = False
    assert (logits(marked, ids, editable=editable) - logits(marked, ids, editable=fixed))[0, 4].abs().max() > 0.01
    with pytest.raises(TypeError, match=r"Rows\.level"):
        logits(timed, ids)


def test_a_new_network_predicts_uniformly_and_ignores_the_noise_level():
    model = Transformer(replace(CONFIG, time_conditioning=True))
    ids = ids_of(2, 9)
    assert (logits(model, ids, t=torch.rand(2, 9)) == 0).all()


def test_the_matrices_are_every_hidden_map_once():
    model = network(kv_heads=2, activation="swiglu", time_conditioning=True)
    listed = {id(weight) for weight, _ in model.matrices}
    hidden = {name for name, p in model.named_parameters() if id(p) in listed}
    kinds = ("attention.qkv", "attention.out", "feed_forward.up", "feed_forward.down")
    assert hidden == {f"blocks.{i}.{kind}.weight" for i in range(CONFIG.depth) for kind in kinds}
    assert all(sum(heights) == weight.shape[0] for weight, heights in model.matrices)


def test_parameters_have_the_size_that_the_configuration_says():
    model = Transformer(TransformerConfig(rows=100, width=64, depth=3, heads=4))
    assert sum(p.numel() for p in model.parameters()) == 2 * 100 * 64 + 3 * 12 * 64 * 64
    gated = TransformerConfig(rows=100, width=192, activation="swiglu")
    assert gated.hidden_width == 512
    assert replace(gated, hidden=96).hidden_width == 96


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, "5 heads do not split a width of 32 into heads of even size; use heads=4"),
        ({"heads": 32}, "heads=16"),
        ({"kv_heads": 3}, "4 heads cannot share 3 key heads"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"layer": PostNorm(), "norm": "rmsnorm"}, "norms with a bias, which are of the kind layernorm"),
        ({"layer": PostNorm(), "time_conditioning": True}, "this kind of layer reads no noise level"),
        ({"positions": "none"}, "'none' is none of rotary, learned"),
        ({"local_window": -1}, "local_window must not be negative, not -1"),
        ({"global_every": 0}, "global_every must be at least 1, not 0"),
        ({"local_base": 0.0}, r"local_base must be a positive number, not 0\.0"),
        ({"norm": "batchnorm"}, "'batchnorm' is none of layernorm, rmsnorm"),
        ({"activation": "tanh"}, "'tanh' is none of gelu, gelu-tanh, relu2, swiglu, geglu"),
    ],
)
def test_impossible_networks_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        replace(CONFIG, **changes)


def test_dropout_drops_its_share_in_training_alone_and_repeats_with_its_generator():
    network = Transformer(TransformerConfig(rows=7, width=16, depth=2, heads=2, context=8, dropout=0.5))
    torch.nn.init.normal_(network.blocks[0].feed_forward.down.weight)
    tags = Tags(torch.arange(8)[None])

    def hidden(seed: int | None) -> torch.Tensor:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return network.trunk(Rows(State(torch.arange(8)[None] % 7), tags, dropout=generator))

    assert torch.equal(hidden(None), hidden(None))
    assert torch.equal(hidden(1), hidden(1))
    assert not torch.equal(hidden(1), hidden(2))
    assert not torch.equal(hidden(1), hidden(None))


def test_soft_tokens_mix_embeddings_and_latents_replace_them():
    network = Transformer(TransformerConfig(rows=7, width=16, depth=1, heads=2, context=8, latent=3, feedback=True))
    plain = Transformer(TransformerConfig(rows=7, width=16, depth=1, heads=2, context=8))
    tags = Tags(torch.arange(4)[None])
    ids = torch.tensor([[1, 2, 3, 4]])

    def run(net, state, **more):
        return net.trunk(Rows(state, tags, **more))

    certain = State(ids, soft=(torch.stack((ids, ids + 1), -1), torch.tensor([1.0, 0.0]).expand(1, 4, 2)))
    torch.testing.assert_close(run(plain, certain), run(plain, State(ids)))
    latent = torch.randn(1, 4, 3)
    alone, zero = run(network, State(ids, latent)), run(network, State(ids, latent), feedback=torch.zeros(1, 4, 3))
    assert torch.equal(alone, zero)
    assert not torch.equal(alone, run(network, State(ids, latent), feedback=latent))
