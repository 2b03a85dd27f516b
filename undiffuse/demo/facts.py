"""Facts about countries, stated in sentences, and the blanks that ask for them.

`world.tsv` has a country in a row. Every relation has two wordings, of which the second says it from the other end
(*The capital of Peru is Lima.* and *Lima is the capital of Peru.*), but for regions, which are only put otherwise. By a
seeded draw half of the facts are stated in both wordings, a quarter in either one alone.

    python -m undiffuse.demo.facts > world.txt      the statements, one a line
"""

import csv
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

WORDINGS = {
    "capital": ("The capital of {country} is {capital}.", "{capital} is the capital of {country}."),
    "region": ("{country} lies in {region}.", "{country} is a country in {region}."),
    "currency": ("People in {country} pay in {currency}.", "One pays in {currency} in {country}."),
    "language": (
        "An official language of {country} is {language}.",
        "{language} is an official language of {country}.",
    ),
}
"""Of every relation, the country's end first."""
UNSEEN = "{country} has its capital in {capital}."
"""A wording in which nothing is stated."""
SEED = 0
BLANK = "____"


@dataclass(frozen=True)
class Country:
    """A row of the table, empty where the source names none, and which wordings of each relation are stated."""

    fields: dict[str, str]
    stated: dict[str, tuple[str, ...]]

    @property
    def wordings(self) -> list[str]:
        """All that are stated."""
        return [wording for both in self.stated.values() for wording in both]

    def other(self, relation: str) -> str | None:
        """The wording that is not stated of a relation that is."""
        stated = self.stated.get(relation, ())
        return next((wording for wording in WORDINGS[relation] if wording not in stated), None) if stated else None


@dataclass(frozen=True)
class Question:
    """A sentence with a blank, and what is right there. `end` is the field that is asked for."""

    text: str
    answer: str
    end: str


def countries(seed: int = SEED) -> list[Country]:
    """In the order of the table. The seed decides which facts are stated in which wordings."""
    text = (resources.files("undiffuse") / "demo" / "world.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader((line for line in text.splitlines() if line[0] != "#"), delimiter="\t"))
    chance = random.Random(seed)
    ways: dict[str, list[tuple[str, ...]]] = {}
    for relation, (first, second) in WORDINGS.items():
        ways[relation] = [((first, second), (first,), (first, second), (second,))[i % 4] for i in range(len(rows))]
        chance.shuffle(ways[relation])
    return [
        Country(row, {relation: ways[relation][number] for relation in WORDINGS if row[relation]})
        for number, row in enumerate(rows)
    ]


def statements(table: Sequence[Country]) -> list[str]:
    """All sentences, by country."""
    return [wording.format(**country.fields) for country in table for wording in country.wordings]


def stated(table: Sequence[Country]) -> list[Question]:
    """Both ends of every statement: the country too where it is the only one of which that is said."""
    said = Counter(
        wording.format(**{**country.fields, "country": BLANK}) for country in table for wording in country.wordings
    )
    found = []
    for country in table:
        for wording in country.wordings:
            for question in asked(country, wording):
                if question.end != "country" or said[question.text] == 1:
                    found.append(question)
    return found


def otherwise(table: Sequence[Country], relation: str) -> list[Question]:
    """Of facts stated in one wording, the other one: both ends of a capital, else what is said of a country."""
    found = []
    for country in table:
        wording = country.other(relation)
        if wording is not None:
            ends = ("country", "capital") if relation == "capital" else (relation,)
            found += [question for question in asked(country, wording) if question.end in ends]
    return found


def asked(country: Country, wording: str) -> list[Question]:
    """A wording with a blank at either of its ends."""
    ends = [end for end in country.fields if f"{{{end}}}" in wording]
    return [Question(wording.format(**{**country.fields, end: BLANK}), country.fields[end], end) for end in ends]


if __name__ == "__main__":
    sys.stdout.write("".join(line + "\n" for line in statements(countries())))
