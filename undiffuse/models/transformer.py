"""The one trunk: a transformer of one kind of layers, bidirectional or causal by its rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import UserError
from ..types import Rows, Rule, Tags
from . import rules
from .attention import Attention, Bias, bias_of
from .base import Network
from .curves import CURVES, NoiseCurve
from .features import Features
from .feed_forward.dense import Dense
from .feed_forward.feed_forward import GATED, Activation, FeedForward
from .head_transform import HeadTransform
from .kept import Keys, Seen
from .kv import KV
from .layer import Dropout, Layer, Norm, NormKind
from .layers.layer_kind import LayerKind
from .layers.pre_norm import PreNorm
from .rotary import Angles
from .stretches.none import Unstretched
from .stretches.stretch import Stretch
from .traits import Input, Output, Traits

Positions = Literal["rotary", "learned"]
View = tuple[Angles | None, Bias | None]
"""How rows are turned, and what they see."""

MOST = {
    **dict.fromkeys(("rows", "context", "hidden"), 1 << 24),
    **dict.fromkeys(("width", "heads", "head_dim", "latent"), 1 << 20),
    "depth": 1 << 10,
}
"""More is a slip of the hand, and would take memory and minutes to notice."""


@dataclass(frozen=True)
class TransformerConfig:
    """Everything that fixes the network's parameters and their meaning.

    `rows` V, `width` D, `heads` H query heads that share `kv_heads` G keys in groups (0: one each), `hidden` rows of
    the feed-forward layer (0: 4 D, or 8/3 D rounded to 32 for swiglu, which has three matrices), `context` positions it
    is trained on. `time_conditioning` reads the noise level of each position, `editable_input` whether it may change.
    `block_length` trains by block diffusion: bidirectional inside blocks of so many positions, causal between them.

    `feed_forward` is the kind of the feed-forward layers; the first `dense_layers` of them are dense.

    `causal` makes the autoregressive twin: every row is given the token before its position, and sees only rows before.
    With an `output_offset` of −1 every row is given its own token and speaks of the next, as published ones do.
    `dropout` is the share of each branch's and the embedding's outputs that training drops. `latent` is the size of the
    vectors that Gaussian noise is added to (0: none), which the table of tokens then holds; `feedback` says whether an
    estimate of them is read too, `noise_curve` which kind of curve the noise learns to follow, `output` whether the
    head gives logits or the clean embedding.

    For public checkpoints: `head_dim` (0: D/H), `rotary_dim` of its dimensions that positions turn (0: all), `scales`
    (learned, in every norm), `norm_eps` (0: torch's own), `qkv_bias`, `tied` (the head is the embedding),
    `output_offset` (−1: row i − 1 speaks of position i).

    `layer` is the kind of the layers. `positions` turn queries and keys, or are learned vectors beside the tokens: the
    first is row `first_position` of their table, and there is none beyond `context`. Of `types` vectors (0: none) the
    first is added too. `stretch` slows what turns, for texts longer than a network was first trained on.
    `embedding_norm` normalizes the embedding, which a first layer with a norm before attention does not repeat. All
    layers but every `global_every`-th, counted from the first, see `local_window` positions to either side (0: all)
    and turn by `local_base`. The head may begin with a layer (`head_transform`) and have a `head_bias`.
    """

    rows: int
    width: int = 256
    depth: int = 6
    heads: int = 4
    kv_heads: int = 0
    hidden: int = 0
    context: int = 128
    norm: NormKind = "layernorm"
    activation: Activation = "gelu"
    qk_norm: bool = True
    rope_base: float = 10_000.0
    causal: bool = False
    time_conditioning: bool = False
    editable_input: bool = False
    block_length: int | None = None
    dropout: float = 0.0
    latent: int = 0
    feedback: bool = False
    noise_curve: NoiseCurve = "none"
    output: Output = "logits"
    head_dim: int = 0
    scales: bool = False
    norm_eps: float = 0.0
    qkv_bias: bool = False
    tied: bool = False
    output_offset: int = 0
    feed_forward: FeedForward = field(default_factory=Dense)
    dense_layers: int = 0
    rotary_dim: int = 0
    stretch: Stretch = field(default_factory=Unstretched)
    layer: LayerKind = field(default_factory=PreNorm)
    positions: Positions = "rotary"
    first_position: int = 0
    types: int = 0
    embedding_norm: bool = False
    local_window: int = 0
    local_base: float = 10_000.0
    global_every: int = 1
    head_transform: bool = False
    head_bias: bool = False

    def __post_init__(self) -> None:
        for name in ("rope_base", "local_base"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"model: {name} must be a positive number, not {getattr(self, name)}")
        if not 0 <= self.norm_eps < float("inf"):
            raise UserError(f"model: norm_eps must be 0 or more, not {self.norm_eps}")
        if self.block_length is not None and (self.block_length < 1 or self.causal):
            raise UserError("model: block_length must be at least 1, and excludes causal (1 is autoregressive)")
        if not 0 <= self.dropout < 1:
            raise UserError(f"model: dropout must lie in [0, 1), not {self.dropout}")
        if self.latent < 0 or (self.feedback and not self.latent):
            raise UserError("model: latent must not be negative, and feedback needs a latent size")
        if self.latent and (self.tied or self.causal or self.block_length is not None):
            raise UserError("model: a latent size excludes tied, causal and block_length")
        if self.output == "embedding" and not self.latent:
            raise UserError('model: output="embedding" needs a latent size: set model.latent=16')
        if self.output_offset not in (0, -1):
            raise UserError(f"model: output_offset must be 0 or -1, not {self.output_offset}")
        for name in ("rows", "width", "depth", "heads", "context", "global_every"):
            if getattr(self, name) < 1:
                raise UserError(f"model: {name} must be at least 1, not {getattr(self, name)}")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise UserError(f"model: {name} must be at most {most}, not {getattr(self, name)}")
        for name in ("first_position", "types", "local_window"):
            if getattr(self, name) < 0:
                raise UserError(f"model: {name} must not be negative, not {getattr(self, name)}")
        if self.layer.biases and self.norm != "layernorm":
            raise UserError("model: this kind of layer has norms with a bias, which are of the kind layernorm")
        if self.time_conditioning and self.condition is None:
            raise UserError("model: this kind of layer reads no noise level: leave out time_conditioning, or the layer")
        if self.head_dim % 2 or self.head_dim < 0:
            raise UserError(f"model: head_dim must be even, not {self.head_dim}")
        if self.dense_layers < 0:
            raise UserError(f"model: dense_layers must not be negative, not {self.dense_layers}")
        if self.hidden < 0:
            raise UserError(f"model: hidden must not be negative, not {self.hidden}")
        if not self.head_dim and (self.width % self.heads or (self.width // self.heads) % 2):
            good = [h for h in range(1, self.width // 2 + 1) if self.width % (2 * h) == 0]
            raise UserError(
                f"model: {self.heads} heads do not split a width of {self.width} into heads of even size; "
                f"use heads={min(good, key=lambda h: abs(h - self.heads), default=1)}, or another even width"
            )
        if self.kv_heads < 0 or self.heads % self.groups:
            raise UserError(
                f"model: {self.heads} heads cannot share {self.kv_heads} key heads; kv_heads must divide heads"
            )
        if self.rotary_dim % 2 or not 0 <= self.rotary_dim <= self.head_width:
            raise UserError(
                f"model: rotary_dim must be even and at most the {self.head_width} of a head, not {self.rotary_dim}"
            )
        for name, known in (
            ("norm", ("layernorm", "rmsnorm")),
            ("activation", get_args(Activation)),
            ("positions", get_args(Positions)),
            ("noise_curve", ("none", *CURVES)),
            ("output", ("logits", "embedding")),
        ):
            if getattr(self, name) not in known:
                raise UserError(f"model: {name} {getattr(self, name)!r} is none of {', '.join(known)}")

    @property
    def groups(self) -> int:
        """G, the number of key and value heads."""
        return self.kv_heads or self.heads

    @property
    def head_width(self) -> int:
        """d, the size of a head."""
        return self.head_dim or self.width // self.heads

    @property
    def qkv_heights(self) -> tuple[int, int, int]:
        """Rows of queries, keys and values in the one matrix that makes them."""
        return self.heads * self.head_width, self.groups * self.head_width, self.groups * self.head_width

    @property
    def hidden_width(self) -> int:
        """Rows of the feed-forward layer."""
        if self.hidden:
            return self.hidden
        return 32 * round(self.width * 8 / 3 / 32) if self.activation in GATED else 4 * self.width

    def is_local(self, layer: int) -> bool:
        """Whether a layer sees the positions nearby alone."""
        return self.local_window > 0 and layer % self.global_every != 0

    @property
    def condition(self) -> int | None:
        """The size of the vector that the noise level becomes; None where it is not read."""
        return self.layer.condition(self.width, self.time_conditioning)


@dataclass(frozen=True, eq=False)
class Beside:
    """What the layers read beside the rows: the noise level, views of layers that see everything and of local ones."""

    condition: Float[Tensor, "B L C"] | None
    views: Mapping[bool, View]
    tags: Tags
    kv: Keys | None

    def on(self, device: torch.device) -> "Beside":
        """The same on a device; keys and values are where they are."""
        views = {
            local: (None if angles is None else angles.on(device), None if bias is None else bias.to(device))
            for local, (angles, bias) in self.views.items()
        }
        condition = None if self.condition is None else self.condition.to(device)
        if self.kv is None:
            return Beside(condition, views, self.tags, None)
        return Beside(condition, views, self.tags.on(device), self.kv.on(device))


class Transformer(Network):
    """A `Denoiser`. Parameters are float32 after construction; `.to(dtype)` casts them and what is computed."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width, condition = config.width, config.condition
        self.embedding = nn.Embedding(config.rows, config.latent or width)
        self.latent = nn.Linear(config.latent * (1 + config.feedback), width) if config.latent else None
        self.gamma = None if config.noise_curve == "none" else CURVES[config.noise_curve]()
        self.editable = nn.Embedding(2, width) if config.editable_input else None
        learned = config.first_position + config.context if config.positions == "learned" else 0
        self.position = nn.Embedding(learned, width) if learned else None
        self.token_type = nn.Embedding(config.types, width) if config.types else None
        self.embedding_norm = self._norm(width) if config.embedding_norm else None
        self.noise = None if condition is None else config.layer.embedding(condition)
        self.blocks = nn.ModuleList(self._block(layer) for layer in range(config.depth))
        self.norm = self._norm(width) if config.layer.ends_normed else None
        self.last = config.layer.last(width, condition)
        self.transform = HeadTransform(width, self._norm(width), config.layer.biases) if config.head_transform else None
        given = config.latent if config.output == "embedding" else config.rows
        self.unembedding = None if config.tied else nn.Linear(width, given, bias=False)
        self.head_bias = nn.Parameter(torch.zeros(given)) if config.head_bias else None
        self.devices: tuple[torch.device, ...] = ()
        self._initialize()

    def _norm(self, size: int) -> Norm:
        c = self.config
        return Norm(size, c.norm, scales=c.scales, eps=c.norm_eps, bias=c.layer.biases)

    def _block(self, layer: int) -> Layer:
        c = self.config
        q_norm: Norm | None = None
        k_norm: Norm | None = None
        if c.qk_norm:
            q_norm = k_norm = Norm(c.head_width, "layernorm")
            if c.scales:
                q_norm, k_norm = self._norm(c.head_width), self._norm(c.head_width)
        biases = {"bias": c.qkv_bias, "out_bias": c.layer.biases}
        attention = Attention(c.width, c.heads, c.groups, c.head_width, **biases, q_norm=q_norm, k_norm=k_norm)
        kind = Dense() if layer < c.dense_layers else c.feed_forward
        feed_forward = kind.build(c.width, c.hidden_width, c.activation)
        normed = c.embedding_norm and layer == 0 and c.layer.ends_normed
        first, second = (None if normed else self._norm(c.width)), self._norm(c.width)
        around = (c.layer.around(c.width, norm, c.condition) for norm in (first, second))
        return Layer(attention, feed_forward, *around)

    def _initialize(self) -> None:
        """Inner matrices have variance 1/fan-in; outputs of branches and the head are zero: all tokens start alike."""
        nn.init.normal_(self.embedding.weight, std=1.0)
        if self.latent is not None:
            nn.init.normal_(self.latent.weight, std=self.config.latent**-0.5)
            nn.init.zeros_(self.latent.bias)
        if self.unembedding is not None:
            nn.init.zeros_(self.unembedding.weight)
        if self.editable is not None:
            nn.init.zeros_(self.editable.weight)
        for beside in (self.position, self.token_type):
            if beside is not None:
                nn.init.zeros_(beside.weight)
        for block in self.blocks:
            nn.init.normal_(block.attention.qkv.weight, std=self.config.width**-0.5)
            nn.init.zeros_(block.attention.out.weight)
            block.feed_forward.initialize(self.config.width**-0.5)

    @cached_property
    def traits(self) -> Traits:
        c = self.config
        inputs: tuple[tuple[Input, bool], ...] = (
            ("level", c.time_conditioning),
            ("editable", c.editable_input),
            ("feedback", c.feedback),
            ("given", True),
        )
        rule: Rule = rules.causal if c.causal else rules.full
        return Traits(
            c.rows,
            c.context,
            rule if c.block_length is None else rules.block_diffusion,
            c.block_length,
            c.output_offset,
            reads_previous=c.causal and not c.output_offset,
            takes=frozenset(name for name, taken in inputs if taken),
            row_level=c.block_length is None,
            gives=c.output,
            keeps=frozenset({"keys", "features"} if self._adds else {"keys"}),
            accepts=frozenset({"level"} if c.condition is not None else ()),
            bounded=c.positions == "learned",
        )

    @property
    def _adds(self) -> bool:
        """Whether what a layer added in an earlier pass can stand for what it would add now."""
        c = self.config
        return c.layer.adds and not self.devices and not any(map(c.is_local, range(c.depth)))

    def layer_of(self, parameter: str) -> int | None:
        first, _, rest = parameter.partition(".")
        return int(rest.partition(".")[0]) if first == "blocks" else None

    def spread(self, devices: Sequence[torch.device]) -> None:
        self.devices = tuple(devices)
        self.__dict__.pop("traits", None)  # they say what can be kept, and may have been asked for

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    @property
    def number_format(self) -> torch.dtype:
        return self.embedding.weight.dtype

    @property
    def tables(self) -> dict[str, Any]:
        vectors: dict[str, Any] = {"vectors": self.embedding.weight} if self.latent is not None else {}
        return vectors if self.gamma is None else vectors | {"gamma": self.gamma}

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """Hidden matrices, each with the heights of the maps stacked in it: what Muon orthogonalizes one by one."""
        return [pair for block in self.blocks for pair in block.matrices]

    @property
    def narrowable(self) -> frozenset[str]:
        """The matrices of the layers, the table and the head.

        Routers of experts stay as they are, and so do vectors that noise is added to.
        """
        matrices = {id(matrix) for matrix, _ in self.matrices}
        if self.latent is None:
            matrices |= {id(module.weight) for module in (self.embedding, self.unembedding) if module is not None}
        return frozenset(name for name, parameter in self.named_parameters() if id(parameter) in matrices)

    def memory(self, requests: int, slots: int, shadows: bool = False) -> KV:
        c = self.config
        devices = self.devices or (self.device,) * c.depth
        layers = [(device, len(list(same))) for device, same in groupby(devices)]
        return KV.empty(layers, requests, c.groups, slots, c.head_width, self.embedding.weight, shadows)

    def features(self, requests: int, slots: int) -> Features:
        c = self.config
        return Features.empty(c.depth, requests, c.groups, slots, c.head_width, self.embedding.weight)

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        """Hidden states of the given rows, normalized for the head.

        With `kv` the rows are written to their slots and see what the rule allows of `kv.tags`: every filled slot and
        the rows themselves. With `Features` the rows are all rows.
        """
        tags = rows.tags
        x = self._embedded(rows)
        if rows.given is not None:
            x = torch.where(rows.given.mask[..., None], rows.given.vectors.to(x.dtype), x)
        if self.editable is not None:
            x = x + self.editable(_given(rows.editable, "editable").long())
        x = self._placed(x, tags)
        condition = None if self.noise is None else self.noise(self._level(rows))
        views = self._views(tags, tags if kv is None else kv.tags(tags), x.dtype)
        if isinstance(kv, Features):
            every = torch.ones_like(tags.position, dtype=torch.bool)
            live = every if tags.live is None else tags.live
            angles, bias = views[False]
            assert angles is not None
            # under full attention every query sees the same keys
            return self._ended(kv.run(list(self.blocks), x, angles, live, None if bias is None else bias[:, :, :1]))
        drop = Dropout(self.config.dropout, rows.dropout)
        x, beside = drop(x), Beside(condition, views, tags, kv)
        there = beside
        for layer, block in enumerate(self.blocks):
            if self.devices and self.devices[layer] != x.device:
                x, there = x.to(self.devices[layer]), beside.on(self.devices[layer])
            view = there.views[self.config.is_local(layer)]
            x = block(x, there.condition, *view, there.tags, there.kv, layer, drop)
        if kv is not None:
            kv.mark(tags)
        return self._ended(x.to(self.device) if self.devices else x, condition)

    def _placed(self, x: Float[Tensor, "B L D"], tags: Tags) -> Float[Tensor, "B L D"]:
        """With what stands beside a token: its learned position, its type."""
        if self.position is not None:
            x = x + self.position(tags.position + self.config.first_position)
        if self.token_type is not None:
            x = x + self.token_type.weight[0]
        return x if self.embedding_norm is None else self.embedding_norm(x)

    def _level(self, rows: Rows) -> Float[Tensor, "B L"]:
        """The noise level of each row; none of a network that is not told it and could be."""
        if self.config.time_conditioning or rows.level is not None:
            return _given(rows.level, "level")
        return torch.zeros_like(rows.tags.position, dtype=torch.float64)

    def _views(self, queries: Tags, keys: Tags, dtype: torch.dtype) -> dict[bool, View]:
        """How rows are turned and what they see: of the layers that see everything, and of the local ones."""
        c, rule = self.config, self.traits.rule(queries, keys)
        turned = c.positions == "rotary"

        def view(base: float, seen: Tensor | None, stretch: Stretch) -> View:
            size = c.rotary_dim or c.head_width
            angles = Angles.at(queries.position, size, base, dtype, stretch) if turned else None
            return angles, bias_of(seen, dtype)

        views = {False: view(c.rope_base, rule, c.stretch)}
        if any(map(c.is_local, range(c.depth))):
            views[True] = view(c.local_base, rules.nearby(queries, keys, c.local_window, rule), Unstretched())
        return views

    def _ended(
        self, x: Float[Tensor, "B L D"], condition: Float[Tensor, "B L C"] | None = None
    ) -> Float[Tensor, "B L D"]:
        """What the head reads."""
        x = x if self.norm is None else self.norm(x)
        return x if self.last is None else self.last(x, condition)

    def _embedded(self, rows: Rows) -> Float[Tensor, "B L D"]:
        state = rows.state
        if self.latent is not None:
            latent = _given(state.latent, "state.latent").to(self.latent.weight.dtype)
            if self.config.feedback:
                feedback = torch.zeros_like(latent) if rows.feedback is None else rows.feedback.to(latent.dtype)
                latent = torch.cat((latent, feedback), dim=-1)
            return self.latent(latent)
        if state.soft is not None:
            ids, weights = state.soft
            return (self.embedding(ids) * weights[..., None].to(self.embedding.weight.dtype)).sum(-2)
        return self.embedding(state.ids)

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        """Logits over the V rows; the clean embedding of d numbers where `output` says so."""
        if self.transform is not None:
            hidden = self.transform(hidden)
        if self.unembedding is None:
            return nn.functional.linear(hidden, self.embedding.weight, self.head_bias)
        logits = self.unembedding(hidden)
        return logits if self.head_bias is None else logits + self.head_bias


def _given(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise TypeError(f"this network reads Rows.{name}, which was not given")
    return value
