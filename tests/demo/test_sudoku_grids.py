import random
from itertools import permutations, product

from undiffuse.demo.sudoku_grids import BLANK, CELLS, DIGITS, FEWEST, MOST, puzzle, scrambled, solutions, valid

RULES = [[row * 6 + k for k in range(6)] for row in range(6)]
RULES += [[k * 6 + column for k in range(6)] for column in range(6)]
RULES += [[(top + a) * 6 + left + b for a in range(2) for b in range(3)] for top in (0, 2, 4) for left in (0, 3)]


def keeps_the_rules(grid):
    return all(sorted(grid[cell] for cell in group) == list(DIGITS) for group in RULES)


def brute(cells):
    """All fillings of a few rows, by permutations of whole rows."""
    rows = [cells[k : k + 6] for k in range(0, 36, 6)]
    choices = [
        ["".join(p) for p in permutations(DIGITS) if all(c in (BLANK, d) for c, d in zip(row, p, strict=True))]
        for row in rows
    ]
    return sorted(grid for grid in map("".join, product(*choices)) if keeps_the_rules(grid))


def test_puzzles_have_one_solution_and_so_have_their_scrambles():
    chance = random.Random(0)
    for _ in range(15):
        cells, solution = puzzle(chance)
        assert keeps_the_rules(solution)
        assert valid(solution)
        assert FEWEST <= cells.count(BLANK) <= MOST
        assert solutions(cells, 3) == [solution]
        moved, moved_solution = scrambled(chance, cells, solution)
        assert keeps_the_rules(moved_solution)
        assert solutions(moved, 3) == [moved_solution]
        assert moved.count(BLANK) == cells.count(BLANK)


def test_all_solutions_are_found():
    (grid,) = solutions(BLANK * CELLS, 1, random.Random(1))
    for places in ((0, 1, 6, 7), (0, 1, 2, 3, 4, 5, 30, 31, 32)):
        cells = "".join(BLANK if place in places else digit for place, digit in enumerate(grid))
        assert sorted(solutions(cells, 1000)) == brute(cells)


def test_a_grid_with_a_repeated_digit_a_blank_or_a_gap_is_not_valid():
    (grid,) = solutions(BLANK * CELLS, 1, random.Random(2))
    assert valid(grid)
    assert not valid(grid[1] + grid[0] + grid[2:])
    assert not valid(BLANK + grid[1:])
    assert not valid(grid[:-1])
