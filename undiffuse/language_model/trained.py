"""A trained network with what it takes to use it on text: what every verb is a function of."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ..decode.length import RECORD, TEXT, Reading
from ..errors import UserError
from ..kinds import CHECKPOINT_FAMILIES
from ..models.family import CAUSAL, CheckpointFamily, Decoding
from ..models.transformer import Transformer
from ..predictor import Predictor
from ..text.codec import Codec
from ..text.surroundings import NONE, Surroundings
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

    @property
    def around(self) -> Surroundings:
        """What stands around every text on both sides, of networks that see both; after a record its end, repeated."""
        if not self.predictor.traits.both_sides:
            return NONE
        known, eos = self.tokenizer.surroundings, self.tokenizer.vocabulary.eos
        closing = () if eos is None else (eos,) * self.manifest.get("closing", 0)
        return replace(known, after=(*known.after, *closing))

    @property
    def reading(self) -> Reading:
        """What says how long a hole is."""
        return RECORD if self.manifest.get("closing") else TEXT

    @property
    def room(self) -> int:
        """Positions that a text can have, beside what stands around it."""
        return max(self.context - self.around.size, 1)

    @property
    def canvas(self) -> int | None:
        """Tokens on which an answer was learned, the rest of them end of text; None where that was not said."""
        return self.manifest.get("answer")

    @property
    def begins(self) -> list[int]:
        """What stands before every text: the start symbol, if there is one, of what is read from the left."""
        traits = self.predictor.traits
        start = self.tokenizer.start if traits.first_given or traits.floating else None
        return [] if start is None else [start]

    def trunk(self, what: str) -> Transformer:
        """The network, of what is done with networks of our own alone (`what`, a participle). UserError for others."""
        network = self.predictor.denoiser
        if not isinstance(network, Transformer):
            raise UserError(f"the network of {self.name} is computed by another package, and cannot be {what} here")
        return network

    @property
    def decoding(self) -> Decoding | None:
        """How the authors of a public checkpoint decode, as its directory says; None if it attends otherwise here."""
        if "layout" not in self.manifest:
            return None
        family: CheckpointFamily = CHECKPOINT_FAMILIES.load(self.manifest["layout"])()
        known = family.decoded(self.name)
        traits = self.predictor.traits
        if known is None or traits.one_sided != (known.strategy == CAUSAL.strategy):
            return None
        if known.block_length and traits.block_length and traits.block_length % known.block_length:
            known = replace(known, block_length=None)  # the windows are for blocks of another length
        return replace(known, options={**known.options, **self.manifest.get("sampling", {})})

    @cached_property
    def device(self) -> torch.device:
        return self.predictor.denoiser.device

    @cached_property
    def voice(self) -> Voice:
        """How it takes part in a conversation. UserError where it has no chat template."""
        return Voice.of(self.tokenizer, self.manifest)

    @cached_property
    def speaking(self) -> "Trained":
        """The same, able to write what ends its answers, also where no other text holds that ([SEP])."""
        vocabulary = self.predictor.process.vocabulary
        ends = vocabulary.reserved & set(self.voice.stops)
        if not ends:
            return self
        process: Any = self.predictor.process  # a dataclass of some kind
        process = replace(process, vocabulary=replace(vocabulary, reserved=vocabulary.reserved - ends))
        return replace(self, predictor=Predictor(self.predictor.denoiser, process, self.predictor.head))
