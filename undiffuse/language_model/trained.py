"""A trained network with what it takes to use it on text: what every verb is a function of."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ..predictor import Predictor
from ..text.codec import Codec
from .voice import Voice


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
        return self.predictor.traits.context

    @cached_property
    def device(self) -> torch.device:
        return self.predictor.denoiser.device

    @cached_property
    def voice(self) -> Voice:
        """How it takes part in a conversation. UserError where it has no chat template."""
        return Voice.of(self.tokenizer, self.manifest)
