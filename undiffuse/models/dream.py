"""Dream (Ye et al. 2025): a Qwen2 body whose row i − 1 speaks of position i, with full attention."""

from collections.abc import Collection, Mapping
from typing import Any

from .family import Decoding, Keys, QwenNames
from .transformer import TransformerConfig

CONTEXT = 2048  # what its authors state; the config keeps the far larger number of the model it was made from


class Dream(QwenNames):
    """Dream-7B, Dream-Coder, DiffuCoder: shifted, full attention, biases on queries, keys and values."""

    mask_id = 151666
    mask_tokens = ("<|mask|>",)
    template = "chatml"
    decoding = Decoding("entropy", {"temperature": 0.2, "top_p": 0.95})

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        layer = "model.layers.0.self_attn"
        return (
            str(config.get("model_type")).lower() == "dream"
            and "hidden_size" in config
            and f"{layer}.q_proj.bias" in tensors
            and f"{layer}.q_norm.weight" not in tensors
        )

    def network(self, keys: Keys) -> TransformerConfig:
        keys.all_visible()
        keys.only(use_mrope=False)
        shared = self.shared(keys)
        shared["context"] = min(shared["context"], CONTEXT)
        return TransformerConfig(**shared, qk_norm=False, qkv_bias=True, output_offset=-1)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {**super().config(network), "architectures": ["DreamModel"], "model_type": "Dream", "use_mrope": False}
