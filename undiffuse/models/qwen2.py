"""Qwen2 and Qwen2.5 (Yang et al. 2024): causal, with biases on queries, keys and values."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import CAUSAL, Keys, QwenNames
from .transformer import TransformerConfig


class Qwen2(QwenNames):
    """Qwen2 and Qwen2.5, dense: scored exactly, decoded from left to right, and what others are made from."""

    template = "chatml"
    decoding = CAUSAL

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "qwen2" and "model.layers.0.self_attn.q_proj.bias" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(use_mrope=False)
        return TransformerConfig(**self.shared(keys), qk_norm=False, qkv_bias=True, causal=True, output_offset=-1)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {**super().config(network), "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
