"""`pseudoword demo`."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from pseudoword.cli._errors import INTERRUPTED, clear_errors
from pseudoword.settings import Settings


def demo(
    out: Annotated[Path, typer.Option(help="Folder for what the demo makes.")] = Path("demo"),
    word: Annotated[str, typer.Option(help="hikon (a style) or mirp (a subject).")] = "hikon",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
) -> None:
    """Teach the bundled model a word from the sample pictures, and show it before and after."""
    from pseudoword.cli._interrupt import show_until_stopped

    with clear_errors():
        from pseudoword.services.demo import demo_word, run_demo

        chosen = demo_word(word)
        shown, stopped = show_until_stopped(run_demo(out, Settings.from_environment(), demo=chosen, seed=seed))
    if stopped:
        typer.echo("stopped")
        raise typer.Exit(INTERRUPTED)
    program = _program()
    prompt = "a fish, [name] style" if chosen.template == "style" else "a [name] on a red background"
    typer.echo("\nTry next:")
    typer.echo(f'  {program} generate "{prompt.replace("[name]", word)}" --embeddings-dir {shlex.quote(str(out))}')
    typer.echo(f"  {program} train myword YOUR_PICTURES --template {chosen.template} --init '{chosen.init}'")
    typer.echo(f"  {program} resume {shlex.quote(str(shown.run))} --steps {2 * chosen.steps}")


def _program() -> str:
    """How this program was called, if its plain name would not be found."""
    if shutil.which("pseudoword"):
        return "pseudoword"
    called = Path(sys.argv[0])
    if called.is_absolute() and called.is_relative_to(Path.cwd()):
        return str(called.relative_to(Path.cwd()))
    return str(called)
