"""A text and settings with which a whole run takes less than a second."""

import random
from pathlib import Path

STEPS = 24
SETTINGS = (
    "tokenizer.size=280",
    "model.width=16",
    "model.depth=1",
    "model.context=16",
    "training.rows=4",
    "training.windows=4",
    "training.draws=4",
    "training.validations=2",
)


def write_text(path: Path) -> Path:
    """Lines of words from a small made-up language."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(1, 6))) for _ in range(60)]
    path.write_text("\n".join(" ".join(draw.choices(words, k=9)) for _ in range(120)))
    return path


def later(*overrides: str) -> tuple[str, ...]:
    """The last value of every key: what the library itself refuses to choose."""
    return tuple({override.partition("=")[0]: override for override in overrides}.values())
