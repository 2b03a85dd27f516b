"""iLLaDA (Nie et al. 2026): LLaDA trained anew, with Llama's keys and names, grouped heads and a tied head."""

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import UserError
from .family import Decoding, Keys, QwenNames
from .transformer import TransformerConfig


class ILLaDA(QwenNames):
    """iLLaDA-8B: full attention, same position."""

    mask_id = 5
    mask_tokens = ("<[MASK]>",)
    decoding = Decoding("confidence", {"temperature": 0.0}, length=128)

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        kind = str(config.get("model_type")).lower()
        return kind == "illada" and "model.layers.0.self_attn.q_proj.weight" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        keys.all_visible()
        keys.only(attention_bias=False)
        if keys.values.get("layer_norm_eps") is not None:
            raise UserError("config.json: layer_norm_eps asks for norms with a bias, and this layout has none")
        return TransformerConfig(**self.shared(keys), qk_norm=False)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["ILLaDAForCausalLM"],
            "model_type": "illada",
            "attention_bias": False,
            "mlp_bias": False,
            "layer_norm_eps": None,
            "resid_pdrop": 0.0,
        }
