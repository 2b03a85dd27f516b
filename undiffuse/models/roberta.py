"""RoBERTa (Liu et al. 2019): BERT's body, whose positions are counted from the row after that of the padding."""

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import UserError
from .encoder_names import EncoderNames
from .family import Keys
from .transformer import TransformerConfig

PAD = 1  # of every published model


class Roberta(EncoderNames):
    """RoBERTa and what has its layout: same position, full attention, no time."""

    mask_id = 50264
    mask_tokens = ("<mask>",)
    body = "roberta"
    cut = "roberta"
    inert = (*EncoderNames.inert, "lm_head.decoder.weight", "lm_head.decoder.bias")

    @property
    def head(self) -> tuple[str, str, str]:
        return "lm_head.dense", "lm_head.layer_norm", "lm_head.bias"

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "roberta" and "roberta.embeddings.word_embeddings.weight" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        shared, first = self.shared(keys), keys.integer("pad_token_id", PAD, least=0) + 1
        if shared["context"] <= first:
            raise UserError(f"config.json: max_position_embeddings must exceed {first}, not {shared['context']}")
        return TransformerConfig(**{**shared, "context": shared["context"] - first}, first_position=first)

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            **super().config(network),
            "architectures": ["RobertaForMaskedLM"],
            "model_type": "roberta",
            "max_position_embeddings": network.context + network.first_position,
            "pad_token_id": network.first_position - 1,
        }
