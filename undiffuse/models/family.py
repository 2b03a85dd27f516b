"""Published checkpoint layouts as configurations of the one trunk.

A layout says how to recognize its directory, what its config means, and how published tensors become parameters of the
trunk: records that serve reading and writing.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from ..errors import UserError
from ..types import HeadKind
from .expert_names import experts_of, gated
from .feed_forward.experts import Experts
from .parts import Concatenated, Copied, Part
from .stretches.linear import Linear
from .stretches.llama3 import Llama3
from .stretches.none import Unstretched
from .stretches.stretch import Stretch
from .stretches.yarn import Yarn
from .transformer import TransformerConfig

LARGEST = 1 << 24
"""Of any size that a config names: more rows than any vocabulary has."""
BLOCK_KEYS = ("block_size", "block_length", "bd_size")


@dataclass(frozen=True)
class Keys:
    """The keys of a config.json, and the shapes of the tensors beside it. Keys that no method asks for are inert."""

    values: Mapping[str, Any]
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def integer(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A size: at least 1, or what is `least`, and no more than a table can have."""
        value = self.values.get(name)
        if value is None:
            value = default
        if value is None:
            raise UserError(f"config.json has no {name}, which this layout needs")
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"config.json: {name} must be a whole number, not {value!r}")
        if not least <= value <= LARGEST:
            raise UserError(f"config.json: {name} must lie between {least} and {LARGEST:,}, not {_shown(value)}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A positive number."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise UserError(f"config.json has no {name}, which this layout needs")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"config.json: {name} must be a number, not {value!r}")
        if not 0 < value <= sys.float_info.max:  # excludes NaN too
            raise UserError(f"config.json: {name} must be a positive number, not {_shown(value)}")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false, false where the key is absent."""
        value = self.values.get(name)
        if value not in (None, True, False):
            raise UserError(f"config.json: {name} must be true or false, not {value!r}")
        return bool(value)

    def table(self, name: str) -> Mapping[str, Any]:
        """The object of a key, empty where the key is absent."""
        value = self.values.get(name) or {}
        if not isinstance(value, Mapping):
            raise UserError(f"config.json: {name} must be an object, not {value!r}")
        return value

    def all_visible(self) -> None:
        """Refuse a config that says its network attends in blocks: read as full attention it would be another one."""
        for name in BLOCK_KEYS:
            if self.values.get(name) is not None:
                raise UserError(
                    f"config.json: {name} = {self.values[name]!r} says that this network attends in blocks, and this "
                    "layout sees the whole text"
                )

    def only(self, **accepted: object) -> None:
        """Refuse other values of some keys: they would change what the network computes. Absent and null pass."""
        for name, value in accepted.items():
            found = self.values.get(name)
            if found is not None and found != value:
                raise UserError(f"config.json: {name} = {found!r} is not supported, only {value!r}")

    def rope_base(self, default: float) -> float:
        """`rope_theta`, at the top or in `rope_parameters` (transformers 5); UserError for scaled positions."""
        if (kind := self._scaling.values["rope_type"]) != "default":
            raise UserError(f"config.json: rotary positions of type {kind!r} are not supported, only 'default'")
        return self.rope_theta(default)

    def rope_theta(self, default: float) -> float:
        """The same, of layouts whose positions may be scaled (`stretch`)."""
        said = {"rope_theta": self.values.get("rope_theta"), **self.table("rope_parameters")}
        return Keys(said).number("rope_theta", default)

    def stretch(self, context: int) -> Stretch:
        """How positions are scaled; UserError for ways that are not known here."""
        said = self._scaling
        match said.values.get("rope_type", "default"):
            case "default":
                return Unstretched()
            case "linear":
                return Linear(said.number("factor"))
            case "llama3":
                first = said.integer("original_max_position_embeddings")
                low, high = said.number("low_freq_factor", 1.0), said.number("high_freq_factor", 4.0)
                return Llama3(said.number("factor"), low, high, first)
            case "yarn":
                said.only(mscale=None, mscale_all_dim=None, truncate=True)
                first = said.integer("original_max_position_embeddings", context)
                fast, slow = said.number("beta_fast", 32.0), said.number("beta_slow", 1.0)
                sharpness = said.values.get("attention_factor")
                sharp = 0.0 if sharpness is None else said.number("attention_factor", 1.0)
                return Yarn(said.number("factor"), first, fast, slow, sharp)
            case kind:
                raise UserError(
                    f"config.json: rotary positions of type {kind!r} are not supported, only 'default', 'linear', "
                    "'llama3' and 'yarn'"
                )

    @property
    def _scaling(self) -> "Keys":
        """What a config says of scaled positions, in one spelling."""
        tables = self.table("rope_parameters"), self.table("rope_scaling")
        kinds = [table.get("rope_type", table.get("type", "default")) for table in tables]
        kind = next((kind for kind in kinds if kind != "default"), "default")
        return Keys({**tables[0], **tables[1], "rope_type": kind})


@dataclass(frozen=True)
class Decoding:
    """How a family's authors decode: the strategy with its options, and how many tokens they write.

    `block_length` cuts what is written into windows of so many positions, decoded from left to right.
    """

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    length: int = 256
    block_length: int | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its options, with the windows."""
        return self.options if self.block_length is None else {"block_length": self.block_length, **self.options}


