"""LLaDA with Llama's keys and names, as models that were made from it are published (LLaDA-V's language model)."""

from collections.abc import Collection, Mapping
from typing import Any

from ..family import Keys, QwenNames
from ..transformer import TransformerConfig


class LLaDARepack(QwenNames):
    """The same network as LLaDA's: full attention, same position."""

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        layer = "model.layers.0"
        return (
            config.get("model_type") == "llada"
            and "hidden_size" in config
            and f"{layer}.mlp.gate_proj.weight" in tensors
            and f"{layer}.self_attn.q_proj.bias" not in tensors
            and f"{layer}.self_attn.q_norm.weight" not in tensors
        )

    def network(self, keys: Keys) -> TransformerConfig:
        keys.all_visible()
        keys.only(attention_bias=False)
        return TransformerConfig(**self.shared(keys), qk_norm=False)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["LLaDAModelLM"],
            "model_type": "llada",
            "attention_bias": False,
            "mlp_bias": False,
        }
