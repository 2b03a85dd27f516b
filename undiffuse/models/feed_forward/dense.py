"""The same two matrices for every row."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from .feed_forward import Activation, FeedForward, RowLayer, activated, gates


@dataclass(frozen=True)
class Dense(FeedForward):
    """Two matrices around a nonlinearity; swiglu's first one has twice the rows, for the gate."""

    def build(self, width: int, hidden: int, activation: Activation) -> RowLayer:
        return DenseLayer(width, hidden, activation)


class DenseLayer(RowLayer):
    """down(f(up(x)))."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(width, gates(activation) * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        up, down = self.up.weight, self.down.weight
        return [(up, (down.shape[1],) * gates(self.activation)), (down, (down.shape[0],))]

    def initialize(self, std: float) -> None:
        nn.init.normal_(self.up.weight, std=std)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        return self.down(activated(self.up(x), self.activation))
