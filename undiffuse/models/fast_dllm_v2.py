"""Fast-dLLM v2 (Wu et al. 2025): a Qwen2 body whose row i − 1 speaks of position i, in blocks of 32."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import Decoding, Keys, QwenNames
from .transformer import TransformerConfig

BLOCK = 32  # of every published model


class FastDLLMv2(QwenNames):
    """Fast-dLLM v2 1.5B and 7B: block diffusion, shifted, biases on queries, keys and values."""

    mask_id = 151665
    mask_tokens = ("|<MASK>|",)
    template = "chatml"
    decoding = Decoding("led-threshold", {"threshold": 0.9, "temperature": 0.0}, block_length=8)

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        kind = str(config.get("model_type")).lower().replace("-", "_")
        return kind in ("fast_dllm_qwen", "fast_dllm_v2") and "model.layers.0.self_attn.q_proj.bias" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        block = keys.integer("bd_size", BLOCK)
        return TransformerConfig(
            **self.shared(keys), qk_norm=False, qkv_bias=True, output_offset=-1, block_length=block
        )

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["Fast_dLLM_QwenForCausalLM"],
            "model_type": "Fast_dLLM_Qwen",
            "bd_size": network.block_length,
            "conplemenrary_mask": True,
        }
