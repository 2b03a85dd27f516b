"""What the layouts of MDLM, Duo and BD3-LM share: a diffusion transformer whose norms follow σ."""

from typing import Any, ClassVar

from .family import CheckpointFamily, Keys
from .feed_forward.dense import Dense
from .layers.adaptive import Adaptive
from .layers.pre_norm import PreNorm
from .parts import Copied, Part, Split
from .transformer import TransformerConfig

PREFIX = "backbone."
TABLE = f"{PREFIX}vocab_embed.embedding"
CONDITION = 128
EPS = 1e-5  # of torch's own layer_norm, which they call


class DiTNames(CheckpointFamily):
    """Layouts with the names of SEDD's transformer, which directories write with and without `backbone.` before them.

    The mask is the last row of the table: GPT-2 has no such token.
    """

    mask_id: ClassVar[int | None] = -1
    mask_tokens: ClassVar[tuple[str, ...]] = ("[MASK]", "<mask>")
    cut = "gpt2"

    def spelled(self, tensor: str) -> str:
        bare = tensor.startswith(("vocab_embed.", "sigma_map.", "rotary_emb.", "blocks.", "output_layer."))
        return PREFIX + tensor if bare else tensor

    def parts(self, network: TransformerConfig) -> list[Part]:
        adaptive, width = network.condition is not None, network.width
        parts: list[Part] = [
            Copied("embedding.weight", TABLE),
            Copied("norm.scale", f"{PREFIX}output_layer.norm_final.weight"),
            Copied("unembedding.weight", f"{PREFIX}output_layer.linear.weight"),
            Copied("head_bias", f"{PREFIX}output_layer.linear.bias"),
        ]
        for kind in ("weight", "bias") if adaptive else ():
            parts += [
                Copied(f"noise.first.{kind}", f"{PREFIX}sigma_map.mlp.0.{kind}"),
                Copied(f"noise.second.{kind}", f"{PREFIX}sigma_map.mlp.2.{kind}"),
                Copied(f"last.linear.{kind}", f"{PREFIX}output_layer.adaLN_modulation.{kind}"),
            ]
        for layer in range(network.depth):
            own, theirs = f"blocks.{layer}", f"{PREFIX}blocks.{layer}"
            around = (f"{own}.around_attention", f"{own}.around_feed_forward")
            parts += [
                Copied(f"{around[0]}.norm.scale", f"{theirs}.norm1.weight"),
                Copied(f"{own}.attention.qkv.weight", f"{theirs}.attn_qkv.weight"),
                Copied(f"{own}.attention.out.weight", f"{theirs}.attn_out.weight"),
                Copied(f"{around[1]}.norm.scale", f"{theirs}.norm2.weight"),
            ]
            for kind in ("weight", "bias"):
                parts += [
                    Copied(f"{own}.feed_forward.up.{kind}", f"{theirs}.mlp.0.{kind}"),
                    Copied(f"{own}.feed_forward.down.{kind}", f"{theirs}.mlp.2.{kind}"),
                ]
                if adaptive:
                    halves = tuple(f"{one}.modulation.linear.{kind}" for one in around)
                    parts.append(Split(halves, f"{theirs}.adaLN_modulation.{kind}", (3 * width, 3 * width)))
        return parts

    def shared(self, keys: Keys) -> dict[str, Any]:
        """What these configs say in the same words. Tables may have more rows than the config knows of."""
        keys.only(causal=False, tie_word_embeddings=False, scale_by_sigma=False)
        rows = keys.shapes.get(TABLE, [0])[0] or keys.integer("vocab_size")
        adaptive = keys.values.get("adaln") in (None, True)
        return {
            "rows": rows,
            "width": keys.integer("hidden_dim"),
            "depth": keys.integer("n_blocks"),
            "heads": keys.integer("n_heads"),
            "hidden": 4 * keys.integer("hidden_dim"),
            "context": keys.integer("model_length"),
            "activation": "gelu-tanh",
            "qk_norm": False,
            "rope_base": keys.rope_base(10_000.0),
            "scales": True,
            "norm_eps": EPS,
            "feed_forward": Dense(bias=True),
            "layer": Adaptive(keys.integer("cond_dim", CONDITION)) if adaptive else PreNorm(),
            "head_bias": True,
        }

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            "vocab_size": network.rows,
            "hidden_dim": network.width,
            "n_blocks": network.depth,
            "n_heads": network.heads,
            "cond_dim": network.condition or CONDITION,
            "model_length": network.context,
            "dropout": 0.1,
            "return_dict": False,
        }
