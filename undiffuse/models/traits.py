"""What a network is, in one record: whoever must know asks here, never the network's class."""

from dataclasses import dataclass
from typing import Literal

from ..types import Rule
from .rules import causal

Input = Literal["level", "editable", "feedback", "given"]
Output = Literal["logits", "embedding"]
Keeping = Literal["keys", "features"]


@dataclass(frozen=True)
class Traits:
    """`vocab_rows` V is the size of the token table and of the head, `context` the positions it was trained on.

    `rule` is the attention rule it was trained with. `block_length` is set for networks trained by block diffusion:
    positions of an attention block; None: one block is everything. `logit_row` says which row speaks of a position:
    0, its own, or −1, the one before (shifted families). `reads_previous` networks are given the token before each
    position instead of its own.

    `takes` names what it reads besides the state and positions, by the fields of `Rows`; `row_level` says that it was
    trained on rows of one noise level each. The head `gives` logits, or the clean embedding, whose rounding they are.
    `keeps` says what it can keep between passes: keys and values (`memory`), or what its layers added (`features`).
    `accepts` names inputs that it can be given; those that it does not take as well are nothing unless someone gives
    them (σ = 0 of MDLM). `bounded` networks have no position beyond `context`.

    `floating` blocks begin where a request begins to write, wherever that is, and what stands before them is read from
    the left; else they are counted from position 0. `feedback` is the size of what tells a network over tokens its own
    last prediction (0: nothing does), which `Denoiser.fed_back` makes of it; networks over vectors that take feedback
    are told the estimate of the process.
    """

    vocab_rows: int
    context: int
    rule: Rule
    block_length: int | None = None
    logit_row: int = 0
    reads_previous: bool = False
    takes: frozenset[Input] = frozenset()
    row_level: bool = False
    gives: Output = "logits"
    keeps: frozenset[Keeping] = frozenset()
    accepts: frozenset[Input] = frozenset()
    bounded: bool = False
    floating: bool = False
    feedback: int = 0

    @property
    def one_sided(self) -> bool:
        """Whether every row sees the text before it alone: the autoregressive twin, and published causal models."""
        return self.rule is causal

    @property
    def first_given(self) -> bool:
        """Whether the first token of a text is a condition: no row before it speaks of it."""
        return self.one_sided and self.logit_row < 0

    @property
    def both_sides(self) -> bool:
        """Whether every row sees the text before and after it."""
        return self.block_length is None and not self.one_sided
