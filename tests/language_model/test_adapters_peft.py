"""Adapters of peft open here, and ours open in peft, over a tiny network of transformers."""

import pytest
import torch

import undiffuse as ud
from undiffuse.language_model import adapters
from undiffuse.models.lora import updated

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def libraries():
    return pytest.importorskip("transformers"), pytest.importorskip("peft")


def test_both_ways(libraries, tmp_path):
    transformers, peft = libraries
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).float().save_pretrained(tmp_path / "base")

    def theirs():
        return transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")

    ids = torch.randint(0, 64, (2, 10))

    def same(place, network):
        found, expected = ud.load(place).logits(ids), network(ids).logits.detach()
        torch.testing.assert_close(found[:, 1:], expected[:, :-1], rtol=1e-4, atol=1e-5)

    base = ud.load(tmp_path / "base").trained
    network, update = base.trunk("adapted"), adapters.update_of(base, 4, 7.0, ("blocks.*",))
    update.attach(network)
    for _, module in updated(network):
        torch.nn.init.normal_(module.lora_b, std=0.3)
    (tmp_path / "ours").mkdir()
    head = {"unembedding.weight": network.unembedding.weight + 0.1}
    adapters.write(base, network, update, tmp_path / "ours", str(tmp_path / "base"), head)
    same(tmp_path / "ours", peft.PeftModel.from_pretrained(theirs(), tmp_path / "ours"))

    settings = {"target_modules": ["q_proj", "v_proj", "down_proj"], "modules_to_save": ["lm_head"]}
    tuned = peft.get_peft_model(theirs(), peft.LoraConfig(r=3, lora_alpha=5, use_rslora=True, **settings))
    for name, value in tuned.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            torch.nn.init.normal_(value, std=0.3)
    tuned.save_pretrained(tmp_path / "peft")
    same(tmp_path / "peft", tuned)
