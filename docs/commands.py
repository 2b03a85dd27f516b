"""Writes docs/commands.md from the command line itself; a test checks that the file is up to date.

python docs/commands.py
"""

from pathlib import Path

from typer.main import get_command

from undiffuse.cli.main import app

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Commands

This page is what `--help` prints, written by `docs/commands.py`.

Results go to stdout, everything else (progress, remarks, errors) to stderr. `undiffuse --quiet VERB …` writes results
and errors only. With `--json` stdout holds one JSON document (a list where several texts are given, or `-n` asks for
several samples); `chat` writes one for each answer, in a line.

`undiffuse --install-completion` teaches your shell (bash, zsh, fish or PowerShell) to complete verbs and options with
the tab key; `--show-completion` prints what that would install.

Exit codes: 0 done; 1 a law of `verify` fails, or `check --fail` found a word; 2 a mistake that you can mend, told in
one line; 130 interrupted; 141 the reader of a pipe left.
"""


def page() -> str:
    """The whole page, in lines of at most 88 characters where the command line wraps them."""
    command = get_command(app)
    parts = [HEAD, _help([])]
    for verb, found in command.commands.items():  # type: ignore[attr-defined]
        parts += [f"## {verb}\n", _help([verb])]
        for part in getattr(found, "commands", ()):
            parts += [f"### {verb} {part}\n", _help([verb, part])]
    return "\n".join(parts)


def _help(path: list[str]) -> str:
    command = get_command(app)
    context = command.make_context("undiffuse", [*path, "--help"], resilient_parsing=True, terminal_width=88)
    for verb in path:
        command = command.commands[verb]  # type: ignore[attr-defined]
        context = command.make_context(verb, [], parent=context, resilient_parsing=True)
    return f"```text\n{context.get_help()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
