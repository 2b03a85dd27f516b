"""SDAR (Cheng et al. 2025): a Qwen3 body, bidirectional inside blocks of a few positions and causal between them.

Dense, or with experts (SDAR-30B-A3B).
"""

from collections.abc import Collection, Mapping
from typing import Any

from .family import Decoding, Keys, QwenNames
from .transformer import TransformerConfig

BLOCK = 4  # of every published model
KINDS = ("sdar", "sdar_moe")


class SDAR(QwenNames):
    """SDAR-1.7B to 30B-A3B, TraDo: block diffusion, same position, queries and keys normalized per head."""

    mask_id = 151669
    mask_tokens = ("<|MASK|>", "<|mask|>")
    template = "chatml"
    decoding = Decoding("dynamic", {"threshold": 0.85, "temperature": 0.6, "top_k": 20, "top_p": 0.95})

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        layer = "model.layers.0"
        return (
            (kind := str(config.get("model_type")).lower()) in KINDS
            and "hidden_size" in config
            and f"{layer}.self_attn.q_norm.weight" in tensors
            and (kind == KINDS[1] or f"{layer}.mlp.gate_proj.weight" in tensors)
        )

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(attention_bias=False)
        shape = {**self.shared(keys), **self.mixture(keys)}
        return TransformerConfig(**shape, qk_norm=True, block_length=keys.integer("block_size", BLOCK))

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        experts = self.described(network)
        return {
            **super().config(network),
            **experts,
            "architectures": ["SDARMoeForCausalLM" if experts else "SDARForCausalLM"],
            "model_type": KINDS[bool(experts)],
            "attention_bias": False,
            "block_size": network.block_length,
        }
