"""LLaDA (Nie et al. 2025): the original layout, with OLMo's keys and `model.transformer.*` tensors.

Full attention, same position. `ff_proj` is the gate of the feed-forward layer and `up_proj` what it multiplies. Under
the same model type there are a repack with Llama's keys (`variants`), and the mixture of experts (`llada_moe`).
"""

from collections.abc import Collection, Mapping
from typing import Any

from .family import CheckpointFamily, Decoding, Keys
from .parts import Concatenated, Copied, Part
from .transformer import TransformerConfig
from .variants.llada_repack import LLaDARepack


class LLaDA(CheckpointFamily):
    """LLaDA-8B, LLaDA-1.5 and smaller models of their class."""

    mask_id = 126336
    mask_tokens = ("<|mdm_mask|>", "<|mask|>")
    template = "llada"
    decoding = Decoding("confidence", {"temperature": 0.0}, length=128)

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        own = {"d_model", "mlp_hidden_size"} <= config.keys() and "model.transformer.wte.weight" in tensors
        return own or LLaDARepack().recognizes(config, tensors)

    def variant(self, config: Mapping[str, Any], tensors: Collection[str]) -> CheckpointFamily:
        return LLaDARepack() if "hidden_size" in config and "d_model" not in config else self

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(
            alibi=False,
            attention_layer_norm=False,
            bias_for_layer_norm=False,
            block_group_size=1,
            block_type="llama",
            activation_type="silu",
            include_bias=False,
            include_qkv_bias=False,
            input_emb_norm=False,
            layer_norm_type="rms",
            layer_norm_with_affine=True,
            multi_query_attention=False,
            rope=True,
            scale_logits=False,
        )
        keys.all_visible()
        heads = keys.integer("n_heads")
        return TransformerConfig(
            rows=keys.integer("embedding_size", keys.integer("vocab_size")),
            width=keys.integer("d_model"),
            depth=keys.integer("n_layers"),
            heads=heads,
            kv_heads=keys.integer("n_kv_heads", heads),
            hidden=keys.integer("mlp_hidden_size"),
            context=keys.integer("max_sequence_length"),
            norm="rmsnorm",
            activation="swiglu",
            qk_norm=False,
            rope_base=keys.rope_base(10_000.0),
            head_dim=keys.integer("d_model") // heads,
            scales=True,
            norm_eps=keys.number("rms_norm_eps", 1e-5),
            tied=keys.flag("weight_tying"),
        )

    def parts(self, network: TransformerConfig) -> list[Part]:
        root = "model.transformer"
        parts: list[Part] = [
            Copied("embedding.weight", f"{root}.wte.weight"),
            Copied("norm.scale", f"{root}.ln_f.weight"),
        ]
        if not network.tied:
            parts.append(Copied("unembedding.weight", f"{root}.ff_out.weight"))
        for layer in range(network.depth):
            own, theirs = f"blocks.{layer}", f"{root}.blocks.{layer}"
            projections = tuple(f"{theirs}.{x}_proj.weight" for x in "qkv")
            gated = (f"{theirs}.ff_proj.weight", f"{theirs}.up_proj.weight")
            parts += [
                Concatenated(f"{own}.attention.qkv.weight", projections, network.qkv_heights),
                Copied(f"{own}.attention.out.weight", f"{theirs}.attn_out.weight"),
                Concatenated(f"{own}.feed_forward.up.weight", gated, (network.hidden_width,) * 2),
                Copied(f"{own}.feed_forward.down.weight", f"{theirs}.ff_out.weight"),
                Copied(f"{own}.around_attention.norm.scale", f"{theirs}.attn_norm.weight"),
                Copied(f"{own}.around_feed_forward.norm.scale", f"{theirs}.ff_norm.weight"),
            ]
        return parts

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            "architectures": ["LLaDAModelLM"],
            "model_type": "llada",
            "d_model": network.width,
            "n_layers": network.depth,
            "n_heads": network.heads,
            "n_kv_heads": network.groups,
            "mlp_hidden_size": network.hidden_width,
            "max_sequence_length": network.context,
            "vocab_size": network.rows,
            "embedding_size": network.rows,
            "rope": True,
            "rope_theta": network.rope_base,
            "rope_full_precision": True,
            "rms_norm_eps": network.norm_eps,
            "layer_norm_type": "rms",
            "layer_norm_with_affine": True,
            "bias_for_layer_norm": False,
            "block_type": "llama",
            "block_group_size": 1,
            "activation_type": "silu",
            "alibi": False,
            "attention_layer_norm": False,
            "include_bias": False,
            "include_qkv_bias": False,
            "input_emb_norm": False,
            "scale_logits": False,
            "weight_tying": network.tied,
            "use_cache": False,
        }
