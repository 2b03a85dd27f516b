"""Settings of all tests: no time limits on examples, the same examples in every run, one thread per worker.

`make test` takes under five minutes on two cores, and should take four, so a test costs at most 2 CPU seconds, a file
of tests 5, and a new folder 20: `make test PROFILE=1` says what they do cost. What costs more is marked `slow`, which
is for `make test-all` (and so for `.ci/run`) alone; a law keeps a mutation in `make test`. To stay below, share what is
trained (fixtures of a session), call commands in the process (`undiffuse.cli.main.run`; a program of its own costs 2
seconds to import torch), and enumerate the smallest world that shows the fault.
"""

import gc
import os

import pytest
from cost import Cost
from shapes import Checks, install

CHECKS = Checks()


def prepare() -> None:
    """Before anything of the package is imported, in every process that runs tests."""
    import torch
    from hypothesis import settings

    settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
    settings.load_profile("suite")
    torch.set_num_threads(1)
    install(CHECKS)


def hands_out(config: pytest.Config) -> bool:
    """Whether this process leaves the tests to workers: it then has no need of torch, which takes seconds to import."""
    return "PYTEST_XDIST_WORKER" not in os.environ and bool(getattr(config.known_args_namespace, "numprocesses", 0))


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not hands_out(pluginmanager.getplugin("pytestconfig")):
        prepare()
    group = parser.getgroup("undiffuse")
    group.addoption(
        "--every-shape", action="store_true", help="check shapes in every call, and laws on more components"
    )
    group.addoption("--cost", action="store_true", help="list CPU seconds by folder, file and test")


def pytest_configure(config: pytest.Config) -> None:
    CHECKS.every = config.getoption("every_shape")
    if config.getoption("cost"):
        config.pluginmanager.register(Cost(config), "cost")


def pytest_collection_finish() -> None:
    """What all modules hold is not looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    CHECKS.begin(item.nodeid.partition("[")[0])
