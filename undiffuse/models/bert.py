"""BERT (Devlin et al. 2019): the first masked language model, norms after the sums, learned positions."""

from collections.abc import Collection, Mapping
from typing import Any

from .encoder_names import EncoderNames
from .family import Keys
from .transformer import TransformerConfig


class Bert(EncoderNames):
    """BERT and what has its layout: same position, full attention, no time; every token is of the first type."""

    mask_id = 103
    mask_tokens = ("[MASK]",)
    body = "bert"
    cut = "bert"
    inert = (
        *EncoderNames.inert,
        "cls.seq_relationship.weight",
        "cls.seq_relationship.bias",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    )

    @property
    def head(self) -> tuple[str, str, str]:
        begin = "cls.predictions"
        return f"{begin}.transform.dense", f"{begin}.transform.LayerNorm", f"{begin}.bias"

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "bert" and "bert.embeddings.word_embeddings.weight" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        return TransformerConfig(**self.shared(keys))

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {**super().config(network), "architectures": ["BertForMaskedLM"], "model_type": "bert"}
