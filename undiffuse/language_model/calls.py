"""The verbs as calls that nobody has run yet: arguments checked, defaults chosen; `run` or an engine does the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..decode.demand import Verb
from ..decode.strategies.strategy import Strategy
from ..text.schema import object_segments
from ..text.template import Message, checked
from .arguments import whole
from .chat import answer_in, chat, conversations_of, fill_answer
from .defaults import answering, filling, generating
from .fill import fill, fill_object
from .generate import generate
from .many import listed
from .results import Answer, Filled, FilledObject, Generated
from .settings import Settings
from .trained import Trained
from .until import Until

Kind = str | Strategy | None


@dataclass(frozen=True, eq=False)
class Calls:
    """What `LanguageModel` offers, as coroutines (`decode/demand.py`), with the arguments and errors of its methods."""

    model: Trained

    def fill(
        self,
        texts: str | Sequence[str],
        *,
        strategy: Kind = None,
        top: int = 3,
        samples: int = 1,
        temperature: float | None = None,
        **options: Any,
    ) -> Verb[list[list[Filled]]]:
        return fill(self.model, listed(texts), self._filling(strategy, temperature, samples, options), top)

    def fill_object(
        self,
        prompt: str,
        schema: Mapping[str, Any],
        *,
        strategy: Kind = None,
        top: int = 1,
        samples: int = 1,
        temperature: float | None = None,
        **options: Any,
    ) -> Verb[list[FilledObject]]:
        return fill_object(self.model, prompt, schema, self._filling(strategy, temperature, samples, options), top)

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        length: int | None = None,
        until: str | list[str] | tuple[str, ...] = (),
        strategy: Kind = None,
        temperature: float | None = None,
        **options: Any,
    ) -> Verb[list[list[Generated]]]:
        own = {name: options.pop(name) for name in ("seed", "samples", "steps") if name in options}
        kind, chosen = generating(self.model, strategy, {"temperature": temperature, **options})
        return generate(self.model, listed(prompts), length, Settings.of(kind, **own, **chosen), Until.of(until))

    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        *,
        length: int | None = None,
        strategy: Kind = None,
        temperature: float | None = None,
        seed: int = 0,
        system: str | None = None,
        **options: Any,
    ) -> Verb[list[Answer]]:
        conversations, _ = conversations_of(messages, system)
        kind, chosen = answering(self.model, strategy, {"temperature": temperature, **options})
        return chat(self.model, conversations, length, Settings.of(kind, seed=seed, **chosen))

    def fill_answer(
        self,
        messages: Sequence[Message],
        number: int,
        *,
        strategy: Kind = None,
        top: int = 1,
        temperature: float | None = None,
        **options: Any,
    ) -> Verb[tuple[str, Filled]]:
        settings = self._filling(strategy, temperature, 1, options)
        return fill_answer(self.model, messages, whole("number", number, 0), settings, whole("top", top))

    def answer_object(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
        *,
        strategy: Kind = None,
        temperature: float | None = None,
        **options: Any,
    ) -> Verb[tuple[str, Filled]]:
        """The next message as an object of a JSON schema (`fill_object`): its text, and how its fields were filled."""
        settings = self._filling(strategy, temperature, 1, options)
        answered = [*checked(messages), {"role": "assistant", "content": ""}]
        return answer_in(self.model, answered, len(answered) - 1, object_segments(schema), settings, top=1)

    def _filling(self, strategy: Kind, temperature: float | None, samples: int, options: Mapping[str, Any]) -> Settings:
        kind, heat = filling(self.model.predictor, strategy, temperature, whole("samples", samples))
        return Settings.of(kind, temperature=heat, samples=samples, **options)
