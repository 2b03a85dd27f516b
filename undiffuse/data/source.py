"""Where the batches of a training run come from."""

from typing import Protocol

from ..types import Batch


class Source(Protocol):
    """A packed text (`data.packing.Dataset`), a stream, or texts that are made while training.

    A batch is a function of the step, and of the weights where a network writes it: then a resumed run sees it again.
    """

    @property
    def length(self) -> int:
        """Tokens in a row."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens to learn in some part of the text, for example in an epoch."""
        ...

    @property
    def bytes(self) -> int:
        """Bytes of that part: with `tokens` it turns nats per token into bits per byte."""
        ...

    def batch(self, step: int, rows: int) -> Batch:
        """The global batch of a step, counted from 0."""
        ...
