"""What small diffusion language models can do, in under four minutes: train them live, ask them, measure them.

python examples/demo.py           what `undiffuse demo` does
python examples/demo.py --quick   the same in under 45 seconds
"""

import argparse
import sys

from undiffuse.cli.main import run

QUICK_MINUTES = 0.15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="train each model for nine seconds")
    return run(["demo", *(["--minutes", str(QUICK_MINUTES)] if parser.parse_args().quick else [])])


if __name__ == "__main__":
    sys.exit(main())
