"""What is streamed of a text, whatever the order in which its positions are decided and taken back."""

import asyncio
from dataclasses import dataclass, field

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from served_model import MODEL

from undiffuse.decode.canvas import Canvas, start
from undiffuse.serve.following import Follower, merge
from undiffuse.serve.job import Done, Stepped
from undiffuse.serve.mailbox import Mailbox
from undiffuse.text.utf8 import whole_characters

WORDS = (" quick", " fox", " Größe", "naïve", " — ", "漢字", "🙂", " too", ".", " e")


@dataclass
class Course:
    """The canvases of a text whose positions are decided in some order, and what a client has at the end."""

    revocable: bool
    stops: tuple[str, ...]
    canvases: list[Canvas] = field(default_factory=list)
    text: str = ""


@st.composite
def courses(draw):
    """Positions are decided, and where the strategy may, taken back in the present window, until all are decided."""
    text = "".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)))
    given_, written = MODEL.tokenizer.encode("The "), MODEL.tokenizer.encode(text)
    tokens = given_ + written
    pending = torch.arange(len(tokens)) >= len(given_)
    size = draw(st.sampled_from([None, 2, 5]))
    revocable = draw(st.booleans())
    canvas = start(torch.tensor(tokens), pending, key=0, block_length=size)
    course = Course(revocable, draw(st.sampled_from([(), ("fox",), ("zz", "e"), ("Größen", "too")])))
    wrong = torch.tensor(MODEL.tokenizer.encode("x")[0])
    for _ in range(200):
        course.canvases.append(canvas)
        if bool(canvas.done.all()):
            break
        window = canvas.window if draw(st.booleans()) else canvas.window & canvas.pending
        places = window[0].nonzero()[:, 0].tolist()
        chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=4, unique=True))
        ids, open_ = canvas.ids.clone(), canvas.pending.clone()
        for place in chosen:
            if open_[0, place]:
                open_[0, place] = False
                guess = revocable and bool((canvas.window & open_).any()) and draw(st.booleans())
                ids[0, place] = wrong if guess else tokens[place]
            elif revocable and len(course.canvases) < 60:
                open_[0, place] = True
        if revocable and not bool((canvas.window & open_).any()):  # a window closes with its own tokens
            ids = torch.where(canvas.window, torch.tensor(tokens), ids)
        canvas = canvas.replace(ids=ids, pending=open_, step=canvas.step + 1)
    else:
        ids = torch.tensor(tokens)[None]
        course.canvases.append(canvas.replace(ids=ids, pending=torch.zeros_like(canvas.pending), step=canvas.step + 1))
    course.text = text
    return course


def answer(course):
    """The answer as its endpoint gives it: up to the first of its stop strings."""
    found = [place for stop in course.stops if (place := course.text.find(stop)) >= 0]
    return course.text[: min(found)] if found else course.text


@settings(max_examples=25)
@given(courses())
def test_what_is_streamed_only_grows_and_is_the_answer_at_the_end(course):
    follower = Follower(MODEL, revocable=course.revocable, patches=True, stops=course.stops)
    got, whole = "", answer(course)
    for canvas in course.canvases:
        told = follower(canvas, 0)
        if told is not None:
            got += told.prefix.get(0, "")
        assert whole.startswith(got)
        settled = ~canvas.pending & canvas.editable & ~(canvas.window & course.revocable)
        run = (settled | ~canvas.editable)[0].long().cumprod(0).bool() & canvas.editable[0]
        certain = whole_characters(MODEL.tokenizer.decode_bytes(canvas.ids[0][run].tolist()))
        assert certain.startswith(got), "more was sent than is certain"
        if not course.stops:
            assert got == certain, "less was sent than is certain"
    assert got + follower.rest(0, whole) == whole


@settings(max_examples=25)
@given(courses())
def test_patches_that_nobody_took_are_one_canvas_that_says_the_same(course):
    async def run():
        taken, late = Mailbox(merge), Mailbox(merge)
        quick = Follower(MODEL, revocable=course.revocable, patches=True, stops=course.stops)
        shown, text = {}, ""
        for canvas in course.canvases:
            told = quick(canvas, 0)
            if told is None:
                continue
            taken.put(Stepped(told))
            late.put(Stepped(told))
            message = await taken.get()
            shown |= message.told.patches
            text += message.told.prefix.get(0, "")
            assert len(late._held) == 1, "what a slow reader leaves is merged"
        late.put(Done("end"))
        first, last = await late.get(), await late.get()
        assert isinstance(last, Done)
        assert first.told.patches == shown
        assert first.told.prefix.get(0, "") == text
        assert len(first.told.patches) <= course.canvases[0].ids.shape[1]

    asyncio.run(run())


@settings(max_examples=25)
@given(courses())
def test_patches_say_what_the_canvas_holds(course):
    follower, shown = Follower(MODEL, revocable=course.revocable, patches=True), {}
    for canvas in course.canvases:
        told = follower(canvas, 0)
        shown |= told.patches if told is not None else {}
        for place in range(canvas.ids.shape[1]):
            patch = shown[0, place]
            assert (patch["state"] == "pending") == bool(canvas.pending[0, place])
            if patch["state"] != "pending":
                assert patch["id"] == int(canvas.ids[0, place])
    assert {patch["state"] for patch in shown.values()} <= {"fixed", "committed"}
