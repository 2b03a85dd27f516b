"""A model of a world small enough to write down: its tokens are the letters a, b, c, its texts all of one length."""

from functools import cached_property

from undiffuse.exact.catalog import golden
from undiffuse.exact.denoiser import bayes_predictor
from undiffuse.exact.world import World
from undiffuse.language_model import LanguageModel
from undiffuse.text.codec import Codec, Kind
from undiffuse.vocabulary import Vocabulary


class Letters(Codec):
    """One token per letter."""

    kind: Kind = "byte"

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def vocabulary(self) -> Vocabulary:
        return self.world.vocabulary

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        letters = {row: bytes([97 + v]) for v, row in enumerate(self.world.rows[:-1].tolist())}
        return tuple(letters.get(row, b"") for row in range(self.vocabulary.rows))

    def encode(self, text: str) -> list[int]:
        return [int(self.world.rows[ord(letter) - 97]) for letter in text]


def exact_model(world: World, noise: str = "mask") -> LanguageModel:
    return LanguageModel(bayes_predictor(world, golden(world)[noise]), Letters(world), {})


def laws(world: World) -> dict[str, float]:
    """Every text and its probability."""
    texts = ("".join(chr(97 + v) for v in text) for text in world.texts.tolist())
    return dict(zip(texts, world.law.tolist(), strict=True))
