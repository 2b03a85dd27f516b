"""Optimizers: what a step does, and that saved state goes on bit for bit."""

import math

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.training.optimizers.adamw import AdamW
from undiffuse.training.optimizers.muon import Muon, orthogonalize
from undiffuse.types import Rows, State, Tags

CONFIG = TransformerConfig(rows=19, width=16, depth=2, heads=2, context=8)
CHOICES = [AdamW(), Muon()]


def network(dtype=torch.float32):
    torch.manual_seed(1)
    model = Transformer(CONFIG)
    for weight in (
        model.unembedding.weight,
        model.blocks[0].attention.out.weight,
        model.blocks[1].attention.out.weight,
    ):
        torch.nn.init.normal_(weight, std=0.2)  # zero at first: no gradient would reach what lies before
    return model.to(dtype)


def backward(model, seed):
    ids = torch.randint(0, CONFIG.rows, (4, 8), generator=torch.Generator().manual_seed(seed))
    tags = Tags(torch.arange(8).expand_as(ids))
    hidden = model.trunk(Rows(State(ids), tags))
    loss = torch.nn.functional.cross_entropy(model.head(hidden).float().flatten(0, 1), ids.flatten())
    loss.backward()
    return loss.item()


def run(model, optimizer, seeds):
    losses = []
    for seed in seeds:
        losses.append(backward(model, seed))
        optimizer.step(1.0)
    return losses


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_run_is_the_same_run_bit_for_bit(choice, dtype):
    straight, resumed = network(dtype), network(dtype)
    optimizer = choice.build(straight)
    run(straight, optimizer, range(3))
    saved = {name: tensor.clone() for name, tensor in optimizer.state_dict().items()}
    run(straight, optimizer, range(3, 6))
    after = choice.build(resumed)
    after.load_state_dict(saved)
    run(resumed, after, range(3, 6))
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    for name, tensor in optimizer.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: type(c).__name__)
def test_training_on_one_batch_learns_it_and_moves_every_weight(choice):
    model = network()
    start = {name: p.clone() for name, p in model.named_parameters()}
    losses = run(model, choice.build(model), [0] * 30)
    assert losses[-1] < losses[0] / 3
    assert all(p.grad is None for p in model.parameters())
    for name, p in model.named_parameters():
        assert not torch.equal(p, start[name]), name


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: type(c).__name__)
def test_masters_keep_what_bfloat16_would_lose(choice):
    """Steps far below bfloat16's resolution add up."""
    model = network(torch.bfloat16)
    optimizer = choice.build(model)
    name = "blocks.0.feed_forward.up.weight"
    before = optimizer.masters[name].clone()
    for _ in range(20):
        backward(model, 0)
        optimizer.step(1e-4)
    moved = (optimizer.masters[name] - before).abs()
    assert (moved > 0).float().mean() > 0.99
    assert (
        moved.max() < 0.004 * before.abs().max()
    )  # half of bfloat16's spacing, so rounding each step would stand still
    assert torch.equal(model.get_parameter(name), optimizer.masters[name].bfloat16())


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: type(c).__name__)
def test_a_step_is_proportional_to_the_scale(choice):
    moves = []
    for scale in (1.0, 0.25):
        model = network()
        before = {name: p.clone() for name, p in model.named_parameters()}
        optimizer = choice.build(model)
        backward(model, 0)
        optimizer.step(scale)
        moves.append({name: p - before[name] for name, p in model.named_parameters()})
    for name, move in moves[0].items():
        torch.testing.assert_close(moves[1][name], move / 4, rtol=0.01, atol=1e-6)


def test_adamw_is_the_published_rule():
    """Two steps by hand (Loshchilov & Hutter 2019, algorithm 2), decay on matrices alone."""
    model = torch.nn.Linear(3, 2).double().float()
    choice = AdamW(lr=0.1, beta1=0.8, beta2=0.9, weight_decay=0.5)
    optimizer = choice.build(model)
    theta = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    m = {name: torch.zeros_like(p) for name, p in theta.items()}
    v = {name: torch.zeros_like(p) for name, p in theta.items()}
    for step in (1, 2):
        for name, p in model.named_parameters():
            g = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            p.grad = g.clone()
            decay = 0.5 if p.ndim == 2 else 0.0
            m[name] = 0.8 * m[name] + 0.2 * g.double()
            v[name] = 0.9 * v[name] + 0.1 * g.double() ** 2
            m_hat, v_hat = m[name] / (1 - 0.8**step), v[name] / (1 - 0.9**step)
            theta[name] = theta[name] * (1 - 0.1 * decay) - 0.1 * m_hat / (v_hat.sqrt() + 1e-8)
        optimizer.step(1.0)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.double(), theta[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 12, 12), (3, 8, 32), (2, 40, 10)])
def test_orthogonalized_matrices_keep_singular_vectors_and_level_their_values(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vt = torch.linalg.svd(matrices, full_matrices=False)
    got = orthogonalize(matrices).float()
    in_basis = u.mT @ got @ vt.mT
    values = in_basis.diagonal(dim1=-2, dim2=-1)
    kept = s > 0.05 * s[:, :1]  # five rounds do not lift values that are nearly zero
    assert (values[kept] > 0.6).all()
    assert (values[kept] < 1.3).all()
    off = in_basis - torch.diag_embed(values)
    assert off.abs().max() < 0.05
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4).bfloat16())


def test_muon_orthogonalizes_queries_keys_and_values_one_by_one():
    """Scaling one map's gradient leaves every map's step as it was."""
    moves = []
    for factor in (1.0, 100.0):
        model = network()
        optimizer = Muon(weight_decay=0.0).build(model)
        weight = model.blocks[0].attention.qkv.weight
        before = weight.detach().clone()
        backward(model, 0)
        weight.grad[:16] *= factor
        optimizer.step(1.0)
        moves.append(weight.detach() - before)
    torch.testing.assert_close(moves[0], moves[1], atol=2e-4, rtol=0.02)
    assert math.isclose(moves[0][:16].norm().item(), 0.03 * 4, rel_tol=0.3)


def test_muon_needs_a_model_that_names_its_matrices():
    with pytest.raises(UserError, match="Linear does not name its hidden matrices; use 'adamw'"):
        Muon().build(torch.nn.Linear(2, 2))


def test_state_of_another_model_is_refused():
    other = Transformer(TransformerConfig(rows=19, width=16, depth=1, heads=2))
    with pytest.raises(ValueError, match=r"optimizer state differs in .*blocks\.1"):
        AdamW().build(network()).load_state_dict(AdamW().build(other).state_dict())
