"""The `undiffuse` command: its verbs, and how every failure ends."""

import os
import sys
from typing import Annotated

import typer
from typer.main import get_command

from ..errors import UserError, did_you_mean
from . import (
    about,
    catalogue,
    chat,
    check,
    config,
    convert,
    demo,
    fill,
    finetune,
    generate,
    inspect,
    models,
    score,
    serve,
    study,
    train,
    verify,
)
from .machine import spin_briefly

# typer carries a click of its own and exports only the leaves of its tree of exceptions
ClickException: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

COMPLETION = "_UNDIFFUSE_COMPLETE"

app = typer.Typer(
    name="undiffuse",
    help="Diffusion language models: train one on your text, fill blanks, generate, measure, verify.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"undiffuse {version('undiffuse')}")
        raise typer.Exit


@app.callback()
def _undiffuse(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Write results and errors only; stands before the verb."),
    ] = False,
) -> None:
    if quiet:
        from .console import quiet as hushed

        context.with_resource(hushed())


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("fill")(fill.fill)
app.command("generate")(generate.generate)
app.command("chat")(chat.chat)
app.command("check")(check.check)
app.command("score")(score.score)
app.command("models")(models.models)
app.command("serve")(serve.serve)
app.command("inspect")(inspect.inspect)
app.command("convert")(convert.convert)
app.command("verify")(verify.verify)
app.add_typer(study.app, name="study")
app.command("config")(config.config)
app.command("list")(catalogue.catalogue)
app.command("about")(about.about)


def main() -> None:
    """Entry point of the console script."""
    spin_briefly()
    # results are UTF-8 wherever they go, and names of files the bytes that they have
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")  # type: ignore[union-attr]
    if COMPLETION in os.environ:  # a shell asks what may come next
        get_command(app).main(prog_name="undiffuse")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    2: a mistake that the user can mend. 130: interrupted. 141: the reader of a pipe left.
    """
    command = get_command(app)
    try:
        with command.make_context("undiffuse", arguments or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as stop:
        return stop.exit_code
    except UserError as error:
        return _refuse(str(error))
    except ClickException as error:
        return _refuse(_usage_message(error))
    except (KeyboardInterrupt, typer.Abort):
        return _refuse("interrupted", code=130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit must not fail again
        return 141
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _refuse(f"{error.strerror or error}{where}")


def _usage_message(error: Exception) -> str:
    """One line for a mistake in the command line itself, with the nearest option where there is one."""
    near = getattr(error, "possibilities", None)
    message = error.message if near else error.format_message()  # type: ignore[attr-defined]
    message = " ".join(message.split()).rstrip(".")
    if getattr(error, "option_name", None) in ("--quiet", "-q"):
        return f"{message}: it stands before the verb, as in `undiffuse --quiet train`"
    if near:
        message += did_you_mean(error.option_name, near)  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def _refuse(message: str, code: int = 2) -> int:
    from rich.text import Text

    from ..visible import safe
    from .console import stderr

    stderr().print(Text.assemble(("undiffuse: ", "bold red"), safe(message)), soft_wrap=True)
    return code
