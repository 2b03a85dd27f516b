"""Duo (Sahoo et al. 2025): uniform noise, and σ as it is."""

from collections.abc import Collection, Mapping
from typing import Any

from .dit_names import DiTNames
from .family import Decoding, Keys
from .transformer import TransformerConfig


class Duo(DiTNames):
    """Duo, also distilled: tokens become others, no mask; same position, full attention, told σ."""

    mask_id = None
    mask_tokens = ()
    noise = "uniform"
    decoding = Decoding("greedy-tail", length=1024)

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return str(config.get("model_type")).lower() == "duo" and "hidden_dim" in config

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(adaln=True, time_conditioning=True)
        keys.all_visible()
        return TransformerConfig(**self.shared(keys), time_conditioning=True)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {**super().config(network), "architectures": ["DUO"], "model_type": "DUO", "causal": False}
