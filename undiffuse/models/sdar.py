"""SDAR (Cheng et al. 2025): a Qwen3 body, bidirectional inside blocks of a few positions and causal between them."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import Decoding, Keys, QwenNames
from .transformer import TransformerConfig

BLOCK = 4  # of every published model


class SDAR(QwenNames):
    """SDAR-1.7B to 8B, TraDo: block diffusion, same position, queries and keys normalized per head."""

    mask_id = 151669
    mask_tokens = ("<|MASK|>", "<|mask|>")
    template = "chatml"
    decoding = Decoding("dynamic", {"threshold": 0.85, "temperature": 0.6, "top_k": 20, "top_p": 0.95})

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        layer = "model.layers.0"
        return (
            str(config.get("model_type")).lower() == "sdar"
            and "hidden_size" in config
            and f"{layer}.self_attn.q_norm.weight" in tensors
            and f"{layer}.mlp.gate_proj.weight" in tensors
        )

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(attention_bias=False)
        return TransformerConfig(**self.shared(keys), qk_norm=True, block_length=keys.integer("block_size", BLOCK))

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["SDARForCausalLM"],
            "model_type": "sdar",
            "attention_bias": False,
            "block_size": network.block_length,
        }
