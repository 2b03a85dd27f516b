"""BD3-LM (Arriola et al. 2025): MDLM's network, bidirectional inside blocks and causal between them."""

from collections.abc import Collection, Mapping
from typing import Any

from .dit_names import DiTNames
from .family import Decoding, Keys
from .transformer import TransformerConfig


class Bd3lm(DiTNames):
    """BD3-LM: block diffusion, same position; it has an input for σ, or none, and its authors leave it at 0."""

    decoding = Decoding("first-hitting", {"top_p": 0.9}, length=1024)
    inert = ("sampling_eps_min", "sampling_eps_max")

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "bd3lm" and "hidden_dim" in config

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(cross_attn=True)
        return TransformerConfig(
            **self.shared(keys),
            time_conditioning=keys.flag("time_conditioning"),
            block_length=keys.integer("block_size", 1),
        )

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["BD3LM"],
            "model_type": "bd3lm",
            "adaln": network.condition is not None,
            "attn_backend": "sdpa",
            "block_size": network.block_length,
            "causal": False,
            "cross_attn": True,
            "time_conditioning": network.time_conditioning,
            "var_min": False,
        }
