"""`undiffuse check` as a command: places that an editor can jump to, a diff that needs no color, JSON, exit codes."""

import io
import json
import re

import pytest

from undiffuse.cli.check import diff, lines
from undiffuse.cli.main import run
from undiffuse.language_model.findings import Check, Finding
from undiffuse.language_model.results import Alternative


def finding(source: str, text: str, *proposals: str, after: int = 0) -> Finding:
    start = source.index(text, after)
    begin = start + text.startswith(" ")
    before = source[:begin].split("\n")
    odds = 12.5
    return Finding(
        start=start,
        end=start + len(text),
        byte_start=len(source[:start].encode()),
        byte_end=len(source[: start + len(text)].encode()),
        line=len(before),
        column=len(before[-1]) + 1,
        text=text,
        tokens=1,
        probability=0.0001,
        surprise=13.3,
        odds=odds,
        proposals=tuple(Alternative(proposal, 0.5 / n) for n, proposal in enumerate(proposals, start=1)),
    )


SOURCE = "It is the east,\nand Juliet is teh sun of the the lord.\n"


def plain(*findings: Finding) -> list[str]:
    return [line.plain for line in lines(SOURCE, Check(findings, 9, 9, 1.0, 8.0, "m"), "play.txt")]


def test_each_finding_has_its_place_and_near_ones_share_a_line():
    teh, the = finding(SOURCE, " teh", " the", " a"), finding(SOURCE, " the", " same", after=40)
    assert plain(the, teh) == [
        "play.txt:2:15: teh 1e-4, 12.5 bits below the 0.500, a 0.250",
        "play.txt:2:26: the 1e-4, 12.5 bits below same 0.500",
        "    and Juliet is [-teh-]{+the+} sun of [-the-]{+same+} the lord.",
    ]


def test_findings_on_two_lines_are_shown_apart():
    east, teh = finding(SOURCE, " east", " west"), finding(SOURCE, " teh", " the")
    assert plain(teh, east) == [
        "play.txt:1:11: east 1e-4, 12.5 bits below west 0.500",
        "    It is the [-east-]{+west+},",
        "play.txt:2:15: teh 1e-4, 12.5 bits below the 0.500",
        "    and Juliet is [-teh-]{+the+} sun of the the lord.",
    ]


def test_a_proposal_without_the_space_says_so_and_control_characters_stay_visible():
    source = "a\x1b[2J teh\nb"
    line = diff(source, [finding(source, " teh", ",\n")])
    assert line.plain == "    a␛[2J[-␣teh-]{+,↵+}"


def test_present_and_proposed_words_have_their_colors():
    line = diff(SOURCE, [finding(SOURCE, " teh", " the")])
    styled = {line.plain[span.start : span.end]: span.style for span in line.spans}
    assert styled == {"[-teh-]": "red strike", "{+the+}": "green"}


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.slow
def test_a_file_standard_input_and_a_text_give_the_same(capsys, work, monkeypatch, tmp_path):
    text = "abc dé\nfgh ijj"
    path = tmp_path / "some.txt"
    path.write_text(text)
    feed(monkeypatch, text.encode())
    found = []
    for source in ([str(path)], ["-"], ["--text", text]):
        assert run(["check", *source, "--json", "--threshold", "0", "--top", "3"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1] == found[2]
    assert 0 < len(found[0]["findings"]) <= 3
    for record in found[0]["findings"]:
        assert text[record["start"] : record["end"]] == record["text"]
    assert run(["check", str(path), "--threshold", "0", "--top", "3"]) == 0
    out, err = capsys.readouterr()
    places = re.findall(rf"^{re.escape(str(path))}:(\d+):(\d+): ", out, re.MULTILINE)
    expected = sorted(found[0]["findings"], key=lambda record: record["start"])
    assert [(int(a), int(b)) for a, b in places] == [(record["line"], record["column"]) for record in expected]
    assert "[-" in out
    assert re.search(rf"{len(expected)} of {found[0]['words']} words", err)


def test_proposals_are_as_many_as_asked_for(capsys, work):
    for count in (1, 4):
        assert run(["check", "--text", "abc de", "--json", "--threshold", "0", "--proposals", str(count)]) == 0
        for record in json.loads(capsys.readouterr().out)["findings"]:
            assert len(record["proposals"]) == count


def test_scripts_can_ask_for_an_exit_code(capsys, work):
    assert run(["check", "--text", "abc de", "--threshold", "0", "--fail"]) == 1
    assert run(["check", "--text", "abc de", "--threshold", "500", "--fail"]) == 0
    assert run(["check", "--text", "abc de", "--threshold", "0"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one text: a FILE, - for standard input, or --text TEXT"),
        (["a.txt", "--text", "b"], "give one text: a FILE, - for standard input, or --text TEXT"),
        (["none.txt"], "there is no file none.txt"),
        (["--text", ""], "there is nothing to check: the text is empty"),
        (["--text", "a", "--threshold", "-1"], "Invalid value for '--threshold'"),
        (["--text", "a", "--top", "0"], "Invalid value for '--top'"),
    ],
)
def test_what_cannot_be_checked(capsys, work, arguments, message):
    assert run(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
