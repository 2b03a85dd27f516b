"""Draws docs/images/watch.svg, the picture of the terminal view in the README, from a real run.

python docs/picture.py runs/demo
"""

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

import undiffuse as ud
from undiffuse.cli.view import frame

PICTURE = Path(__file__).parent / "images" / "watch.svg"
TEXT = "The [MASK:3] of a class is [MASK:8] when the [MASK:4] is called. It is [MASK:6] method of the object."
STRATEGY, TEMPERATURE = "ancestral", 0.8
MOMENTS = (0.25, 0.6, 1.0)
WIDTH = 92


def main() -> None:
    model = ud.load(sys.argv[1])
    events = list(model.stream(TEXT, strategy=STRATEGY, temperature=TEMPERATURE))
    console = Console(width=WIDTH, record=True, color_system="truecolor", force_terminal=True, file=io.StringIO())
    command = f'undiffuse fill "{TEXT}" --strategy {STRATEGY} --temperature {TEMPERATURE} --watch'
    console.print(Text.assemble(("$ ", "dim"), command), "")
    for moment in MOMENTS:
        event = events[round(moment * (len(events) - 1))]
        console.print(frame(event, model.tokenizer.token_bytes, WIDTH), "")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(console.export_svg(title="undiffuse: a text while it is denoised"), encoding="utf-8")


if __name__ == "__main__":
    main()
