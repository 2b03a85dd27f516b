"""The one trunk: a pre-norm transformer with rotary positions, bidirectional or causal by its rule."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import UserError
from ..types import Rows, Rule
from . import rules
from .attention import Attention, bias_of
from .base import Denoiser
from .conditioning import NoiseEmbedding
from .curves import CURVES, NoiseCurve
from .features import Features
from .feed_forward.dense import Dense
from .feed_forward.feed_forward import Activation, FeedForward
from .kv import KV
from .layer import Dropout, Layer, Norm, NormKind
from .rotary import Angles
from .traits import Input, Output, Traits


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

    def __post_init__(self) -> None:
        if not 0 < self.rope_base < float("inf"):
            raise UserError(f"model: rope_base must be a positive number, not {self.rope_base}")
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
        for name in ("rows", "width", "depth", "heads", "context"):
            if getattr(self, name) < 1:
                raise UserError(f"model: {name} must be at least 1, not {getattr(self, name)}")
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
            ("activation", ("gelu", "relu2", "swiglu")),
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
        return 32 * round(self.width * 8 / 3 / 32) if self.activation == "swiglu" else 4 * self.width


class Transformer(nn.Module, Denoiser):
    """A `Denoiser`. Parameters are float32 after construction; `.to(dtype)` casts them and what is computed."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        condition = width if config.time_conditioning else None
        self.embedding = nn.Embedding(config.rows, config.latent or width)
        self.latent = nn.Linear(config.latent * (1 + config.feedback), width) if config.latent else None
        self.gamma = None if config.noise_curve == "none" else CURVES[config.noise_curve]()
        self.editable = nn.Embedding(2, width) if config.editable_input else None
        self.noise = NoiseEmbedding(width) if config.time_conditioning else None
        self.blocks = nn.ModuleList(self._block(layer, condition) for layer in range(config.depth))
        self.norm = self._norm(width)
        given = config.latent if config.output == "embedding" else config.rows
        self.unembedding = None if config.tied else nn.Linear(width, given, bias=False)
        self._initialize()

    def _norm(self, size: int) -> Norm:
        return Norm(size, self.config.norm, scales=self.config.scales, eps=self.config.norm_eps)

    def _block(self, layer: int, condition: int | None) -> Layer:
        c = self.config
        q_norm: Norm | None = None
        k_norm: Norm | None = None
        if c.qk_norm:
            q_norm = k_norm = Norm(c.head_width, "layernorm")
            if c.scales:
                q_norm, k_norm = self._norm(c.head_width), self._norm(c.head_width)
        attention = Attention(c.width, c.heads, c.groups, c.head_width, bias=c.qkv_bias, q_norm=q_norm, k_norm=k_norm)
        kind = Dense() if layer < c.dense_layers else c.feed_forward
        feed_forward = kind.build(c.width, c.hidden_width, c.activation)
        return Layer(attention, feed_forward, c.width, (self._norm(c.width), self._norm(c.width)), condition)

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
            keeps=frozenset({"keys", "features"}),
        )

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

    def memory(self, requests: int, slots: int, shadows: bool = False) -> KV:
        c = self.config
        return KV.empty(c.depth, requests, c.groups, slots, c.head_width, self.embedding.weight, shadows)

    def features(self, requests: int, slots: int) -> Features:
        c = self.config
        return Features.empty(c.depth, requests, c.groups, slots, c.head_width, self.embedding.weight)

    def trunk(self, rows: Rows, kv: KV | Features | None = None) -> Float[Tensor, "B L D"]:
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
        condition = None if self.noise is None else self.noise(_given(rows.level, "level"))
        turned = self.config.rotary_dim or self.config.head_width
        angles = Angles.at(tags.position, turned, self.config.rope_base, x.dtype)
        bias = bias_of(self.traits.rule(tags, tags if kv is None else kv.tags(tags)), x.dtype)
        if isinstance(kv, Features):
            every = torch.ones_like(tags.position, dtype=torch.bool)
            live = every if tags.live is None else tags.live
            # under full attention every query sees the same keys
            return self.norm(kv.run(list(self.blocks), x, angles, live, None if bias is None else bias[:, :, :1]))
        drop = Dropout(self.config.dropout, rows.dropout)
        x = drop(x)
        for layer, block in enumerate(self.blocks):
            x = block(x, condition, angles, bias, tags, kv, layer, drop)
        if kv is not None:
            kv.mark(tags)
        return self.norm(x)

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
        if self.unembedding is None:
            return nn.functional.linear(hidden, self.embedding.weight)
        return self.unembedding(hidden)


def _given(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise TypeError(f"this network reads Rows.{name}, which was not given")
    return value
