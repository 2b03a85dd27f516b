"""What the rest of the library asks of a network. A network knows nothing of noise processes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..types import Rows
from .features import Features
from .kept import Seen
from .kv import KV
from .traits import Traits


class Denoiser(ABC):
    """A network in two parts, so that the head runs only where logits are needed."""

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """What it is given, what it gives, and which row speaks of what."""

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def number_format(self) -> torch.dtype:
        """Of the weights, and of what is computed."""
        return torch.float32

    @property
    def tables(self) -> Mapping[str, Any]:
        """What a noise process learns with the network: the vectors of the tokens, and its curve."""
        return {}

    @abstractmethod
    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        """Hidden states of the given rows; with `kv`, keys and values are read from and written to its slots."""

    @abstractmethod
    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        """Logits over the V rows, or what `traits.gives` says, from hidden states of any leading shape."""

    def fed_back(self, log_p: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead d"]:
        """What tells it its own prediction (self-conditioning), of networks over tokens that take feedback."""
        raise TypeError(f"{type(self).__name__} is told nothing of its own predictions; its traits say so")

    def memory(self, requests: int, slots: int, shadows: bool = False) -> KV:
        """An empty KV for `requests` canvases of up to `slots` positions, of networks that keep keys."""
        raise TypeError(f"{type(self).__name__} keeps no keys; its traits say what it keeps")

    def features(self, requests: int, slots: int) -> Features:
        """An empty memory of features, of networks that keep them."""
        raise TypeError(f"{type(self).__name__} keeps no features; its traits say what it keeps")


class Network(nn.Module, Denoiser):
    """A denoiser with weights that files hold."""

    @property
    def narrowable(self) -> frozenset[str]:
        """Parameters that int8 makes narrow; none of a network that does not compute with such."""
        return frozenset()

    def layer_of(self, parameter: str) -> int | None:
        """The layer that a parameter is of, by its name.

        None for what stands before and after the layers, and in networks whose layers cannot be on several devices.
        """
        return None

    def spread(self, devices: Sequence[torch.device]) -> None:
        """Say on which device each layer is, where they are not all on that of the rest; a pass ends where it began."""
        raise TypeError(f"{type(self).__name__} is on one device")
