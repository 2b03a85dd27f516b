"""Open-dCoder (Peng et al. 2025): a Qwen2 body whose row i − 1 speaks of position i, with full attention.

It is stored as Qwen2 is, and nothing in its files says that it is not: the family is named by whoever loads it.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from .family import Decoding, Keys, QwenNames
from .qwen2 import Qwen2
from .transformer import TransformerConfig


class OpenDCoder(QwenNames):
    """Open-dCoder and Open-dLLM, and what else is Qwen2 with full attention: named, not recognized."""

    mask_tokens = ("<M>",)
    decoding = Decoding("p2", {"temperature": 0.5, "top_k": 200}, length=128)  # 128 steps

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return False

    def network(self, keys: Keys) -> TransformerConfig:
        keys.all_visible()
        return replace(Qwen2().network(keys), causal=False)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {**Qwen2().config(network), "undiffuse": {"family": "open-dcoder"}}
