"""The command line: one file per verb. A verb parses, builds and calls; it decides nothing about models.

Only `typer` is imported at the top of these files. Everything heavier is imported inside a verb's function, so that
`--help` and `--version` answer at once.
"""
