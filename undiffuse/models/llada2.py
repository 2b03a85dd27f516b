"""LLaDA2 (Bie et al. 2025): block diffusion by a mixture of experts whose router has groups and preferences.

The matrix of queries, keys and values is published as one; positions turn a part of each head; the first layers are
dense, and every row runs a shared expert beside those that it chooses. Experts come one by one, or stacked as they are
trained (`llada2_moe_veomni`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ..errors import UserError
from .expert_names import are_stacked, experts_of, gated, layers_of_experts
from .family import CheckpointFamily, Decoding, Keys
from .feed_forward.sigmoid_experts import SigmoidExperts
from .parts import Copied, Part
from .transformer import TransformerConfig

BLOCK = 32  # of every published model; their configs do not say
EDITING = Decoding("edit", {"threshold": 0.7, "edit_threshold": 0.5, "temperature": 0.0})
KINDS = ("llada2_moe", "llada2_moe_veomni")


@dataclass(frozen=True)
class LLaDA2(CheckpointFamily):
    """LLaDA2.0 and 2.1, mini and flash: block diffusion, same position, mixtures of experts."""

    stacked: bool = False

    mask_id = 156895
    mask_tokens = ("<|mask|>",)
    template = "llada2"
    decoding = Decoding("dynamic", {"threshold": 0.95, "temperature": 0.0})

    def decoded(self, name: str) -> Decoding | None:
        """LLaDA2.1 is trained to exchange tokens, and only its name says that it is 2.1."""
        return EDITING if "llada2.1" in PurePath(name).name.lower() else self.decoding

    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        return str(config.get("model_type")).lower() in KINDS and "model.word_embeddings.weight" in tensors

    def variant(self, config: Mapping[str, Any], tensors: Collection[str]) -> CheckpointFamily:
        stacked = are_stacked(tensors) if tensors else config.get("model_type") == KINDS[1]
        return LLaDA2(stacked)

    def network(self, keys: Keys) -> TransformerConfig:
        keys.only(
            hidden_act="silu",
            moe_router_enable_expert_bias=True,
            norm_head=False,
            norm_softmax=False,
            norm_topk_prob=True,
            score_function="sigmoid",
            use_bias=False,
            use_qk_norm=True,
            use_qkv_bias=False,
            use_rmsnorm=True,
            use_sliding_window=False,
            using_split_qkv_in_self_attention=False,
        )
        heads, experts = keys.integer("num_attention_heads"), keys.integer("num_experts")
        head = keys.integer("head_dim", keys.integer("hidden_size") // heads)
        share = Keys(keys.table("rope_parameters")).number("partial_rotary_factor", 0.5)
        turned = int(head * keys.number("partial_rotary_factor", share))
        inner = keys.integer("moe_intermediate_size")
        shared = keys.integer("num_shared_experts", 1, least=0)
        if keys.integer("moe_shared_expert_intermediate_size", inner) != inner:
            raise UserError("config.json: a shared expert of another width than the others is not supported")
        return TransformerConfig(
            rows=keys.integer("vocab_size"),
            width=keys.integer("hidden_size"),
            depth=keys.integer("num_hidden_layers"),
            heads=heads,
            kv_heads=keys.integer("num_key_value_heads", heads),
            head_dim=head,
            rotary_dim=0 if turned == head else turned,
            hidden=keys.integer("intermediate_size"),
            context=keys.integer("max_position_embeddings"),
            norm="rmsnorm",
            activation="swiglu",
            qk_norm=True,
            rope_base=keys.rope_base(600_000.0),
            scales=True,
            norm_eps=keys.number("rms_norm_eps", 1e-6),
            tied=keys.flag("tie_word_embeddings"),
            block_length=keys.integer("block_length", BLOCK),
            dense_layers=keys.integer("first_k_dense_replace", 0, least=0),
            feed_forward=SigmoidExperts(
                experts,
                keys.integer("num_experts_per_tok"),
                inner,
                shared,
                keys.integer("n_group", 1),
                keys.integer("topk_group", 1),
                keys.number("routed_scaling_factor", 1.0),
            ),
        )

    def parts(self, network: TransformerConfig) -> list[Part]:
        parts: list[Part] = [
            Copied("embedding.weight", "model.word_embeddings.weight"),
            Copied("norm.scale", "model.norm.weight"),
        ]
        if not network.tied:
            parts.append(Copied("unembedding.weight", "lm_head.weight"))
        mixture = network.feed_forward
        assert isinstance(mixture, SigmoidExperts)
        inner = mixture.inner or network.hidden_width
        for layer in range(network.depth):
            own, theirs = f"blocks.{layer}", f"model.layers.{layer}"
            parts += [
                Copied(f"{own}.attention.qkv.weight", f"{theirs}.attention.query_key_value.weight"),
                Copied(f"{own}.attention.q_norm.scale", f"{theirs}.attention.query_layernorm.weight"),
                Copied(f"{own}.attention.k_norm.scale", f"{theirs}.attention.key_layernorm.weight"),
                Copied(f"{own}.attention.out.weight", f"{theirs}.attention.dense.weight"),
                Copied(f"{own}.around_attention.norm.scale", f"{theirs}.input_layernorm.weight"),
                Copied(f"{own}.around_feed_forward.norm.scale", f"{theirs}.post_attention_layernorm.weight"),
            ]
            if layer not in layers_of_experts(network):
                parts += gated(f"{own}.feed_forward", f"{theirs}.mlp", network.hidden_width)
                continue
            parts += [
                Copied(f"{own}.feed_forward.router.weight", f"{theirs}.mlp.gate.weight"),
                Copied(f"{own}.feed_forward.router.preference", f"{theirs}.mlp.gate.expert_bias", wide=True),
                *experts_of(
                    f"{own}.feed_forward", f"{theirs}.mlp", mixture.experts, inner, network.width, self.stacked
                ),
            ]
            if mixture.shared:
                names = f"{own}.feed_forward.shared", f"{theirs}.mlp.shared_experts"
                parts += gated(*names, mixture.shared * inner)
        return parts

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        mixture = network.feed_forward
        assert isinstance(mixture, SigmoidExperts)
        return {
            "architectures": ["LLaDA2MoeModelLM"],
            "model_type": KINDS[self.stacked],
            "vocab_size": network.rows,
            "hidden_size": network.width,
            "num_hidden_layers": network.depth,
            "num_attention_heads": network.heads,
            "num_key_value_heads": network.groups,
            "head_dim": network.head_width,
            "partial_rotary_factor": (network.rotary_dim or network.head_width) / network.head_width,
            "rotary_dim": network.rotary_dim or network.head_width,
            "intermediate_size": network.hidden_width,
            "moe_intermediate_size": mixture.inner or network.hidden_width,
            "max_position_embeddings": network.context,
            "block_length": network.block_length,
            "hidden_act": "silu",
            "rope_theta": network.rope_base,
            "rope_scaling": None,
            "rms_norm_eps": network.norm_eps,
            "tie_word_embeddings": network.tied,
            "first_k_dense_replace": network.dense_layers,
            "num_experts": mixture.experts,
            "num_experts_per_tok": mixture.chosen,
            "num_shared_experts": mixture.shared,
            "n_group": mixture.groups,
            "topk_group": mixture.open_groups,
            "routed_scaling_factor": mixture.scale,
            "score_function": "sigmoid",
            "router_dtype": "fp32",
            "moe_router_enable_expert_bias": True,
            "norm_topk_prob": True,
            "norm_head": False,
            "norm_softmax": False,
            "use_bias": False,
            "use_qk_norm": True,
            "use_qkv_bias": False,
            "use_rmsnorm": True,
            "using_split_qkv_in_self_attention": False,
            "attention_dropout": 0.0,
            "embedding_dropout": 0.0,
            "output_dropout": 0.0,
            "initializer_range": 0.02,
            "output_router_logits": False,
            "sliding_window": None,
            "use_sliding_window": False,
            "max_window_layers": network.depth,
            "use_cache": False,
        }
