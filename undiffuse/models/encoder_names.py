"""What the layouts of BERT and RoBERTa share: names inside the body, and most keys."""

from abc import abstractmethod
from typing import Any, ClassVar

from .family import CheckpointFamily, Keys
from .feed_forward.dense import Dense
from .layers.post_norm import PostNorm
from .parts import Concatenated, Copied, Part
from .transformer import TransformerConfig

BOTH = (("weight", "weight"), ("bias", "bias"))
NORM = (("scale", "weight"), ("bias", "bias"))
OLDER = {"gamma": "weight", "beta": "bias"}


def copied(own: str, theirs: str, kinds: tuple[tuple[str, str], ...]) -> list[Part]:
    """The parameters of a module that has the same ones under other names."""
    return [Copied(f"{own}.{mine}", f"{theirs}.{other}") for mine, other in kinds]


class EncoderNames(CheckpointFamily):
    """Layouts with BERT's body under a name of their own, and a head in three parts.

    Norms were called gamma and beta once. What a second head of the same file was trained for is not read, and neither
    are copies of what is tied.
    """

    body: ClassVar[str]
    inert: ClassVar[tuple[str, ...]] = ("position_ids", "pooler.dense.weight", "pooler.dense.bias")

    @property
    @abstractmethod
    def head(self) -> tuple[str, str, str]:
        """Names of the head's dense layer, its norm and its bias."""

    def spelled(self, tensor: str) -> str:
        stem, dot, last = tensor.rpartition(".")
        return stem + dot + OLDER.get(last, last)

    def parts(self, network: TransformerConfig) -> list[Part]:
        table, (dense, norm, bias) = f"{self.body}.embeddings", self.head
        parts: list[Part] = [
            Copied("embedding.weight", f"{table}.word_embeddings.weight"),
            Copied("position.weight", f"{table}.position_embeddings.weight"),
            Copied("token_type.weight", f"{table}.token_type_embeddings.weight"),
            *copied("embedding_norm", f"{table}.LayerNorm", NORM),
            *copied("transform.dense", dense, BOTH),
            *copied("transform.norm", norm, NORM),
            Copied("head_bias", bias),
        ]
        for layer in range(network.depth):
            own, theirs = f"blocks.{layer}", f"{self.body}.encoder.layer.{layer}"
            for kind in ("weight", "bias"):
                projections = tuple(f"{theirs}.attention.self.{x}.{kind}" for x in ("query", "key", "value"))
                parts.append(Concatenated(f"{own}.attention.qkv.{kind}", projections, network.qkv_heights))
            parts += [
                *copied(f"{own}.attention.out", f"{theirs}.attention.output.dense", BOTH),
                *copied(f"{own}.around_attention.norm", f"{theirs}.attention.output.LayerNorm", NORM),
                *copied(f"{own}.feed_forward.up", f"{theirs}.intermediate.dense", BOTH),
                *copied(f"{own}.feed_forward.down", f"{theirs}.output.dense", BOTH),
                *copied(f"{own}.around_feed_forward.norm", f"{theirs}.output.LayerNorm", NORM),
            ]
        return parts

    def shared(self, keys: Keys) -> dict[str, Any]:
        """What both configs say in the same words."""
        keys.only(
            hidden_act="gelu",
            position_embedding_type="absolute",
            is_decoder=False,
            add_cross_attention=False,
            tie_word_embeddings=True,
        )
        keys.all_visible()
        return {
            "rows": keys.integer("vocab_size"),
            "width": keys.integer("hidden_size"),
            "depth": keys.integer("num_hidden_layers"),
            "heads": keys.integer("num_attention_heads"),
            "hidden": keys.integer("intermediate_size"),
            "context": keys.integer("max_position_embeddings"),
            "types": keys.integer("type_vocab_size", 2),
            "norm_eps": keys.number("layer_norm_eps", 1e-12),
            "scales": True,
            "qk_norm": False,
            "qkv_bias": True,
            "feed_forward": Dense(bias=True),
            "layer": PostNorm(),
            "positions": "learned",
            "embedding_norm": True,
            "tied": True,
            "head_transform": True,
            "head_bias": True,
        }

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            "vocab_size": network.rows,
            "hidden_size": network.width,
            "num_hidden_layers": network.depth,
            "num_attention_heads": network.heads,
            "intermediate_size": network.hidden_width,
            "max_position_embeddings": network.context,
            "type_vocab_size": network.types,
            "layer_norm_eps": network.norm_eps,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "initializer_range": 0.02,
            "is_decoder": False,
            "add_cross_attention": False,
            "tie_word_embeddings": True,
        }
