"""Qwen3 (Yang et al. 2025): causal, queries and keys normalized per head, no biases."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import CAUSAL, Keys, QwenNames
from .transformer import TransformerConfig


class Qwen3(QwenNames):
    """Qwen3, dense: scored exactly, decoded from left to right, and what others are made from."""

    template = "chatml"
    decoding = CAUSAL

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "qwen3" and "model.layers.0.self_attn.q_norm.weight" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(attention_bias=False)
        return TransformerConfig(**self.shared(keys), qk_norm=True, causal=True, output_offset=-1)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "attention_bias": False,
        }
