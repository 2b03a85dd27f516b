"""ModernBERT (Warner et al. 2024): rotary positions, gated layers, and local attention in two layers of three."""

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import UserError
from .family import CheckpointFamily, Decoding, Keys
from .parts import Copied, Part
from .transformer import TransformerConfig

KINDS = {True: "sliding_attention", False: "full_attention"}


class ModernBert(CheckpointFamily):
    """ModernBERT, and diffusion models that were made of it: same position, no time."""

    mask_id = 50284
    mask_tokens = ("[MASK]",)
    cut = None
    decoding = Decoding("confidence", {"temperature": 0.0})  # of the models made of it, one token a step

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return config.get("model_type") == "modernbert" and "model.embeddings.tok_embeddings.weight" in tensors

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(
            attention_bias=False,
            classifier_activation="gelu",
            classifier_bias=False,
            hidden_activation="gelu",
            mlp_bias=False,
            norm_bias=False,
        )
        keys.all_visible()
        tied, biased = (keys.values.get(name) in (None, True) for name in ("tie_word_embeddings", "decoder_bias"))
        network = TransformerConfig(
            rows=keys.integer("vocab_size"),
            width=keys.integer("hidden_size"),
            depth=keys.integer("num_hidden_layers"),
            heads=keys.integer("num_attention_heads"),
            hidden=keys.integer("intermediate_size"),
            context=keys.integer("max_position_embeddings"),
            activation="geglu",
            qk_norm=False,
            scales=True,
            norm_eps=keys.number("norm_eps", 1e-5),
            embedding_norm=True,
            rope_base=_base(keys, "full_attention", "global_rope_theta", 160_000.0),
            local_window=keys.integer("local_attention", 128) // 2,
            local_base=_base(keys, "sliding_attention", "local_rope_theta", 10_000.0),
            global_every=keys.integer("global_attn_every_n_layers", 3),
            tied=tied,
            head_transform=True,
            head_bias=biased,
        )
        if keys.values.get("layer_types") not in (None, _layers(network)):
            raise UserError(
                f"config.json: layer_types must be full_attention in one layer of {network.global_every}, from the "
                "first on, and sliding_attention in the others"
            )
        return network

    def parts(self, network: TransformerConfig) -> list[Part]:
        parts: list[Part] = [
            Copied("embedding.weight", "model.embeddings.tok_embeddings.weight"),
            Copied("embedding_norm.scale", "model.embeddings.norm.weight"),
            Copied("norm.scale", "model.final_norm.weight"),
            Copied("transform.dense.weight", "head.dense.weight"),
            Copied("transform.norm.scale", "head.norm.weight"),
        ]
        if network.head_bias:
            parts.append(Copied("head_bias", "decoder.bias"))
        if not network.tied:
            parts.append(Copied("unembedding.weight", "decoder.weight"))
        for layer in range(network.depth):
            own, theirs = f"blocks.{layer}", f"model.layers.{layer}"
            if layer:  # the first reads the normalized embedding
                parts.append(Copied(f"{own}.around_attention.norm.scale", f"{theirs}.attn_norm.weight"))
            parts += [
                Copied(f"{own}.attention.qkv.weight", f"{theirs}.attn.Wqkv.weight"),
                Copied(f"{own}.attention.out.weight", f"{theirs}.attn.Wo.weight"),
                Copied(f"{own}.around_feed_forward.norm.scale", f"{theirs}.mlp_norm.weight"),
                Copied(f"{own}.feed_forward.up.weight", f"{theirs}.mlp.Wi.weight"),
                Copied(f"{own}.feed_forward.down.weight", f"{theirs}.mlp.Wo.weight"),
            ]
        return parts

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            "architectures": ["ModernBertForMaskedLM"],
            "model_type": "modernbert",
            "vocab_size": network.rows,
            "hidden_size": network.width,
            "num_hidden_layers": network.depth,
            "num_attention_heads": network.heads,
            "intermediate_size": network.hidden_width,
            "max_position_embeddings": network.context,
            "norm_eps": network.norm_eps,
            "local_attention": 2 * network.local_window,
            "global_attn_every_n_layers": network.global_every,
            "layer_types": _layers(network),
            "rope_parameters": {
                "full_attention": {"rope_theta": network.rope_base, "rope_type": "default"},
                "sliding_attention": {"rope_theta": network.local_base, "rope_type": "default"},
            },
            "tie_word_embeddings": network.tied,
            "decoder_bias": network.head_bias,
            "attention_bias": False,
            "mlp_bias": False,
            "norm_bias": False,
            "classifier_bias": False,
            "classifier_activation": "gelu",
            "hidden_activation": "gelu",
            "attention_dropout": 0.0,
            "embedding_dropout": 0.0,
            "mlp_dropout": 0.0,
        }


def _layers(network: TransformerConfig) -> list[str]:
    return [KINDS[network.is_local(layer)] for layer in range(network.depth)]


def _base(keys: Keys, kind: str, older: str, default: float) -> float:
    """The rotary base of a kind of layers: in `rope_parameters` (transformers 5), or under its older name."""
    parameters = Keys(keys.table("rope_parameters")).table(kind)
    return Keys({"rope_theta": keys.values.get(older), "rope_parameters": parameters}).rope_base(default)
