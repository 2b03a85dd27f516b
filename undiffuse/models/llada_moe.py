"""LLaDA-MoE (Zhu et al. 2025): a mixture of experts whose shares are not normalized over the chosen ones."""

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import UserError
from .family import Decoding, Keys, QwenNames, leading
from .feed_forward.experts import Experts
from .transformer import TransformerConfig

KINDS = ("lladamoe", "llada_moe", "llada-moe", "llada")


class LLaDAMoE(QwenNames):
    """LLaDA-MoE-7B-A1B: full attention, same position, queries and keys normalized per head, no shared expert."""

    mask_id = 156895
    mask_tokens = ("<|mask|>",)
    template = "llada2"
    decoding = Decoding("confidence", {"temperature": 0.0}, length=128, block_length=32)

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return (
            str(config.get("model_type")).lower() in KINDS
            and "expert_intermediate_size" in config
            and any(".mlp.experts.0." in name for name in tensors)
        )

    def network(self, keys: Keys) -> TransformerConfig:
        keys.all_visible()
        keys.only(attention_bias=False, qk_layernorm=True, norm_topk_prob=False)
        if keys.values.get("shared_expert_intermediate_size"):
            raise UserError("config.json: a shared expert is not supported in this layout")
        width = keys.integer("expert_intermediate_size")
        hidden = keys.integer("dense_intermediate_size", keys.integer("intermediate_size", width))
        shared = self.shared(Keys({**keys.values, "intermediate_size": hidden}))
        frequency = keys.values.get("moe_layer_freq")
        dense = [layer for layer, mixed in enumerate(frequency) if not mixed] if isinstance(frequency, list) else []
        return TransformerConfig(
            **shared,
            qk_norm=True,
            dense_layers=leading(dense, "moe_layer_freq"),
            feed_forward=Experts(keys.integer("num_experts"), keys.integer("num_experts_per_tok"), width, over="all"),
        )

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        mixture = network.feed_forward
        assert isinstance(mixture, Experts)
        return {
            **super().config(network),
            "architectures": ["LLaDAMoEModelLM"],
            "model_type": KINDS[0],
            "attention_bias": False,
            "qk_layernorm": True,
            "norm_topk_prob": False,
            "dense_intermediate_size": network.hidden_width,
            "expert_intermediate_size": mixture.inner or network.hidden_width,
            "shared_expert_intermediate_size": None,
            "moe_layer_freq": [int(layer >= network.dense_layers) for layer in range(network.depth)],
            "num_experts": mixture.experts,
            "num_experts_per_tok": mixture.chosen,
        }
