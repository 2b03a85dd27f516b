"""`python -m undiffuse`, the same as the `undiffuse` command."""

from .cli.main import main

main()