CAUSAL = Decoding("left-to-right")


class Shape(Protocol):
    """What a config says of any network: sizes, and what a row sees and speaks of, as `TransformerConfig` has them."""

    @property
    def rows(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def context(self) -> int: ...
    @property
    def causal(self) -> bool: ...
    @property
    def block_length(self) -> int | None: ...
    @property
    def output_offset(self) -> int: ...
    @property
    def first_position(self) -> int: ...
    @property
    def local_window(self) -> int: ...
    def is_local(self, layer: int) -> bool: ...


class CheckpointFamily(ABC):
    """One family of public checkpoints.

    `mask_id` is the family's own, for configs that leave it out, counted from the end of the table if negative (None:
    it has no mask); `mask_tokens` are names that its tokenizers give it. `noise` is what it was trained to undo.
    `inert` are the ends of tensors that may lie beside those of the network. `cut` is how text is cut before merging,
    for directories without a tokenizer.json (None: vocab.json and merges.txt do not say all).
    `template` is how its instructed models write conversations, for directories that do not say (a name in
    text/templates; empty: nobody knows). `decoding` is what verbs do if they are told nothing else (None: what suits
    the network).

    `predicts` is what its predictions are. It `fills` canvases to their end, and so predicts every row of its table,
    and a text before them begins as the tokenizer says. `package` computes its network, where the one trunk does not
    (None: it does): `network` is then the family's own record, and `shapes` has every parameter. `apart` are the
    beginnings of tensors that may lie beside those of the network.
    """

    mask_id: ClassVar[int | None] = None
    mask_tokens: ClassVar[tuple[str, ...]] = ()
    noise: ClassVar[Literal["mask", "uniform"]] = "mask"
    inert: ClassVar[tuple[str, ...]] = ()
    cut: ClassVar[Literal["qwen2", "gpt2", "bert", "roberta"] | None] = "qwen2"
    template: ClassVar[str] = ""
    decoding: ClassVar[Decoding | None] = None
    predicts: ClassVar[HeadKind] = "leave_one_out"
    fills: ClassVar[bool] = False
    package: ClassVar[str | None] = None
    apart: ClassVar[tuple[str, ...]] = ()

    def flat(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The keys of a config in one place, where a family has some of them in tables."""
        return config

    def sampling(self, generation: Mapping[str, Any]) -> dict[str, Any]:
        """How a generation_config.json says that its model is drawn from, where it does, in our words."""
        if generation.get("do_sample") is not True:
            return {}
        said = {name: generation.get(name) for name in ("temperature", "top_k", "top_p")}
        return {name: value for name, value in said.items() if isinstance(value, int | float) and value > 0}

    def shapes(self, network: Any) -> Mapping[str, tuple[int, ...]]:
        """Every parameter of a network that a package computes, with its shape."""
        raise TypeError(f"the network of {type(self).__name__} is the one trunk, which has its own parameters")

    def decoded(self, name: str) -> Decoding | None:
        """What verbs do with a model of this name; few families have several ways."""
        return self.decoding

    @abstractmethod
    def recognizes(self, config: Mapping[str, Any], tensors: Collection[str]) -> bool:
        """Whether a config with these tensors is of the family; the model type alone is not enough."""

    def spelled(self, tensor: str) -> str:
        """The name by which `parts` knows a tensor that files may also have under an older one."""
        return tensor

    def variant(self, config: Mapping[str, Any], tensors: Collection[str]) -> "CheckpointFamily":
        """This layout, or the one of the same family that a config and tensors are in (none known: by the config)."""
        return self

    @abstractmethod
    def network(self, keys: Keys) -> Shape:
        """The trunk that a config describes. UserError for values that it cannot have."""

    @abstractmethod
    def parts(self, network: Any) -> list[Part]:
        """Every parameter of the trunk, each once, with the published tensors that hold it."""

    @abstractmethod
    def config(self, network: Any) -> dict[str, Any]:
        """The inverse of `network`, with what the family's own code needs to read it; special ids are not in it."""


class QwenNames(CheckpointFamily):
    """Layouts with the tensor names of Qwen2 and Qwen3, and most of their keys."""

    def parts(self, network: TransformerConfig) -> list[Part]:
        parts: list[Part] = [
            Copied("embedding.weight", "model.embed_tokens.weight"),
            Copied("norm.scale", "model.norm.weight"),
        ]
        if not network.tied:
            parts.append(Copied("unembedding.weight", "lm_head.weight"))
        for layer in range(network.depth):
            own, theirs = f"blocks.{layer}", f"model.layers.{layer}"
            for kind in ("weight", "bias") if network.qkv_bias else ("weight",):
                projections = tuple(f"{theirs}.self_attn.{x}_proj.{kind}" for x in "qkv")
                parts.append(Concatenated(f"{own}.attention.qkv.{kind}", projections, network.qkv_heights))
            if network.qk_norm:
                for x in "qk":
                    parts.append(Copied(f"{own}.attention.{x}_norm.scale", f"{theirs}.self_attn.{x}_norm.weight"))
            parts += [
                Copied(f"{own}.attention.out.weight", f"{theirs}.self_attn.o_proj.weight"),
                *self._feed_forward(network, layer, f"{own}.feed_forward", f"{theirs}.mlp"),
                Copied(f"{own}.around_attention.norm.scale", f"{theirs}.input_layernorm.weight"),
                Copied(f"{own}.around_feed_forward.norm.scale", f"{theirs}.post_attention_layernorm.weight"),
            ]
        return parts

    def _feed_forward(self, network: TransformerConfig, layer: int, own: str, theirs: str) -> list[Part]:
        mixture = network.feed_forward
        if layer < network.dense_layers or not isinstance(mixture, Experts):
            return gated(own, theirs, network.hidden_width)
        inner = mixture.inner or network.hidden_width
        router = Copied(f"{own}.router.weight", f"{theirs}.gate.weight")
        return [router, *experts_of(own, theirs, mixture.experts, inner, network.width, stacked=False)]

    def mixture(self, keys: Keys) -> dict[str, Any]:
        """Experts in the words of Qwen3, and which of the first layers are dense; nothing of a config without."""
        if keys.values.get("moe_intermediate_size") is None:
            return {}
        keys.only(decoder_sparse_step=1)
        count = keys.integer("num_experts", keys.integer("num_local_experts", 0, least=0))
        inner, chosen = keys.integer("moe_intermediate_size"), keys.integer("num_experts_per_tok")
        over = "chosen" if keys.flag("norm_topk_prob") else "all"
        return {
            "feed_forward": Experts(count, chosen, inner, over=over),
            "dense_layers": leading(keys.values.get("mlp_only_layers") or [], "mlp_only_layers"),
        }

    def described(self, network: TransformerConfig) -> dict[str, Any]:
        """The inverse of `mixture`; nothing of a network without experts."""
        mixture = network.feed_forward
        if not isinstance(mixture, Experts):
            return {}
        return {
            "num_experts": mixture.experts,
            "num_experts_per_tok": mixture.chosen,
            "moe_intermediate_size": mixture.inner or network.hidden_width,
            "norm_topk_prob": mixture.over == "chosen",
            "decoder_sparse_step": 1,
            "mlp_only_layers": list(range(network.dense_layers)),
        }

    def shared(self, keys: Keys) -> dict[str, Any]:
        """What all of these configs say in the same words."""
        keys.only(hidden_act="silu", use_sliding_window=False, partial_rotary_factor=1.0, mlp_bias=False)
        layers = keys.values.get("layer_types") or []
        if not isinstance(layers, list) or any(kind != "full_attention" for kind in layers):
            raise UserError("config.json: layer_types other than 'full_attention' are not supported")
        heads = keys.integer("num_attention_heads")
        return {
            "rows": keys.integer("vocab_size"),
            "width": keys.integer("hidden_size"),
            "depth": keys.integer("num_hidden_layers"),
            "heads": heads,
            "kv_heads": keys.integer("num_key_value_heads", heads),
            "head_dim": keys.integer("head_dim", keys.integer("hidden_size") // heads),
            "hidden": keys.integer("intermediate_size"),
            "context": keys.integer("max_position_embeddings"),
            "norm": "rmsnorm",
            "activation": "swiglu",
            "rope_base": keys.rope_theta(10_000.0),
            "stretch": keys.stretch(keys.integer("max_position_embeddings")),
            "scales": True,
            "norm_eps": keys.number("rms_norm_eps", 1e-6),
            "tied": keys.flag("tie_word_embeddings"),
        }

    def config(self, network: TransformerConfig) -> dict[str, Any]:
        return {
            "vocab_size": network.rows,
            "hidden_size": network.width,
            "num_hidden_layers": network.depth,
            "num_attention_heads": network.heads,
            "num_key_value_heads": network.groups,
            "head_dim": network.head_width,
            "intermediate_size": network.hidden_width,
            "max_position_embeddings": network.context,
            "hidden_act": "silu",
            "rope_theta": network.rope_base,
            "rope_scaling": network.stretch.published,
            "rms_norm_eps": network.norm_eps,
            "tie_word_embeddings": network.tied,
            "attention_dropout": 0.0,
            "sliding_window": None,
            "use_sliding_window": False,
            "max_window_layers": network.depth,
            "initializer_range": 0.02,
            "use_cache": False,
        }


def leading(layers: object, name: str) -> int:
    """How many layers are dense, given which; UserError unless they are the first."""
    if not isinstance(layers, list) or layers != list(range(len(layers))):
        raise UserError(f"config.json: {name} must name dense layers before all others, not {layers!r}")
    return len(layers)


def _shown(value: float) -> str:
    """A number, cut where it is absurdly long."""
    return f"{value!r}" if abs(value) < 10**20 or value != value or isinstance(value, float) else "more than 10^20"
