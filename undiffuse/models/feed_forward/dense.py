"""The same two matrices for every row."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from .feed_forward import Activation, FeedForward, RowLayer, activated, gates


@dataclass(frozen=True)
class Dense(FeedForward):
    """Two matrices around a nonlinearity; a gated one's first has twice the rows. `bias` adds a vector to both."""

    bias: bool = False

    def build(self, width: int, hidden: int, activation: Activation) -> RowLayer:
        return DenseLayer(width, hidden, activation, self.bias)


class DenseLayer(RowLayer):
    """down(f(up(x)))."""

    def __init__(self, width: int, hidden: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(width, gates(activation) * hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    @property
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        up, down = self.up.weight, self.down.weight
        return [(up, (down.shape[1],) * gates(self.activation)), (down, (down.shape[0],))]

    def initialize(self, std: float) -> None:
        nn.init.normal_(self.up.weight, std=std)
        nn.init.zeros_(self.down.weight)
        for layer in (self.up, self.down):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        return self.down(activated(self.up(x), self.activation))
