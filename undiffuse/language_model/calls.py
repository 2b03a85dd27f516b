"""The verbs as calls that nobody has run yet: arguments checked, defaults chosen; `run` or an engine does the rest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..decode.demand import Verb
from ..decode.evaluation import Evaluated
from ..decode.strategies.strategy import Strategy
from ..text.schema import object_segments
from ..text.template import Message, checked
from .arguments import flag, many, real, whole
from .chat import answer_in, chat, conversations_of, fill_answer
from .check import check
from .defaults import answering, filling, generating
from .edit import edit
from .embed import embed
from .fill import fill, fill_object
from .findings import Check
from .generate import generate
from .many import listed
from .results import Answer, Filled, FilledObject, Generated, Score
from .score import score
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

    def edit(
        self,
        text: str,
        spans: Sequence[tuple[int, int]],
        *,
        strength: float = 1.0,
        strategy: Kind = None,
        samples: int = 1,
        temperature: float | None = None,
        **options: Any,
    ) -> Verb[list[Filled]]:
        (text,) = listed([text])
        settings = self._filling(strategy, temperature, samples, options)
        return edit(self.model, text, spans, real("strength", strength), settings)

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

    def embed(self, texts: str | Iterable[str], layer: int = -1) -> Evaluated[Float[Tensor, "N D"]]:
        return embed(self.model, listed(texts), layer)

    def score(
        self,
        texts: str | Iterable[str],
        *,
        prompts: str | Iterable[str | None] | None = None,
        draws: int | None = None,
        precision: float | None = None,
        per_token: bool = False,
        seed: int = 0,
        as_: str | None = None,
    ) -> Evaluated[Score]:
        each = listed(texts)
        before: list[str | None] = (
            [prompts]
            if isinstance(prompts, str)
            else list([None] * len(each) if prompts is None else many("prompts", prompts))
        )
        return score(self.model, each, before, draws, precision, flag("per_token", per_token), seed, as_)

    def check(
        self,
        texts: str | Iterable[str],
        *,
        top: int | None = None,
        proposals: int = 3,
        threshold: float = 8.0,
        candidates: int | None = None,
        right: int | None = None,
    ) -> Evaluated[list[Check]]:
        return check(self.model, listed(texts), top, proposals, threshold, candidates, right)

    def _filling(self, strategy: Kind, temperature: float | None, samples: int, options: Mapping[str, Any]) -> Settings:
        kind, heat = filling(self.model.predictor, strategy, temperature, whole("samples", samples))
        return Settings.of(kind, temperature=heat, samples=samples, **options)
