"""The command line: `python -m base_model STAGE --work DIR [options]`.

A stage's module is imported when it runs, so `--help` and `render` need no torch.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base_model.options import add_options, read_options
from base_model.work import DEFAULT_ROOT, REMADE, Refused, Work

COMMANDS = {
    "fetch": ("FetchOptions", "bring the training icon sets into the work folder (npm)"),
    "render": ("RenderOptions", "1: draw the icons"),
    "autoencoder": ("AutoencoderOptions", "2: train the autoencoder"),
    "latents": ("LatentsOptions", "3: encode the pictures"),
    "denoiser": ("DenoiserOptions", "4: train tokenizer, text encoder and UNet"),
    "export": ("ExportOptions", "5: write the pipeline folder"),
    "card": ("CardOptions", "6: write the model card"),
    "sibling": ("SiblingOptions", "after render: tune the model that ships to another look"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit status (2 for what the user can mend)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    stage, parsed = _parse(given)
    work = Work(parsed.work)
    module = importlib.import_module(f"base_model.{stage}")
    options: Any = read_options(getattr(module, COMMANDS[stage][0]), parsed)
    try:
        if hasattr(module, "check"):
            module.check(work, options)  # refuses before anything is removed
        if stage in REMADE and parsed.again:
            work.restart(stage)
        if stage in REMADE and work.is_finished(stage):
            print(f"{stage}: already finished (--again does it anew)")
            return 0
        module.run(work, options)
    except Refused as reason:
        print(f"{stage}: {reason}.", file=sys.stderr)
        return 2
    return 0


def _parse(given: list[str]) -> tuple[str, argparse.Namespace]:
    """The stage, and its options from its own dataclass."""
    parser = argparse.ArgumentParser("python -m base_model", description=__doc__)
    listing = "; ".join(f"{name}: {text}" for name, (_, text) in COMMANDS.items())
    parser.add_argument("stage", choices=list(COMMANDS), help=listing)
    if not given or given[0] not in COMMANDS:
        parser.parse_args(given[:1])
    stage = given[0]
    options, text = COMMANDS[stage]
    own = argparse.ArgumentParser(f"python -m base_model {stage}", description=text)
    own.add_argument("--work", type=Path, default=DEFAULT_ROOT, help=f"work folder (default {DEFAULT_ROOT})")
    if stage in REMADE:
        own.add_argument("--again", action="store_true", help="anew; removes what later stages made from it too")
    add_options(own, getattr(importlib.import_module(f"base_model.{stage}"), options))
    return stage, own.parse_args(given[1:])


if __name__ == "__main__":
    sys.exit(main())
