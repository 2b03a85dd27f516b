"""MDLM (Sahoo et al. 2024): masked noise, σ = 0 throughout."""

from collections.abc import Collection, Mapping
from typing import Any

from .dit_names import DiTNames
from .family import Keys
from .transformer import TransformerConfig


class Mdlm(DiTNames):
    """MDLM: same position, full attention; it has an input for σ, which its authors leave at 0."""

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "mdlm" and "hidden_dim" in config

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(adaln=True)
        keys.all_visible()
        return TransformerConfig(**self.shared(keys), time_conditioning=keys.flag("time_conditioning"))

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        names = {"architectures": ["MDLM"], "model_type": "mdlm"}
        return {**super().config(network), **names, "time_conditioning": network.time_conditioning}
