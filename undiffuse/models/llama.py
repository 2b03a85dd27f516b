"""Llama (Touvron et al. 2023) and the many models of its shape: causal, no biases, no norms per head."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import CAUSAL, Keys, QwenNames
from .transformer import TransformerConfig


class Llama(QwenNames):
    """Llama 1 to 3, SmolLM2 and others: scored exactly, decoded from left to right, and what others are made from."""

    decoding = CAUSAL

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        layer = "model.layers.0.self_attn"
        return (
            config.get("model_type") == "llama"
            and f"{layer}.q_proj.weight" in tensors
            and f"{layer}.q_proj.bias" not in tensors
            and f"{layer}.q_norm.weight" not in tensors
        )

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(attention_bias=False)
        return TransformerConfig(**self.shared(keys), qk_norm=False, causal=True, output_offset=-1)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "mlp_bias": False,
        }
