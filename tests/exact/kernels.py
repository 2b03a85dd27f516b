"""Laws hold on processors other than this one: `undiffuse verify` under the kernels that their libraries would choose.

A program of its own, `kernels.py [PATTERN]` (`make verify-kernels`). PyTorch's own loops follow ATEN_CPU_CAPABILITY;
its products and decompositions are MKL's, which follow MKL_CBWR or else MKL_ENABLE_INSTRUCTIONS; some of its float32 is
oneDNN's (ONEDNN_MAX_CPU_ISA), and NumPy's products are OpenBLAS's (OPENBLAS_CORETYPE). They do not know of each other,
so that one run sets them all. A setting above what the processor has changes nothing.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from undiffuse.exact.verify import verify

KERNELS = {
    "as they come": {},
    "of 2008": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "the same on all": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Zen",
    },
}
AT_ONCE = 2
LONG = ("likelihood/intervals",)
"""Laws that take minutes and count hits of draws, which are the same everywhere: under one kernel that is enough."""
WORKER = "--worker"


def results(kernels: str, pattern: str) -> list[dict]:
    """What holds under some kernels, in a process of its own; an error of its own ends this program."""
    command = [sys.executable, __file__, WORKER, pattern, *([] if kernels == next(iter(KERNELS)) else LONG)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | KERNELS[kernels], check=False)
    if done.returncode:
        sys.exit(f"verify under {kernels}: {done.stderr}")
    return json.loads(done.stdout)


def main(pattern: str = "") -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(KERNELS, pool.map(lambda kernels: results(kernels, pattern), KERNELS), strict=True))
    failed = 0
    for kernels, laws in found.items():
        wrong = [law for law in laws if not law["passed"]]
        failed += len(wrong)
        print(f"kernels {kernels}: {len(laws) - len(wrong)} of {len(laws)} hold")
        for law in wrong:
            print(f"  FAIL  error {law['error']:.3g} > {law['tolerance']:.3g}  {law['law']}: {law['component']}")
    sys.exit(1 if failed else 0)


def work(pattern: str, *without: str) -> None:
    """Print the records of `undiffuse verify` without some laws."""
    import torch

    torch.set_num_threads(1)
    print(json.dumps([result.record() for result in verify(pattern, without=without)]))


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        work(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
