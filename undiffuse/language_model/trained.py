"""A trained network with what it takes to use it on text: what every verb is a function of."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ..predictor import Predictor
from ..text.codec import Codec


@dataclass(frozen=True, eq=False)
class Trained:
    """Predictor, tokenizer and manifest. `name` says where they came from."""

    predictor: Predictor
    tokenizer: Codec
    manifest: dict[str, Any]
    name: str = ""

    @property
    def context(self) -> int:
        """Positions the network was trained on."""
        return self.predictor.denoiser.context

    @cached_property
    def device(self) -> torch.device:
        parameters = getattr(self.predictor.denoiser, "parameters", None)
        return next(parameters()).device if parameters else torch.device("cpu")
