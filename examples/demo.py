"""What small diffusion language models can do, in under four minutes: train them live, ask them, measure them.

python examples/demo.py           what `undiffuse demo` does
python examples/demo.py --quick   the same with less training
"""

import argparse
import sys

from undiffuse.cli.main import run

QUICK = {"world": 0.25, "pages": 0.08}
"""Minutes of training of each model."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="train each model for nine seconds")
    if not parser.parse_args().quick:
        return run(["demo"])
    codes = (run(["demo", name, "--minutes", str(minutes)]) for name, minutes in QUICK.items())
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main())
