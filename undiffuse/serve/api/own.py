"""Our own endpoints: fill, generate, edit, check, score, choose, cancel. Answers are those of the verbs with --json."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from ...text.holes import Hole, parse
from ..job import Done, Job
from ..mailbox import Mailbox
from . import calls
from .described import described
from .desk import Desk, Size
from .schema import Asked, CheckRequest, ChooseRequest, EditRequest, FillRequest, GenerateRequest, ScoreRequest
from .sse import events
from .telling import follower_of, patches_of

OBJECT = 64
"""Tokens of an object of a schema, for an estimate of its work."""


def router(desk: Desk) -> APIRouter:
    """The endpoints on a desk."""
    routes = APIRouter(tags=["undiffuse"])

    async def finished(request: Request, asked: Asked, job: Job, mailbox: Mailbox, name: str, shown: Any) -> Any:
        """The answer, or the stream of patches that ends with it."""
        if asked.stream:
            try:
                await desk.begun(request, mailbox)
            except BaseException:
                desk.cancel([job])
                raise
            return events(chunks(job, mailbox, name, shown), lambda: desk.cancel([job]), desk.bounds)
        return {**shown(await desk.result(request, job, mailbox)), "model": name}

    async def chunks(job: Job, mailbox: Mailbox, name: str, shown: Any) -> AsyncIterator[Any]:
        async for told in desk.steps(job, mailbox):
            if isinstance(told, Done):
                yield {"object": "result", "id": job.name, "result": {**shown(told.result), "model": name}}
            else:
                text = told.prefix.get(0)
                yield {"object": "step", "id": job.name, **({"text": text} if text else {}), **patches_of(told)}

    @routes.post("/v1/fill", summary="A text with its holes filled", **described("/v1/fill"))
    async def fill(asked: FillRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        made = calls.fill(model, asked)
        options = {**asked.options(), "samples": asked.samples}
        follower = follower_of(model, options, patches=asked.stream, prefix=False, fill=True)
        size = Size(_characters(asked), _most(asked), asked.samples)
        job, mailbox = desk.job(model, request.state.request_id, made, size, follower if asked.stream else None)

        def shown(found: Any) -> dict[str, Any]:
            answers = found if asked.schema_ is not None else found[0]
            records = [calls.as_json(answer) for answer in answers]
            return records[0] if len(records) == 1 else {"samples": records}

        return await finished(request, asked, job, mailbox, name, shown)

    @routes.post("/v1/generate", summary="A continuation of a text", **described("/v1/generate"))
    async def generate(asked: GenerateRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        options = asked.options()
        follower = follower_of(model, options, asked.until, patches=asked.stream, prompt=asked.prompt)
        own: dict[str, Any] = {"length": asked.length, "until": asked.until, "samples": asked.samples}
        size = Size(len(asked.prompt), asked.length or model.context, asked.samples)
        job, mailbox = desk.job(
            model,
            request.state.request_id,
            lambda seconds: model.calls.generate(asked.prompt, **own, **calls.waited(options, seconds)),
            size,
            follower if asked.stream else None,
        )

        def shown(found: Any) -> dict[str, Any]:
            records = [calls.as_json(text) for text in found[0]]
            return records[0] if len(records) == 1 else {"samples": records}

        return await finished(request, asked, job, mailbox, name, shown)

    @routes.post("/v1/edit", summary="Spans of a text written anew, given all the rest", **described("/v1/edit"))
    async def edit(asked: EditRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        made, changes = calls.edit(model, asked)
        follower = follower_of(model, asked.options(), patches=asked.stream, prefix=False, fill=True)
        tokens = sum(span.max or span.end - span.start for span in asked.spans)
        job, mailbox = desk.job(
            model, request.state.request_id, made, Size(len(asked.text), tokens), follower if asked.stream else None
        )

        def shown(found: Any) -> dict[str, Any]:
            answer = found[0][0]
            return {**calls.as_json(answer), "changes": [asdict(change) for change in changes(answer)]}

        return await finished(request, asked, job, mailbox, name, shown)

    @routes.post("/v1/check", summary="The words that their two sides make least likely", **described("/v1/check"))
    async def check(asked: CheckRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        own = asked.model_dump(exclude={"model", "text"})
        size = Size(len(asked.text), len(asked.text) // 3 + 1)
        made = lambda _: model.calls.check(asked.text, **own)  # noqa: E731
        job, mailbox = desk.job(model, request.state.request_id, made, size)
        (found,) = await desk.result(request, job, mailbox)
        return {**found.json(), "model": name}

    @routes.post("/v1/score", summary="How likely texts are", **described("/v1/score"))
    async def score(asked: ScoreRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        size = Size(sum(map(len, asked.texts)), 16)
        job, mailbox = desk.job(model, request.state.request_id, calls.score(model, asked), size)
        found = await desk.result(request, job, mailbox)
        return {**found.json(per_text=True), "model": name}

    @routes.post(
        "/v1/choose", summary="Which of some texts stands in a place, as probabilities", **described("/v1/choose")
    )
    async def choose(asked: ChooseRequest, request: Request) -> Any:
        name, model = await desk.model(asked.model)
        size = Size(len(asked.text) + sum(map(len, asked.choices)), 8, len(asked.choices))
        job, mailbox = desk.job(model, request.state.request_id, calls.choose(model, asked), size)
        hole = (await desk.result(request, job, mailbox))[0][0].holes[0]
        found = {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}
        choices = [{"text": text, "probability": found.get(text, 0.0)} for text in asked.choices]
        return {"choice": hole.text, "choices": choices, "kind": hole.kind, "model": name}

    @routes.post(
        "/v1/cancel/{name}",
        summary="End a request by the id in its header x-request-id",
        **described("/v1/cancel/{name}", (401,)),
    )
    async def cancel(name: str) -> Any:
        desk.engine.cancel(name, "cancelled")
        return {"id": name, "cancelled": True}

    return routes


def _characters(asked: FillRequest) -> int:
    return len(asked.text or "") + sum(len(segment.text or "") for segment in asked.segments or ())


def _most(asked: FillRequest) -> int:
    """Tokens that the holes may take together, at most."""
    if asked.schema_ is not None:
        return OBJECT
    segments = parse(asked.text or "") if asked.segments is None else calls.segments_of(asked.segments)
    return sum(segment.maximum for segment in segments if isinstance(segment, Hole))
