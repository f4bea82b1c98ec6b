"""`python -m pseudoword` is `pseudoword`."""

from pseudoword.cli.main import run

run()
