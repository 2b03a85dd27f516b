"""The allocator's setting, seen from outside: page faults, in a process of its own because it cannot be undone."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from undiffuse.training.allocator import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(2 << 20) for _ in range(20)]  # the activations of a step, 8 MB each
    del held
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(setting):
    # glibc's first threshold, which it would raise while the process runs by what happens to be freed first
    fixed = os.environ | {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}
    command = [sys.executable, "-c", PROGRAM, setting]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=fixed)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_tensors_are_used_again_without_page_faults():
    assert faults("keep") < faults("leave") / 4
