"""undiffuse: train, fill, generate, score and verify diffusion language models.

    import undiffuse as ud

    model = ud.load("runs/mytext")
    model.fill("To be, or ____, that is the question.")

Names are loaded on first use, so `import undiffuse` costs nothing and does not import torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cli.animation import animation
    from .cli.bar import TrainingBar
    from .cli.watch import Watch
    from .decode.event import Event
    from .errors import UserError
    from .language_model import LanguageModel, convert, inspect, list_models, load
    from .training.finetune import finetune
    from .training.run import resume, train

__all__ = [
    "Event",
    "LanguageModel",
    "TrainingBar",
    "UserError",
    "Watch",
    "animation",
    "convert",
    "finetune",
    "inspect",
    "list_models",
    "load",
    "resume",
    "train",
]

_HOME = {
    "Event": ".decode.event",
    "TrainingBar": ".cli.bar",
    "animation": ".cli.animation",
    "Watch": ".cli.watch",
    "LanguageModel": ".language_model",
    "UserError": ".errors",
    "convert": ".language_model",
    "finetune": ".training.finetune",
    "inspect": ".language_model",
    "list_models": ".language_model",
    "load": ".language_model",
    "resume": ".training.run",
    "train": ".training.run",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("undiffuse")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name], __name__), name)
    raise AttributeError(f"module 'undiffuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
