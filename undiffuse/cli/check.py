"""`undiffuse check`: proofreading, what a text's two sides make unlikely, with proposals."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from .options import (
    AttentionKind,
    Candidates,
    Dtype,
    Family,
    Json,
    MaskId,
    Model,
    ModelDevice,
    Plugins,
    Revision,
    Right,
    Shift,
    Threads,
)

if TYPE_CHECKING:
    from rich.text import Text

    from ..language_model.findings import Check, Finding

AROUND = 40
"""Characters of text shown on either side of a finding; closer findings share a line."""

BYTE_ORDER_MARK = "\ufeff"
"""What some editors put before a text: not a word of it, and no finding."""


def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|-", help="The texts to proofread; - reads standard input.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="A text instead of a file.")] = None,
    model: Model = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Show at most N words, the clearest.")] = 10,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            metavar="BITS",
            min=0.0,
            help="By how much the best proposal is more probable than the word: 10 bits are a thousand times.",
        ),
    ] = 8.0,
    proposals: Annotated[
        int, typer.Option("--proposals", metavar="K", min=1, max=100, help="How many proposals to show for each word.")
    ] = 3,
    candidates: Candidates = None,
    right: Right = None,
    fail: Annotated[
        bool, typer.Option("--fail", help="End with exit code 1 if a word was found, for scripts.")
    ] = False,
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
    """Proofread a text: the words that what stands before and after them makes least likely.

    Each word is hidden and read from both sides. Shown are those for which the model has a far more probable proposal,
    as a diff, [-present-]{+proposal+}, in the order of the text; in JSON the clearest comes first. A finding is what
    the model did not expect, not a mistake: names and rare words are found too.
    """
    from .console import print_json, stdout
    from .loading import load_model
    from .source import read_text

    if bool(files) == (text is not None):
        raise UserError("give one text: a FILE, - for standard input, or --text TEXT")
    if files:
        names = ["standard input" if file == "-" else file for file in files]
        read = [read_text(file, None) if file == "-" else read_text(None, Path(file)) for file in files]
        texts = [text.removeprefix(BYTE_ORDER_MARK) for text in read]
    else:
        names, texts = ["TEXT"], [read_text(text, None)]
    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
    every = loaded.check(texts, top=top, proposals=proposals, threshold=threshold, candidates=candidates, right=right)
    if json:
        print_json(every[0].json() if len(every) == 1 else [found.json() for found in every])
    else:
        for name, source, found in zip(names, texts, every, strict=True):
            for line in lines(source, found, name):
                stdout().print(line, soft_wrap=True)
            _summary(found)
    if fail and any(found.findings for found in every):
        raise typer.Exit(1)


def lines(source: str, found: "Check", name: str) -> "list[Text]":
    """The diff and the numbers of all findings, in the order of the text."""
    ordered = sorted(found.findings, key=lambda finding: finding.start)
    groups: list[list[Finding]] = []
    for finding in ordered:
        near = groups and finding.start - groups[-1][-1].end < AROUND
        if near and "\n" not in source[groups[-1][-1].end : finding.start]:
            groups[-1].append(finding)
        else:
            groups.append([finding])
    return [line for group in groups for line in (*(_numbers(finding, name) for finding in group), diff(source, group))]


def _numbers(finding: "Finding", name: str) -> "Text":
    from rich.text import Text

    from ..visible import one_line

    shown = [(one_line(each.text.removeprefix(" ")), each.probability) for each in finding.proposals]
    answers = ", ".join(f"{text or '␣'} {_shown(p)}" for text, p in shown)
    return Text.assemble(
        (f"{one_line(name)}:{finding.line}:{finding.column}: ", "dim"),
        (one_line(finding.text.removeprefix(" ")) or "␣", "bold"),
        f" {_shown(finding.probability)}, {finding.odds:.1f} bits below {answers}",
    )


def diff(source: str, group: "list[Finding]") -> "Text":
    """One line of text with its findings as [-present-]{+proposal+}, which can be told without color."""
    from rich.text import Text

    from ..visible import one_line, safe

    begin = max(source.rfind("\n", 0, group[0].start) + 1, group[0].start - AROUND)
    following = source.find("\n", group[-1].end)
    end = min(len(source) if following < 0 else following, group[-1].end + AROUND)
    line = Text("    ")
    done = begin
    for finding in group:
        proposal = finding.proposals[0].text
        space = " " if finding.text.startswith(" ") and proposal.startswith(" ") else ""
        line.append(safe(source[done : finding.start] + space))
        line.append(f"[-{one_line(finding.text.removeprefix(space))}-]", "red strike")
        line.append(f"{{+{one_line(proposal.removeprefix(space))}+}}", "green")
        done = finding.end
    line.append(safe(source[done:end]))
    return line


def _shown(probability: float) -> str:
    if probability >= 0.001:
        return f"{probability:.3f}"
    return re.sub(r"e-0", "e-", f"{probability:.0e}")


def _summary(found: "Check") -> None:
    from .console import stderr

    stderr().print(
        f"{len(found.findings)} of {found.words} words shown, {found.threshold:g} bits or more below a proposal; "
        f"{found.surprise:.1f} bits a word on average",
        style="dim",
        soft_wrap=True,
    )
