"""Qwen3 (Yang et al. 2025): causal, queries and keys normalized per head, no biases; dense, or with experts."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import CAUSAL, Keys, QwenNames
from .transformer import TransformerConfig

KINDS = ("qwen3", "qwen3_moe")


class Qwen3(QwenNames):
    """Qwen3: scored exactly, decoded from left to right, and what others are made from."""

    template = "chatml"
    decoding = CAUSAL

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") in KINDS and "model.layers.0.self_attn.q_norm.weight" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(attention_bias=False)
        shape = {**self.shared(keys), **self.mixture(keys)}
        return TransformerConfig(**shape, qk_norm=True, causal=True, output_offset=-1)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        experts = self.described(network)
        return {
            **super().config(network),
            **experts,
            "architectures": ["Qwen3MoeForCausalLM" if experts else "Qwen3ForCausalLM"],
            "model_type": KINDS[bool(experts)],
            "attention_bias": False,
        }
