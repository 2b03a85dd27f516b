"""The models that a server has: by name, loaded when first asked for; one that does not fit is refused then."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import UserError, did_you_mean
from ..language_model import LanguageModel
from ..language_model.named import Found


class NoModelError(UserError):
    """A request for a model that is not served."""


@dataclass(eq=False)
class Served:
    """Names and how each is loaded; the first is the default. A model that was loaded stays.

    `load` is called on the thread that asks; others that ask for the same model wait for it.
    """

    places: Mapping[str, Found | None]
    load: Callable[[Found], LanguageModel]
    _loaded: dict[str, LanguageModel] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._locks = {name: threading.Lock() for name in self.places}

    @classmethod
    def ready(cls, models: Mapping[str, LanguageModel]) -> "Served":
        """Models that are loaded already."""

        def none(place: Found) -> LanguageModel:
            raise UserError(f"{place.name} is not loaded")

        found = cls(dict.fromkeys(models), none)
        found._loaded.update(models)
        return found

    @property
    def default(self) -> str:
        return next(iter(self.places))

    @property
    def loaded(self) -> Mapping[str, LanguageModel]:
        """Those that are in memory."""
        return dict(self._loaded)

    def get(self, name: str | None) -> tuple[str, LanguageModel]:
        """A model and its name. NoModelError for one that is not served, UserError for one that cannot be loaded."""
        name = name or self.default
        if name not in self.places:
            raise NoModelError(f"there is no model {name!r}{did_you_mean(name, self.places)}")
        with self._locks[name]:
            if name not in self._loaded:
                place = self.places[name]
                assert place is not None, "what has no place is loaded"
                self._loaded[name] = self.load(place)
            return name, self._loaded[name]
