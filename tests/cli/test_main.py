"""What holds for the command as a whole: quick answers, one line for a mistake, streams, exit codes."""

import json
import os
import re
import subprocess
import sys

import pytest

from undiffuse.cli import main
from undiffuse.cli.main import run
from undiffuse.exact.laws import schedules

VERBS = ("train", "fill", "generate", "check", "score", "models", "verify", "config", "list", "about")
PROBE = """
import sys
from undiffuse.cli.main import run
code = run({arguments!r})
assert code == 0, code
assert "torch" not in sys.modules, "torch was imported"
"""


def refused(capsys, *arguments: str) -> str:
    """The message of a command line that must end with exit code 2, one line on stderr and nothing on stdout."""
    assert run(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("undiffuse: ")
    assert err.count("\n") == 1, err
    return err.removeprefix("undiffuse: ").rstrip("\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], *([verb, "--help"] for verb in VERBS)])
def test_help_and_version_do_not_import_torch(arguments):
    subprocess.run([sys.executable, "-c", PROBE.format(arguments=arguments)], check=True, capture_output=True)


def test_help_answers_in_half_a_second():
    command = [sys.executable, "-m", "undiffuse", "--help"]

    def once() -> float:  # of the processor, which a busy machine does not lengthen
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(once() for _ in range(5)) < 0.5


def test_importing_the_package_imports_no_torch():
    code = "import undiffuse, sys; assert 'torch' not in sys.modules; assert undiffuse.__version__; dir(undiffuse)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_attribute_of_the_package_is_an_attribute_error():
    import undiffuse

    with pytest.raises(AttributeError, match="'undiffuse' has no attribute 'lode'"):
        _ = undiffuse.lode


@pytest.mark.parametrize(
    "name", ["Event", "LanguageModel", "TrainingBar", "UserError", "Watch", "load", "resume", "train"]
)
def test_every_public_name_is_there(name):
    import undiffuse

    assert name in dir(undiffuse)
    assert getattr(undiffuse, name).__module__.startswith("undiffuse.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lits"], r"No such command 'lits'\. Did you mean 'list'\? \(see undiffuse --help\)"),
        (["fill", "--tpo", "3"], r"No such option: --tpo; did you mean '--top'\? \(see undiffuse fill --help\)"),
        (["fill", "--top", "few"], r"Invalid value for '--top'.*integer.*\(see undiffuse fill --help\)"),
        (["fill", "--top", "0", "____"], r"Invalid value for '--top'.*1"),
        (["generate", "--length", "0"], r"Invalid value for '--length'.*1"),
        (["generate", "--length"], r"Option '--length' requires an argument"),
        (["config"], r"Missing argument 'RECIPE'"),
        (["list", "strategis"], r"there are no components called 'strategis'; did you mean 'strategies'\?"),
        (["fill"], r"give one text: as an argument, with --file FILE, or - to read standard input"),
        (["score", "--draws", "2", "--precision", "1%", "x"], r"--draws and --precision both say"),
        (["score", "--precision", "200%", "x"], r"--precision 200%: give a share of the mean between 0 and 1"),
        (["score", "--precision", "much", "x"], r"--precision much: give a share of the mean between 0 and 1"),
        (["list", "-q"], r"No such option: -q: it stands before the verb, as in `undiffuse --quiet train`"),
        (["verify", "--dtype", "float32"], r"No such option: --dtype"),
        (["list", "--device", "cpu"], r"No such option: --device"),
        (["config", "default", "--threads", "1"], r"No such option: --threads"),
        (["generate", "--device", "cpx"], r"device cpx: there is no such device; did you mean 'cpu'\?"),
        (["generate", "--device", "cpu:1"], r"device cpu:1: this machine has 1 cpu devices; use cpu"),
        (["generate", "--device", "cuda:99"], r"device cuda:99: this machine has \d+ cuda devices; use cpu"),
        (
            ["generate", "--dtype", "float31"],
            r"--dtype float31: there is no such number format; did you mean 'float32'\?",
        ),
        (["generate", "--threads", "0"], r"Invalid value for '--threads'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, arguments, message):
    assert re.search(message, refused(capsys, *arguments))


def test_a_law_that_there_is_not(capsys, monkeypatch):
    # one file of laws: to make the components of all of them takes seconds
    monkeypatch.setattr("undiffuse.exact.verify.all_laws", lambda: schedules.LAWS)
    assert re.search(r"no law or component matches 'no such law'", refused(capsys, "verify", "no such law"))


def test_quiet_leaves_results_and_errors_alone(capsys, model):
    loud = ["generate", "--model", str(model), "--length", "4"]
    assert run(loud) == 0
    told = capsys.readouterr()
    assert run(["--quiet", *loud]) == 0
    assert told.err
    assert capsys.readouterr() == (told.out, "")
    assert refused(capsys, "-q", "list", "nothing").startswith("there are no components called 'nothing'")


def test_quiet_ends_with_its_command(capsys, model):
    loud = ["generate", "--model", str(model), "--length", "4", "--watch"]
    assert run(["--quiet", *loud]) == 0
    assert capsys.readouterr().err == ""
    assert run(loud) == 0
    assert "evaluations" in capsys.readouterr().err


def test_about_tells_what_a_bug_report_needs(capsys):
    import torch

    assert run(["about", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert torch.__version__.startswith(
        found["packages"]["torch"]
    )  # a build from PyPI does not say which in its package
    assert found["threads"]["torch"] == torch.get_num_threads()
    assert found["kernels"]["vector instructions"] == torch.backends.cpu.get_cpu_capability()
    assert "matplotlib" in found["extras"]["plot"]
    assert run(["about"]) == 0
    shown = capsys.readouterr().out
    assert f"torch {torch.__version__}" in shown
    assert found["machine"]["processor"] in shown


def test_about_names_what_steers_the_kernels_and_no_paths(capsys, monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("PYTORCH_KERNEL_CACHE_PATH", f"{os.sep}home{os.sep}somebody")
    assert run(["about", "--json"]) == 0
    environment = json.loads(capsys.readouterr().out)["environment"]
    assert environment["ATEN_CPU_CAPABILITY"] == "avx2"
    assert "PYTORCH_KERNEL_CACHE_PATH" not in environment


@pytest.mark.parametrize(
    ("begun", "number", "wanted"), [("undiffuse ver", 1, "verify"), ("undiffuse fill --st", 2, "--steps")]
)
def test_a_shell_is_told_what_may_come_next(begun, number, wanted):
    asked = {"_UNDIFFUSE_COMPLETE": "complete_bash", "COMP_WORDS": begun, "COMP_CWORD": str(number)}
    ended = subprocess.run(
        [sys.executable, "-m", "undiffuse"], capture_output=True, text=True, env={**os.environ, **asked}
    )
    assert wanted in ended.stdout.split()
    assert ended.stderr == ""


def test_a_message_cannot_steer_the_terminal(capsys):
    assert "\x1b" not in refused(capsys, "list", "\x1b[2J")


def test_an_error_of_the_system_is_one_line(capsys, tmp_path):
    unreadable = tmp_path / "folder"
    unreadable.mkdir()
    assert refused(capsys, "fill", "--file", str(unreadable)) == f"{unreadable} is a directory; name a file"
    assert refused(capsys, "fill", "--file", str(tmp_path / "none")) == f"there is no file {tmp_path / 'none'}"


def test_ctrl_c_ends_with_130(capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("undiffuse.cli.machine.prepare", interrupted)
    assert run(["verify"]) == 130
    assert capsys.readouterr() == ("", "undiffuse: interrupted\n")


def test_a_reader_that_leaves_ends_the_command_quietly():
    command = [sys.executable, "-m", "undiffuse", "--help"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout is not None
    started.stdout.close()
    with started:
        assert started.stderr is not None
        assert started.stderr.read() == ""
    assert started.returncode == 141


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_no_color_where_it_was_not_asked_for(environment):
    ended = subprocess.run(
        [sys.executable, "-m", "undiffuse", "list", "nothing"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert ended.returncode == 2
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", ended.stderr)


def test_list_names_every_family_and_its_kinds(capsys):
    from undiffuse.kinds import COMPONENTS

    assert run(["list"]) == 0
    shown = capsys.readouterr().out
    for family in COMPONENTS.values():
        for kind in family.kinds:
            assert re.search(rf"^  {kind} +\S", shown, re.MULTILINE), kind
    heads = re.findall(r"^(\S[^:\n]*):(.*)$", shown, re.MULTILINE)
    assert len(heads) == len(COMPONENTS) + 2  # and recipes, and demos
    assert all(meaning for _, meaning in heads), "what the names of each sort are for"


@pytest.mark.parametrize("name", ["strategy", "strategies"])
def test_list_of_one_family_shows_that_family_alone(capsys, name):
    assert run(["list", name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("strategies: which tokens")
    assert re.findall(r"^\w+:", shown, re.MULTILINE) == ["strategies:"]
    assert "  confidence " in shown


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_idle_threads_wait_briefly_unless_the_user_has_a_say(monkeypatch, given, expected):
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr(sys, "argv", ["undiffuse", "--version"])
    with pytest.raises(SystemExit):
        main.main()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
