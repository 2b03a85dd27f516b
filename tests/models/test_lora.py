"""Updates of low rank: nothing at first, what the merged matrices compute afterwards, and one for each map."""

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.models.lora import LowRank, is_update, updated
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.types import Rows, State, Tags

CONFIG = TransformerConfig(
    rows=11, width=8, depth=2, heads=2, kv_heads=1, activation="swiglu", hidden=12, qkv_bias=True, context=8
)


def network():
    torch.manual_seed(0)
    made = Transformer(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.requires_grad_(False)


def logits(made):
    ids = torch.arange(12).view(2, 6) % 11
    rows = Rows(State(ids), Tags(torch.arange(6).expand(2, -1)))
    return made.head(made.trunk(rows))


def drawn(made):
    for _, module in updated(made):
        torch.nn.init.normal_(module.lora_b, std=0.3)


@pytest.mark.parametrize("apart", [False, True])
def test_updates_are_nothing_at_first_and_merge_into_the_same_network(apart):
    made = network()
    before, plain = logits(made), {name: value.clone() for name, value in made.state_dict().items()}
    update = LowRank(2, 1.5, apart=apart)
    update.attach(made)
    assert torch.equal(logits(made), before)
    drawn(made)
    changed = logits(made)
    assert not torch.allclose(changed, before)
    update.merge(made)
    assert not updated(made)
    torch.testing.assert_close(logits(made), changed, rtol=1e-4, atol=1e-4)
    assert made.state_dict().keys() == plain.keys()
    for name, value in made.state_dict().items():
        rank = torch.linalg.matrix_rank(value - plain[name], atol=1e-4) if value.ndim == 2 else 0
        inner = name.startswith("blocks") and value.ndim == 2 and "norm" not in name
        maps = 3 if "qkv" in name else 2 if "up" in name else 1
        assert rank == (min(2 * maps, *value.shape) if inner and apart else 2 if inner else 0), name


def test_the_update_is_alpha_over_r_times_b_a_of_every_map():
    made = network()
    LowRank(3, 0.5, ("blocks.1.attention.qkv",), apart=True).attach(made)
    ((name, module),) = updated(made)
    assert name == "blocks.1.attention.qkv"
    drawn(made)
    rows = torch.split(module.lora_b, (8, 4, 4))
    expected = torch.cat([0.5 * b @ a for b, a in zip(rows, module.lora_a, strict=True)])
    torch.testing.assert_close(module.update, expected)
    found = {key.rpartition(".")[2] for key in made.state_dict() if is_update(key)}
    assert found == {"lora_a", "lora_b"}


def test_only_updates_are_trained():
    made = network()
    LowRank(2, 1.0).attach(made)
    drawn(made)
    logits(made).sum().backward()
    trained = {name for name, parameter in made.named_parameters() if parameter.grad is not None}
    assert trained == set(filter(is_update, made.state_dict()))


def test_a_pattern_that_names_nothing_is_refused():
    with pytest.raises(UserError, match=r"no matrix is called 'layers\.\*'; there are .*blocks\.\*\.attention\.qkv"):
        LowRank(2, 1.0, ("layers.*",)).attach(network())
