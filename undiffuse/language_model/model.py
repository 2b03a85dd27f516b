"""A trained model that one can talk to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..decode.caches.cache import CachePolicy
from ..decode.demand import Verb, run
from ..decode.evaluation import at_once
from ..decode.event import Event
from ..decode.guidance.guidance import Guidance
from ..decode.loop import finished
from ..decode.strategies.strategy import Strategy
from ..errors import UserError
from ..predictor import Predictor
from ..text.codec import Codec
from ..text.template import Message, Template
from .arguments import flag, ids, path, string, whole
from .calls import Calls
from .chat import conversations_of, fitting
from .decode import Decoded, Prompts, decode
from .defaults import answering, suited
from .findings import Check
from .logits import Times, logits
from .results import Answer, Filled, FilledObject, Generated, Score
from .settings import Settings
from .storage import save
from .trained import Trained
from .voice import KEY

OnEvent = Callable[[Event], None]
Several = list[str] | tuple[str, ...]
Conversation = Sequence[Message]
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """Predictor, tokenizer and manifest. `name` says where it came from.

    The verbs are deterministic: the same seed gives the same result, whatever else is in the batch. `fill`, `generate`
    and `check` take many texts as well: a list gives the list of what each of its texts gives alone, in its order, but
    texts of about one length share a batch; an empty list gives an empty list. Errors then name the text, `on_event` is
    told of one batch after the other, and milliseconds of a deadline count for each batch. Wherever a
    `strategy` or a `cache` is named an object may be given instead (a `Strategy`, with its own temperature and options;
    a `CachePolicy`), and a `Guidance` in place of its scale.
    """

    predictor: Predictor
    tokenizer: Codec
    manifest: dict[str, Any]
    name: str = ""

    @classmethod
    def of(cls, trained: Trained) -> "LanguageModel":
        return cls(trained.predictor, trained.tokenizer, trained.manifest, trained.name)

    @cached_property
    def trained(self) -> Trained:
        """What the functions behind the verbs work on."""
        return Trained(self.predictor, self.tokenizer, self.manifest, self.name)

    @property
    def calls(self) -> Calls:
        """The verbs as coroutines, for whoever takes the steps of several together."""
        return Calls(self.trained)

    @property
    def context(self) -> int:
        """Positions the network was trained on."""
        return self.trained.context

    @property
    def device(self) -> torch.device:
        return self.trained.device

    @overload
    def fill(self, text: str, **options: Any) -> list[Filled]: ...

    @overload
    def fill(self, text: Several, **options: Any) -> list[list[Filled]]: ...

    def fill(
        self,
        text: str | Several,
        *,
        strategy: str | Strategy | None = None,
        top: int = 3,
        samples: int = 1,
        temperature: float | None = None,
        seed: int = 0,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> list[Filled] | list[list[Filled]]:
        """Fill the holes of `text` ([MASK], [MASK:5], [MASK:2-6], ____, {name:date}), `samples` times.

        Typed holes, choice(a|b), yesno, date, int(1-99) and /regex/, hold a text of their type, always. Each hole comes
        with its probability and up to `top` − 1 further answers. Further options: steps, top_p, top_k, block_length,
        cache, guidance, max_nfe, deadline_ms, confidence, threshold; where a causal model ranks fillings, `candidates`
        (64) of each hole by `right` (64) tokens of what follows, and none of the others. The temperature defaults to
        the strategy's own (0: the best tokens) for one sample, to 0.1 where noise asks for a strategy that draws, and
        to 1 for several samples. Of a text longer than the context the model sees the part around the holes. UserError
        for malformed holes, types that nothing satisfies, or holes that do not fit the context.
        """
        own: dict[str, Any] = {
            "strategy": strategy,
            "top": top,
            "samples": samples,
            "temperature": temperature,
            "seed": seed,
        }
        found = _run(self.calls.fill(text, **own, **options), on_event)
        return found[0] if isinstance(text, str) else found

    def edit(
        self,
        text: str,
        spans: Sequence[tuple[int, int]],
        *,
        strength: float = 1.0,
        strategy: str | Strategy | None = None,
        samples: int = 1,
        temperature: float | None = None,
        seed: int = 0,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> list[Filled]:
        """Write spans of a text (characters [start, end)) anew, each in as many tokens as it has, `samples` times.

        `strength` in (0, 1] says how noisy they are at the beginning: at 1 nothing of them is known, as in `fill`;
        below, masked noise hides that share of their tokens and keeps the others, and noise that shows tokens begins
        at that time. Further options are those of `fill`. UserError for spans that overlap, or lie outside the text,
        for causal models, and where noise is on vectors.
        """
        own: dict[str, Any] = {"strategy": strategy, "samples": samples, "temperature": temperature, "seed": seed}
        return _run(self.calls.edit(text, spans, strength=strength, **own, **options), on_event)

    def fill_object(
        self,
        prompt: str,
        schema: Mapping[str, Any],
        *,
        strategy: str | Strategy | None = None,
        top: int = 1,
        samples: int = 1,
        temperature: float | None = None,
        seed: int = 0,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> list[FilledObject]:
        """Objects after `prompt` that satisfy a JSON schema of flat typed fields; the rest is as in `fill`.

        UserError for a schema that says more than can be promised (`text/schema.py` lists what is read).
        """
        own: dict[str, Any] = {
            "strategy": strategy,
            "top": top,
            "samples": samples,
            "temperature": temperature,
            "seed": seed,
        }
        return _run(self.calls.fill_object(prompt, schema, **own, **options), on_event)

    @overload
    def generate(self, prompt: str = "", **options: Any) -> list[Generated]: ...

    @overload
    def generate(self, prompt: Several, **options: Any) -> list[list[Generated]]: ...

    def generate(
        self,
        prompt: str | Several = "",
        *,
        length: int | None = None,
        until: str | Several = (),
        steps: int | None = None,
        strategy: str | Strategy | None = None,
        temperature: float | None = None,
        samples: int = 1,
        seed: int = 0,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> list[Generated] | list[list[Generated]]:
        """Continue `prompt` by `length` tokens (default: up to the trained context), `samples` times.

        A public checkpoint decodes as its authors do if no strategy is named: with their options, where none are given,
        and at most their length. Of others the strategy defaults to `ancestral`, which draws from the model (`tweedie`
        where it gives ratios of probabilities), or to `confidence` at temperature 0. Beyond the context it goes on in
        blocks over a sliding window, and says so in `note`. The prompt is plain text. Further options are those of
        `fill`; the temperature defaults to 1.

        A text ends before the first of the strings of `until` in what is written, and `stopped` says which it was. One
        that is decided without a gap ends the decoding, which saves what comes after it where text is decided from left
        to right or in blocks.
        """
        own: dict[str, Any] = {
            "strategy": strategy,
            "temperature": temperature,
            "samples": samples,
            "steps": steps,
            "seed": seed,
        }
        found = _run(self.calls.generate(prompt, length=length, until=until, **own, **options), on_event)
        return found[0] if isinstance(prompt, str) else found

    @overload
    def chat(self, messages: Conversation, **options: Any) -> Answer: ...

    @overload
    def chat(self, messages: Sequence[Conversation], **options: Any) -> list[Answer]: ...

    def chat(
        self,
        messages: Conversation | Sequence[Conversation],
        *,
        length: int | None = None,
        temperature: float | None = None,
        seed: int = 0,
        strategy: str | Strategy | None = None,
        system: str | None = None,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> Answer | list[Answer]:
        """The next message of a conversation, [{"role": "user", "content": "Hello"}], of `length` tokens at most.

        Written as the model's chat template says, after a `system` message if one is given here. A list of
        conversations gives the list of what each gives alone. An answer ends at the model's own end of turn and holds
        no control token, and no text of a message can become one. Without a strategy a public checkpoint decodes as its
        authors do, others give their best text. Further options are those of `fill`. UserError for a model without a
        template (`with_template`), messages that are none, and conversations that do not fit the context.
        """
        own: dict[str, Any] = {
            "length": length,
            "strategy": strategy,
            "temperature": temperature,
            "seed": seed,
            "system": system,
        }
        found = _run(self.calls.chat(messages, **own, **options), on_event)
        return found[0] if conversations_of(messages, system)[1] else found

    def fitting(
        self,
        messages: Conversation,
        *,
        length: int | None = None,
        strategy: str | Strategy | None = None,
        temperature: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> list[Message]:
        """The conversation as `chat` can answer it: without its earliest turns, where not all fit the context.

        A system message stays. UserError where the last message does not fit, and for what `chat` refuses.
        """
        kind, chosen = answering(self.trained, strategy, {"temperature": temperature, **options})
        settings = Settings.of(kind, seed=seed, **chosen)
        return fitting(self.trained, messages, length, settings)

    def fill_answer(
        self,
        messages: Conversation,
        number: int,
        *,
        strategy: str | Strategy | None = None,
        top: int = 1,
        temperature: float | None = None,
        seed: int = 0,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> tuple[str, Filled]:
        """An answer, message `number` from 0, with its holes filled given everything before and after it.

        What becomes of it, and how its holes were filled; holes and options are those of `fill`. UserError for a model
        that sees only what stands before.
        """
        own: dict[str, Any] = {"strategy": strategy, "top": top, "temperature": temperature, "seed": seed}
        return _run(self.calls.fill_answer(messages, number, **own, **options), on_event)

    def with_template(self, source: str) -> "LanguageModel":
        """The same model with another chat template (Jinja, as Hugging Face has it), which `save` writes too.

        UserError for one that cannot be read.
        """
        Template(string("source", source))
        return replace(self, manifest={**self.manifest, KEY: {**(self.manifest.get(KEY) or {}), "template": source}})

    def embed(self, texts: str | Several, layer: int = -1) -> Float[Tensor, "N D"]:
        """One float32 vector per text: the mean over its tokens of the hidden states after `layer` layers.

        0 are the embeddings, −1 is the last layer, normalized for the head. UserError for empty texts, and for texts
        longer than the context.
        """
        return at_once(self.calls.embed(texts, layer))

    def score(
        self,
        texts: str | Sequence[str],
        *,
        prompts: str | Sequence[str | None] | None = None,
        draws: int | None = None,
        precision: float | None = None,
        per_token: bool = False,
        seed: int = 0,
        as_: str | None = None,
    ) -> Score:
        """The likelihood bound of texts; `precision` 0.01 draws until the standard error is below 1 % of the mean.

        With `prompts`, one per text, it is that of each text given its prompt, which stands right before it. With `as_`
        (sedd, duo, gidd, mdlm) it is counted as that paper's code does, which is no bound. The noise levels are spread
        evenly over all texts, so that their sum varies least; `.texts` has the share of each.
        """
        own: dict[str, Any] = {"draws": draws, "precision": precision, "per_token": per_token, "seed": seed, "as_": as_}
        return at_once(self.calls.score(texts, prompts=prompts, **own))

    @overload
    def check(
        self,
        text: str,
        *,
        top: int | None = None,
        proposals: int = 3,
        threshold: float = 8.0,
        candidates: int | None = None,
        right: int | None = None,
    ) -> Check: ...

    @overload
    def check(
        self,
        text: Several,
        *,
        top: int | None = None,
        proposals: int = 3,
        threshold: float = 8.0,
        candidates: int | None = None,
        right: int | None = None,
    ) -> list[Check]: ...

    def check(
        self,
        text: str | Several,
        *,
        top: int | None = None,
        proposals: int = 3,
        threshold: float = 8.0,
        candidates: int | None = None,
        right: int | None = None,
    ) -> Check | list[Check]:
        """Proofread: the words that their two sides make least likely, the clearest first, with what they expect.

        At most `top` words whose best proposal is more probable by `threshold` bits. Of a causal model `candidates`
        from the left are ranked at each word that is shown, by `right` tokens of what follows. UserError for an empty
        text, and for a model that was trained by block diffusion.
        """
        own: dict[str, Any] = {"top": top, "proposals": proposals, "threshold": threshold}
        found = at_once(self.calls.check(text, **own, candidates=candidates, right=right))
        return found[0] if isinstance(text, str) else found

    def stream(
        self,
        text: str | None = None,
        *,
        prompt: str = "",
        length: int | None = None,
        strategy: str | Strategy | None = None,
        temperature: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Iterator[Event]:
        """The events of one denoising, as they happen: of `text` with holes, else of a generation after `prompt`.

        Strategy and temperature default to those of `fill` or `generate`.
        """
        own: dict[str, Any] = {"strategy": strategy, "temperature": temperature, "seed": seed}
        if text is None:
            return run(self.calls.generate([string("prompt", prompt)], length=length, **own, **options))
        return run(self.calls.fill([text], top=1, **own, **options))

    def logits(
        self,
        ids: Int[Tensor, "B L"],
        valid: Bool[Tensor, "B L"] | None = None,
        *,
        t: Times | None = None,
        sigma: Times | None = None,
    ) -> Float[Tensor, "B L V"]:
        """float32 logits over all rows of the vocabulary, nothing excluded; row i speaks of position i.

        Under a public causal model nothing speaks of a first position: there stands what its own row says of the next.

        `valid` is false at padding, on either side: positions count from the first valid token, and logits at padding
        mean nothing. Networks with attention blocks see their blocks; of one whose blocks begin where it writes the
        last block is what it denoises, and logits before that mean nothing. The ids are taken as they are: no token is
        put around them.

        A network that reads the noise level is told the one at time `t`, or that of `sigma` = −ln α, which published
        code calls so; a number, or one for each row. With neither it is told the share of masks of each row, and one
        that its authors use without a level (MDLM) none. UserError for ids outside the table, and for a time where the
        network reads none.
        """
        return logits(self.trained, ids, valid, t, sigma)

    def decode(
        self,
        prompt_ids: Prompts,
        length: int,
        *,
        strategy: str | Strategy,
        block_length: int | None = None,
        steps: int | None = None,
        cache: str | CachePolicy | None = None,
        guidance: float | Guidance | None = None,
        stop_ids: Sequence[int] = (),
        banned_ids: Sequence[int] = (),
        early_stop: bool = False,
        window_length: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Decoded:
        """Continue prompts of ids, each of its own length, by `length` tokens; no tokenizer is needed.

        Under full attention `block_length` divides `length` into windows, decoded from left to right, and `steps` is
        their total (LLaDA's convention). A network with attention blocks decodes those blocks, of its own length or of
        `block_length`, counted from position 0: what follows the prompt is rounded up to whole blocks, `steps` is the
        number per block (SDAR's denoising_steps, also where the prompt has begun it), and the cache defaults to the
        exact one, `block`. `window_length` cuts each block into windows, decoded from left to right, of `steps` each
        (Fast-dLLM v2's small_block_size).

        `guidance` is the scale of guidance by the prompt, 1 for none (LLaDA's cfg_scale is one less). Decoding ends at
        a decided stop id, in attention blocks with its block, or at once with `early_stop`; `banned_ids` are never
        written. Further options are those of the strategy (`threshold`, …) and of its choice of tokens: temperature (0
        unless the strategy draws), top_k, top_p, confidence.
        UserError for lengths, steps, ids and combinations that cannot work, before anything runs.
        """
        if "samples" in options:
            raise UserError("decode continues each prompt once: leave out samples, and give a prompt several times")
        settings = Settings.of(
            strategy, steps=steps, block_length=block_length, cache=cache, guidance=guidance, seed=seed, **options
        )
        return decode(
            self.trained,
            prompt_ids,
            length,
            suited(self.predictor, settings),
            stop=ids("stop_ids", stop_ids),
            banned=ids("banned_ids", banned_ids),
            early=flag("early_stop", early_stop),
            window=None if window_length is None else whole("window_length", window_length),
        )

    def save(self, directory: str | Path, layout: str | None = None) -> None:
        """Write model.safetensors, tokenizer.json and manifest.json into a new directory, entirely or not at all.

        A public checkpoint, or any model with a `layout` (`undiffuse list families`), is written in that public layout,
        with a config.json. UserError where the layout cannot describe the network.
        """
        save(self.trained, path("directory", directory), None if layout is None else string("layout", layout))


def _run(verb: Verb[Result], on_event: OnEvent | None) -> Result:
    return finished(run(verb), on_event)
