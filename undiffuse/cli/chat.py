"""`undiffuse chat`: many turns with a model in the terminal, or one turn for each line of standard input."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    AttentionKind,
    Cache,
    Dtype,
    Family,
    Json,
    MaskId,
    Model,
    ModelDevice,
    Plugins,
    Revision,
    Seed,
    Set,
    Shift,
    Steps,
    StrategyKind,
    Threads,
)

if TYPE_CHECKING:
    from ..decode.event import Event
    from ..language_model import Answer
    from .session import Session

HELP = """\
/retry          another answer to the last message, by the next seed
/edit [N] TEXT  TEXT takes the place of answer N (the last one if no number is given)
/fill [N] TEXT  the same, with blanks that the model fills given everything else: [MASK:5], ____, {x:choice(a|b)}
/save FILE      the conversation as JSON; the answers as vectors if FILE ends in .npy
/quit           leave; so does the end of input

A message that begins with a slash is written with two. Ctrl-C ends an answer and keeps the conversation."""


def chat(
    model: Model = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="What the model is told before all else.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length",
            metavar="N",
            min=1,
            help="Tokens of an answer, at most (default: 256, or what its family writes).",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="T", help="0: the best tokens (the default of most models); 1: draw."),
    ] = None,
    strategy: StrategyKind = None,
    steps: Steps = None,
    own: Set = None,
    cache: Cache = None,
    template: Annotated[
        Path | None,
        typer.Option("--template", metavar="FILE", help="A chat template in Jinja (default: the model's own)."),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
    device: ModelDevice = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
    revision: Revision = None,
) -> None:
    """Talk with a model that was trained to answer; /help lists what can be done besides.

    Answers are drawn while they are denoised. Where standard input is no terminal each line is a message, and each
    answer goes to stdout. With --json every answer is one JSON object in a line.
    """
    from ..language_model import LanguageModel
    from ..language_model.published_files import read_text
    from .console import stderr
    from .loading import load_model
    from .session import Session
    from .source import with_settings

    options: dict[str, Any] = {
        "length": length,
        "temperature": temperature,
        "strategy": strategy,
        "steps": steps,
        "cache": cache,
    }
    options = with_settings(options, own, LanguageModel.chat)
    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
    if template is not None:
        loaded = loaded.with_template(read_text(template))
    console = stderr()

    def note(text: str) -> None:
        console.print(text, style="dim", markup=False)

    session = Session.begun(loaded, options, system, seed, note)
    if sys.stdin.isatty():
        _talk(session, json)
        return
    for line in _lines():
        _show(session.ask(line), json)


def _lines() -> Iterator[str]:
    """The lines of standard input as they come, without their ends."""
    from ..errors import UserError

    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise UserError(f"line {number} of standard input is not UTF-8, from byte {error.start + 1} on") from error
        yield (text.removeprefix("\ufeff") if number == 1 else text).removesuffix("\n").removesuffix("\r")


def _show(answer: "Answer", json: bool) -> None:
    from .console import print_json, print_text

    if json:
        print_json(answer.json(), indent=None)
    else:
        print_text(answer.text)
    sys.stdout.flush()


def _talk(session: "Session", json: bool) -> None:
    """Turns in a terminal until the user leaves."""
    from ..errors import UserError
    from ..visible import safe

    session.note(f"{session.model.name}: /help lists commands, /quit leaves")
    while True:
        try:
            said = _read("> ")
            if said is None or said.split()[:1] in (["/quit"], ["/exit"]):
                return
            answer = _turn(session, said)
        except KeyboardInterrupt:
            session.note("\ninterrupted; /quit leaves")
        except UserError as error:
            session.note(safe(str(error)))
        else:
            if answer is not None:
                _show(answer, json)
                spent = f"{answer.tokens} tokens in {answer.nfe} evaluations; seed {answer.seed}"
                session.note(spent if answer.finished else f"{spent}; it was cut there: --length allows more")


def _turn(session: "Session", said: str) -> "Answer | None":
    """Does what a line says, which may give an answer."""
    from ..errors import UserError

    command, _, argument = said.strip().partition(" ")
    argument = argument.strip()
    if not command.startswith("/") or command.startswith("//"):
        if not command:
            return None
        with _drawn(session) as on_event:
            return session.ask(said.replace("//", "/", 1) if command.startswith("//") else said, on_event)
    if command in ("/retry", "/fill"):
        with _drawn(session) as on_event:
            return session.retry(on_event) if command == "/retry" else session.fill(argument, on_event)
    if command == "/help":
        session.note(HELP)
    elif command == "/edit":
        session.edit(argument)
    elif command == "/save":
        session.save(argument)
        session.note(f"saved {argument}")
    else:
        raise UserError(f"there is no command {command}: /help lists them, and a message may begin with //")
    return None


@contextmanager
def _drawn(session: "Session") -> "Iterator[Callable[[Event], None] | None]":
    """Draws the answer on a terminal while it is denoised."""
    from .console import stderr
    from .watch import Watch

    console = stderr()
    if not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    with Watch(session.model.tokenizer, console, pace=0.02) as watch:
        yield lambda event: watch(event.written)


def _read(prompt: str) -> str | None:
    """A line from the terminal, with what follows a backslash at its end; None at the end of input."""
    from contextlib import suppress

    from ..errors import UserError

    with suppress(ImportError):
        import readline  # noqa: F401 (input then has a history and can be edited)
    text = ""
    while True:
        try:
            line = _line(". " if text else prompt)
        except EOFError:
            return None
        except UnicodeDecodeError as error:
            raise UserError(f"what was typed is no {error.encoding}") from error
        if not line.endswith("\\"):
            return text + line
        text += line.removesuffix("\\") + "\n"


def _line(prompt: str) -> str:
    """Of standard input; the prompt stays out of standard output where that is no terminal."""
    if sys.stdout.isatty():
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")
