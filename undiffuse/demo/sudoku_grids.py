"""Grids of six rows and columns with boxes of 2 × 3, and puzzles with one solution."""

import random
from collections.abc import Sequence

SIZE, HIGH, WIDE = 6, 2, 3
CELLS = SIZE * SIZE
BLANK = "."
DIGITS = "123456"
FEWEST, MOST = 12, 22
"""Blanks of a puzzle."""


def _peers(cell: int) -> tuple[int, ...]:
    """Cells that must differ from this one."""
    row, column = divmod(cell, SIZE)
    found = set()
    for other in range(CELLS):
        r, c = divmod(other, SIZE)
        same_box = (r // HIGH, c // WIDE) == (row // HIGH, column // WIDE)
        if other != cell and (r == row or c == column or same_box):
            found.add(other)
    return tuple(sorted(found))


PEERS = tuple(_peers(cell) for cell in range(CELLS))


def valid(grid: str) -> bool:
    """Whether every cell has a digit that none of its peers has."""
    filled = len(grid) == CELLS and set(grid) <= set(DIGITS)
    return filled and all(grid[cell] != grid[peer] for cell in range(CELLS) for peer in PEERS[cell])


def solutions(cells: Sequence[str], limit: int, chance: random.Random | None = None) -> list[str]:
    """At most `limit` ways to fill the blanks; the cell with the fewest digits first, these in random order."""
    found: list[str] = []
    grid = list(cells)

    def search() -> None:
        best, digits = -1, [*DIGITS, ""]
        for cell in range(CELLS):
            if grid[cell] == BLANK:
                taken = {grid[peer] for peer in PEERS[cell]}
                left = [digit for digit in DIGITS if digit not in taken]
                if len(left) < len(digits):
                    best, digits = cell, left
        if best < 0:
            found.append("".join(grid))
            return
        if chance is not None:
            chance.shuffle(digits)
        for digit in digits:
            grid[best] = digit
            search()
            if len(found) >= limit:
                break
        grid[best] = BLANK

    search()
    return found


def puzzle(chance: random.Random) -> tuple[str, str]:
    """A puzzle and its one solution."""
    (solution,) = solutions(BLANK * CELLS, 1, chance)
    cells, left = list(solution), chance.randint(FEWEST, MOST)
    for cell in chance.sample(range(CELLS), CELLS):
        if left == 0:
            break
        cells[cell] = BLANK
        if len(solutions(cells, 2)) == 1:
            left -= 1
        else:
            cells[cell] = solution[cell]
    return "".join(cells), solution


def scrambled(chance: random.Random, *grids: str) -> tuple[str, ...]:
    """The same grids with digits renamed, and rows and columns exchanged so that boxes stay boxes."""
    rename = str.maketrans(DIGITS, "".join(chance.sample(DIGITS, SIZE)))
    rows = _exchanged(chance, HIGH)
    columns = _exchanged(chance, WIDE)
    return tuple(
        "".join(grid[row * SIZE + column] for row in rows for column in columns).translate(rename) for grid in grids
    )


def _exchanged(chance: random.Random, span: int) -> list[int]:
    """Rows in another order: bands of `span` of them exchanged, and the rows of each band."""
    bands = chance.sample(range(SIZE // span), SIZE // span)
    return [band * span + place for band in bands for place in chance.sample(range(span), span)]
