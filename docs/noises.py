"""Draws docs/images/noises.svg: one sentence under masked, uniform and Gaussian noise, as the processes draw it.

python docs/noises.py

The draws of a position are the same at all times, so what is seen is one history of each noise; times go up and come
back down. The words are those of the sentences that the bundled model has learned; the vectors, of norm 1, are what a
network begins with. The seed was chosen for words that are hit at times well apart.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from undiffuse.cli.animation import EDGE, HIGH, STYLE, Look, Place, Timeline, drawn, placed, sheet
from undiffuse.demo.facts import countries, statements
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.destinations.uniform import Uniform
from undiffuse.process.gammas.linear import Linear
from undiffuse.process.gaussian import Gaussian
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.process import Process
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.randomness import Draws
from undiffuse.types import Noised
from undiffuse.vocabulary import Vocabulary

PICTURE = Path(__file__).parent / "images" / "noises.svg"
SENTENCE = "The capital of Peru is Lima"
TIMES = torch.linspace(0, 1, 17, dtype=torch.float64)
DIMENSIONS, SEED, GAMMA = 16, 1356, Linear(-8.0, 6.0)
WIDTH, PACE, HEAD, BARS = 500, 2.5, 30, 28
WORDS = sorted({word for sentence in statements(countries()) for word in sentence.rstrip(".").split()})
VOCABULARY = Vocabulary(rows=len(WORDS) + 1, mask=len(WORDS))
TITLES = {
    "masked": "Masks: what is hidden is known to be",
    "uniform": "Other words: what is wrong does not show",
    "gaussian": "Gaussian: vectors fade; named is the nearest word",
}
MORE = """
.head{font:13px system-ui,sans-serif;font-weight:600}.time{font:13px system-ui,sans-serif}
.right .box{fill:#cfe8f7;stroke:#5b87a3}.wrong .box{fill:#fbe3c0;stroke:#9a5b00}.bar{fill:#5b87a3}
.track{fill:#8a8a8a;opacity:.35}.now{fill:#0072b2}
@media (prefers-color-scheme:dark){.right .box{fill:#173f5a;stroke:#5f9dc4}.wrong .box{fill:#553a10;stroke:#e0a850}
.bar{fill:#5f9dc4}.now{fill:#5fb2ea}}"""


def processes() -> dict[str, Process]:
    """The three noises over the words."""
    vectors = torch.special.ndtri(
        Draws.seeded(SEED).stream("vectors").at(torch.arange(VOCABULARY.rows)).along(DIMENSIONS).uniform()
    )
    return {
        "masked": Interpolating(VOCABULARY, OneMinusT(), Mask()),
        "uniform": Interpolating(VOCABULARY, OneMinusT(), Uniform()),
        "gaussian": Gaussian(VOCABULARY, GAMMA).bind({"vectors": vectors}),
    }


@dataclass(frozen=True)
class History:
    """A sentence at all times: its clean words (L,), and words (T, L) and vectors (T, L, d) of its noisy states."""

    clean: Tensor
    ids: Tensor
    latent: Tensor | None

    def words(self, moment: int) -> list[str]:
        return ["" if row == VOCABULARY.mask else WORDS[row] for row in self.ids[moment].tolist()]


def history(process: Process) -> History:
    """q_t(z | x) at every time, by the same draws."""
    clean = torch.tensor([WORDS.index(word) for word in SENTENCE.split()])
    draws = Draws.seeded(SEED).stream("noise").at(torch.arange(len(clean)))
    editable = torch.ones(len(clean), dtype=torch.bool)
    found: list[Noised] = [process.corrupt(clean, t.expand(len(clean)), draws, editable) for t in TIMES]
    if not process.moves_vectors:
        return History(clean, torch.stack([each.state.ids for each in found]), None)
    latents = [each.state.latent for each in found if each.state.latent is not None]
    even = torch.zeros(len(clean), VOCABULARY.rows, dtype=torch.float64)
    likely = [process.log_likelihood(each.state, each.t).add_to(even) for each in found]
    nearest = torch.stack([each[:, : len(WORDS)].argmax(-1) for each in likely])
    return History(clean, nearest, torch.stack(latents))


def picture() -> str:
    """The file."""
    time = Timeline(len(TIMES), PACE, still=len(TIMES) // 2, hold=0.5, back=True)
    parts, y = [_clock(time)], 52.0
    for name, process in processes().items():
        found = history(process)
        parts.append(f'<text class="head" x="{EDGE}" y="{y + 14:g}">{TITLES[name]}</text>')
        places = [_place(found, position) for position in range(len(found.clean))]
        line = HIGH + 10 + (0 if found.latent is None else BARS + 6)
        where = placed(places, WIDTH, y + HEAD - 6, line)
        for position, (place, (x, top)) in enumerate(zip(places, where, strict=True)):
            parts.append(drawn(place, x, top, time))
            if found.latent is not None:
                parts.append(_bars(found.latent[:, position], x, top + HIGH + 4, place.width, time))
        y = where[-1][1] + line + 14
    text = f"{SENTENCE}, destroyed by three kinds of noise while t goes from 0 to 1, and back"
    return sheet("Three kinds of noise", text, WIDTH, y, "".join(parts), STYLE + MORE + time.style)


def _place(found: History, position: int) -> Place:
    looks = []
    for moment in range(len(TIMES)):
        word = found.words(moment)[position]
        right = int(found.ids[moment, position]) == int(found.clean[position])
        looks.append(Look(word, "right" if right else "wrong" if word else "pending"))
    return Place(tuple(looks), gap=5.0)


def _bars(latent: Tensor, x: float, y: float, width: float, time: Timeline) -> str:
    """The numbers of a vector as bars about a line; two standard deviations of pure noise are their height."""
    parts, each = [], width / latent.shape[-1]
    for number in range(latent.shape[-1]):
        values = [max(-1.0, min(1.0, float(latent[moment, number]) / 2)) for moment in range(len(TIMES))]
        stops = [f"{time.at(frame)}{{transform:scaleY({value:.2f})}}" for frame, value in enumerate(values)]
        stops.append(f"100%{{transform:scaleY({values[-1]:.2f})}}")
        middle = y + BARS / 2
        still = f"transform:scaleY({values[time.still]:.2f});transform-origin:0 {middle:g}px"
        style = f"{still};{time.moving(''.join(stops), 'linear')}"
        parts.append(
            f'<rect class="bar" x="{x + number * each + 0.5:.1f}" y="{middle:g}" width="{each - 1:.1f}" '
            f'height="{BARS / 2:g}" style="{style}"/>'
        )
    return "".join(parts)


def _clock(time: Timeline) -> str:
    """A bar as long as t, between 0 and 1."""
    wide, x = WIDTH - 2 * EDGE - 60, EDGE + 30
    shares = [float(TIMES[moment]) for moment in range(len(TIMES))]
    stops = [f"{time.at(frame)}{{transform:scaleX({share:.3f})}}" for frame, share in enumerate(shares)]
    stops.append(f"100%{{transform:scaleX({shares[-1]:.3f})}}")
    still = f"transform:scaleX({shares[time.still]:.3f});transform-origin:{x + 12}px 0"
    style = f"{still};{time.moving(''.join(stops), 'linear')}"
    return (
        f'<text class="time" x="{EDGE}" y="30">t = 0</text><text class="time" x="{WIDTH - EDGE}" y="30" '
        f'text-anchor="end">1</text><rect class="track" x="{x + 12}" y="22" width="{wide}" height="8" rx="4"/>'
        f'<rect class="now" x="{x + 12}" y="22" width="{wide}" height="8" rx="4" style="{style}"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
