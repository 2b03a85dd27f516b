"""OpenAI's endpoints: chat completions, completions, embeddings, models."""

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request

from ...errors import UserError
from ...language_model import Answer, Generated, LanguageModel
from ..following import Follower, Told
from ..job import Done
from . import calls
from .described import described
from .desk import Desk, Size
from .schema import ChatRequest, CompletionRequest, EmbedRequest, OpenAI
from .sse import events
from .telling import follower_of, named, patches_of, usage, written


def router(desk: Desk) -> APIRouter:
    """The endpoints on a desk."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.post(
        "/v1/chat/completions", summary="The next message of a conversation", **described("/v1/chat/completions")
    )
    async def chat(asked: ChatRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        return await _Chat(desk, request, name, model, asked).answer()

    @routes.post(
        "/v1/completions", summary="A continuation; with a suffix, what stands between", **described("/v1/completions")
    )
    async def completions(asked: CompletionRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        return await _Completion(desk, request, name, model, asked).answer()

    @routes.post(
        "/v1/fim/completions", summary="What stands between a prompt and a suffix", **described("/v1/fim/completions")
    )
    async def between(asked: CompletionRequest, request: Request) -> Any:
        if asked.suffix is None:
            raise UserError("suffix is missing: give the text after the gap, or ask /v1/completions")
        name, model = await desk.model(asked.model)
        return await _Completion(desk, request, name, model, asked).answer()

    @routes.post(
        "/v1/embeddings",
        summary="Texts as vectors: the mean of their last hidden states",
        **described("/v1/embeddings"),
    )
    async def embeddings(asked: EmbedRequest, request: Request) -> Any:
        if asked.encoding_format == "base64":
            raise UserError("encoding_format must be float")
        name, model = await desk.model(asked.model)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        size = Size(sum(map(len, texts)), 1, max(len(texts), 1))
        made = lambda _: model.calls.embed(list(texts), asked.layer)  # noqa: E731
        job, mailbox = desk.job(model, request.state.request_id, made, size)
        vectors = (await desk.result(request, job, mailbox)).tolist()
        tokens = sum(len(model.tokenizer.encode(text)) for text in texts)
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return {
            "object": "list",
            "data": data,
            "model": name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    @routes.get("/v1/models", summary="The models that are served", **described("/v1/models", (401,)))
    async def models() -> Any:
        return {"object": "list", "data": [_model(desk, name) for name in desk.served.places]}

    @routes.get(
        "/v1/models/{name:path}/capabilities",
        summary="What a model accepts",
        **described("/v1/models/{name}/capabilities", (401, 404)),
    )
    async def capabilities(name: str) -> Any:
        from .capabilities import capabilities_of

        return await asyncio.to_thread(capabilities_of, *await desk.model(name))

    @routes.get("/v1/models/{name:path}", summary="One of the models", **described("/v1/models/{name}", (401, 404)))
    async def model(name: str) -> Any:
        known, _ = (name, None) if name in desk.served.places else desk.served.get(name)
        return _model(desk, known)

    return routes


def _model(desk: Desk, name: str) -> dict[str, Any]:
    loaded = name in desk.served.loaded
    return {"id": name, "object": "model", "created": desk.began, "owned_by": "undiffuse", "loaded": loaded}


class _Texts(ABC):
    """What both kinds of completion share: `n` texts, each a job of its own with the seed after the one before it."""

    kind = ""
    prefix = ""

    def __init__(self, desk: Desk, request: Request, name: str, model: LanguageModel, asked: OpenAI) -> None:
        asked.refuse_penalties()
        self.desk, self.request, self.name, self.model, self.asked = desk, request, name, model, asked
        self.id = f"{self.prefix}-{uuid.uuid4().hex[:24]}"
        self.created = int(time.time())
        self.jobs: list[Any] = []

    def head(self, chunk: bool) -> dict[str, Any]:
        kind = f"{self.kind}.chunk" if chunk and self.kind == "chat.completion" else self.kind
        return {"id": self.id, "object": kind, "created": self.created, "model": self.name}

    async def answer(self) -> Any:
        """The whole answer, or the stream of it. Where one of its jobs fails, or the client leaves, all are ended."""
        try:
            return await self._answer()
        except BaseException:
            self.gone()
            raise

    @abstractmethod
    async def _answer(self) -> Any:
        """Hand in the jobs, noted in `jobs`, and wait for them."""

    def gone(self) -> None:
        """End the jobs that are still there."""
        self.desk.cancel(self.jobs)

    def asked_of(self, name: str | None, follower: Follower, seed: int) -> calls.Wanted | None:
        """The log-probabilities of one text, where any are asked for."""
        return None if name is None else calls.Wanted(name, follower.ends, seed)

    def hand_in(self, *job: Any) -> tuple[Any, Any]:
        """A job to the desk, remembered here."""
        found = self.desk.job(*job)
        self.jobs.append(found[0])
        return found


class _Chat(_Texts):
    kind, prefix = "chat.completion", "chatcmpl"
    asked: ChatRequest

    async def _answer(self) -> Any:
        asked, model = self.asked, self.model
        self._refuse()
        messages = [message.plain() for message in asked.messages]
        form = asked.response_format
        schema = form.json_schema.schema_ if form is not None and form.json_schema is not None else None
        first = asked.options()
        length, stops = asked.length, asked.stops
        if length is None:
            length = min(model.trained.decoding.length if model.trained.decoding else 256, model.context, 1024)
        size = Size(sum(len(message["content"]) for message in messages), length)
        patches = asked.diffusion.stream_mode == "patches"
        numbers = asked.numbers(model, bool(asked.logprobs))
        streams = []
        for number in range(asked.n or 1):
            options = {**first, "seed": first["seed"] + number}
            follower = follower_of(model, options, stops, patches, prefix=schema is None, chat=True)
            if schema is None:
                made = self._plain(messages, asked.length, options)
            else:
                made = calls.object_answer(model, messages, schema, options)
            name = self.request.state.request_id + (f"/{number}" if number else "")
            told = self.asked_of(numbers, follower, options["seed"])
            streams.append(
                (*self.hand_in(model, name, told.of(made) if told else made, size, follower), follower, told)
            )
        if asked.stream:
            for _, mailbox, _, _ in streams:
                await self.desk.begun(self.request, mailbox)
            return events(self._chunks(streams, schema is not None), self.gone, self.desk.bounds)
        choices, used = [], usage()
        for number, (job, mailbox, _, told) in enumerate(streams):
            found = await self.desk.result(self.request, job, mailbox)
            text, finish = self._text(found)
            choice = {"index": number, "message": {"role": "assistant", "content": text, "refusal": None}}
            choice |= {"finish_reason": finish, "logprobs": self._logprobs(told, follower)}
            choices.append(choice)
            usage(used, job, self._tokens(found))
        return {**self.head(False), "choices": choices, "usage": self._counted(used, messages)}

    def _refuse(self) -> None:
        form = self.asked.response_format
        if form is not None and form.type == "json_object":
            raise UserError(
                "response_format json_object is not supported, since without a schema no JSON could be promised: use "
                'json_schema with flat typed fields, {"type": "json_schema", "json_schema": {"name": …, "schema": …}}'
            )
        if form is not None and form.type == "json_schema" and form.json_schema is None:
            raise UserError("response_format json_schema needs json_schema: give its name and its schema")
        if self.asked.top_logprobs:
            raise UserError(
                "top_logprobs is not supported: alternatives to a token come from /v1/fill, with top; logprobs alone is"
            )
        try:
            _ = self.model.trained.voice
        except UserError as error:
            raise UserError(
                f"{self.name} has no chat template, so it was hardly trained to answer: let it continue a text, "
                "POST /v1/completions"
            ) from error

    def _plain(self, messages: list[dict[str, str]], length: int | None, options: dict[str, Any]) -> calls.Made:
        model = self.model
        return lambda seconds: model.calls.chat(messages, length=length, **calls.waited(options, seconds))

    def _text(self, found: Any) -> tuple[str, str]:
        if isinstance(found, tuple):  # an object of a schema
            return found[0], "stop"
        (answer,) = found
        text, cut = _stopped(answer.text, self.asked.stops)
        return text, "stop" if cut or answer.finished else "length"

    def _tokens(self, found: Any) -> int:
        if isinstance(found, tuple):
            return len(self.model.tokenizer.encode(found[0]))
        answer: Answer = found[0]
        return answer.tokens

    def _counted(self, used: dict[str, Any], messages: list[dict[str, str]]) -> dict[str, Any]:
        prompt = len(self.model.trained.voice.ids(messages))
        return {**used, "prompt_tokens": prompt, "total_tokens": prompt + used["completion_tokens"]}

    def _logprobs(self, asked: calls.Wanted | None, follower: Follower) -> dict[str, Any] | None:
        if asked is None:
            return None
        content = [{**each, "top_logprobs": []} for each in written(asked, follower)]
        return {"content": content, "refusal": None, **named(asked)}

    async def _chunks(self, streams: list[Any], whole: bool) -> AsyncIterator[Any]:
        used = usage()
        for number, (job, mailbox, follower, asked) in enumerate(streams):
            yield self._chunk(number, {"role": "assistant", "content": ""})
            async for told in self.desk.steps(job, mailbox):
                if isinstance(told, Done):
                    text, finish = self._text(told.result)
                    rest = follower.rest(0, text)
                    if rest:
                        yield self._chunk(number, {"content": rest})
                    last = self._chunk(number, {}, finish)
                    last["choices"][0]["logprobs"] = self._logprobs(asked, follower)
                    last["diffusion"] = {"nfe": job.work.nfe, "rows": job.work.rows}
                    yield last
                    usage(used, job, self._tokens(told.result))
                elif told.prefix.get(0) or told.patches:
                    delta = {"content": told.prefix[0]} if told.prefix.get(0) and not whole else {}
                    yield self._chunk(number, delta, told=told)
        if self.asked.with_usage:
            messages = [message.plain() for message in self.asked.messages]
            yield {**self.head(True), "choices": [], "usage": self._counted(used, messages)}

    def _chunk(
        self, number: int, delta: dict[str, Any], finish: str | None = None, told: Told | None = None
    ) -> dict[str, Any]:
        choice = {"index": number, "delta": delta, "finish_reason": finish, "logprobs": None}
        chunk = {**self.head(True), "choices": [choice]}
        if self.asked.with_usage:
            chunk["usage"] = None
        if told is not None and told.patches:
            chunk["diffusion"] = patches_of(told)
        return chunk


class _Completion(_Texts):
    kind, prefix = "text_completion", "cmpl"
    asked: CompletionRequest

    async def _answer(self) -> Any:
        asked, model = self.asked, self.model
        prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
        if asked.suffix is not None and asked.stops:
            raise UserError("stop has no meaning where a suffix ends the text: leave one of them out")
        first, length = asked.options(), asked.length if asked.length is not None else 16
        patches = asked.diffusion.stream_mode == "patches"
        numbers = asked.numbers(model, asked.logprobs is not None, ranked=bool(asked.suffix))
        streams = []
        for place, prompt in enumerate(prompts):
            for copy in range(asked.n or 1):
                options = {**first, "seed": first["seed"] + copy}
                stops = asked.stops
                follower = follower_of(model, options, stops, patches, prompt=prompt, prefix=asked.suffix is None)
                name = f"{self.request.state.request_id}/{place}/{copy}"
                size = Size(len(prompt) + len(asked.suffix or ""), min(length, 64) if asked.suffix else length)
                made = self._made(prompt, length, options, stops)
                told = self.asked_of(numbers, follower, options["seed"])
                made = told.of(made) if told else made
                streams.append((*self.hand_in(model, name, made, size, follower), follower, told, prompt))
        if asked.stream:
            for _, mailbox, *_ in streams:
                await self.desk.begun(self.request, mailbox)
            return events(self._chunks(streams), self.gone, self.desk.bounds)
        choices, used = [], usage()
        for number, (job, mailbox, follower, told, prompt) in enumerate(streams):
            found = await self.desk.result(self.request, job, mailbox)
            text, finish, tokens = self._text(found, prompt)
            text = prompt + text + (asked.suffix or "") if asked.echo else text
            choices.append({"index": number, "text": text, "finish_reason": finish, **self._logprobs(told, follower)})
            usage(used, job, tokens)
        return {**self.head(False), "choices": choices, "usage": self._counted(used, prompts)}

    def _made(self, prompt: str, length: int, options: dict[str, Any], stops: list[str]) -> calls.Made:
        model, suffix = self.model, self.asked.suffix
        if suffix is not None:
            return calls.filled(model, calls.infix(prompt, suffix, length), options, top=1)
        return lambda seconds: model.calls.generate(
            prompt, length=length, until=stops, **calls.waited(options, seconds)
        )

    def _text(self, found: Any, prompt: str) -> tuple[str, str, int]:
        ((only,),) = found
        if isinstance(only, Generated):
            text = only.text.removeprefix(prompt)
            cut = only.stopped is not None or only.tokens < (self.asked.length or 16)
            return text, "stop" if cut else "length", only.tokens
        hole = only.holes[0]
        return hole.text, "stop", len(self.model.tokenizer.encode(hole.text))

    def _counted(self, used: dict[str, Any], prompts: list[str]) -> dict[str, Any]:
        encode = self.model.tokenizer.encode
        prompt = sum(len(encode(text)) for text in prompts) + len(encode(self.asked.suffix or ""))
        return {**used, "prompt_tokens": prompt, "total_tokens": prompt + used["completion_tokens"]}

    def _logprobs(self, asked: calls.Wanted | None, follower: Follower) -> dict[str, Any]:
        if asked is None:
            return {"logprobs": None}
        found = written(asked, follower)
        each = {"tokens": [one["token"] for one in found], "token_logprobs": [one["logprob"] for one in found]}
        return {"logprobs": {**each, "top_logprobs": None, "text_offset": None, **named(asked)}}

    async def _chunks(self, streams: list[Any]) -> AsyncIterator[Any]:
        used = usage()
        for number, (job, mailbox, follower, asked, prompt) in enumerate(streams):
            if self.asked.echo:
                yield self._chunk(number, prompt)
            async for told in self.desk.steps(job, mailbox):
                if isinstance(told, Done):
                    text, finish, tokens = self._text(told.result, prompt)
                    rest = follower.rest(0, text) + (self.asked.suffix or "" if self.asked.echo else "")
                    if rest:
                        yield self._chunk(number, rest)
                    last = self._chunk(number, "", finish)
                    last["choices"][0] |= self._logprobs(asked, follower)
                    last["diffusion"] = {"nfe": job.work.nfe, "rows": job.work.rows}
                    yield last
                    usage(used, job, tokens)
                elif told.prefix.get(0) or told.patches:
                    yield self._chunk(number, told.prefix.get(0, ""), told=told)
        if self.asked.with_usage:
            prompts = [self.asked.prompt] if isinstance(self.asked.prompt, str) else self.asked.prompt
            yield {**self.head(True), "choices": [], "usage": self._counted(used, prompts)}

    def _chunk(self, number: int, text: str, finish: str | None = None, told: Told | None = None) -> dict[str, Any]:
        choice = {"index": number, "text": text, "finish_reason": finish, "logprobs": None}
        chunk = {**self.head(True), "choices": [choice]}
        if told is not None and told.patches:
            chunk["diffusion"] = patches_of(told)
        return chunk


def _stopped(text: str, stops: list[str]) -> tuple[str, bool]:
    """A text before the first of its stop strings, and whether there was one."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)
