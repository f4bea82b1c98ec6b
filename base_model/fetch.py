"""Fetch the training icon sets: `npm pack` each package of the table and unpack three files of it.

Only npm's ordinary client is used. Sets already unpacked in the wanted version are skipped, so the command
can be repeated after an interruption. Kept-back sets are not in the table and so are never fetched from
here.
"""

import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from base_model.options import names, option
from base_model.sets import BY_NAME, TRAINING_SETS, IconSet
from base_model.work import Refused, Work
from pseudoword.files import atomic_write

FILES = ("info.json", "package.json", "icons.json")  # icons.json last: its presence marks a complete set


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """Options of `fetch`."""

    sets: tuple[str, ...] = option((), "only these training sets, separated by commas", names)


def run(work: Work, options: FetchOptions) -> None:
    """Bring the training sets into `work.icons`.

    Raises:
        Refused: a set is not in the training table, or npm failed.
    """
    unknown = set(options.sets) - set(BY_NAME)
    if unknown:
        raise Refused(f"not in the table of training sets: {', '.join(sorted(unknown))}. See base_model/sets.py")
    for icons in TRAINING_SETS:
        if options.sets and icons.name not in options.sets:
            continue
        if _version(work.icons / icons.name) == icons.version:
            print(f"{icons.name} {icons.version}: already there")
            continue
        _fetch(icons, work.icons / icons.name)
        print(f"{icons.name} {icons.version}: fetched")


def _version(folder: Path) -> str | None:
    if not (folder / "icons.json").is_file() or not (folder / "package.json").is_file():
        return None
    return json.loads((folder / "package.json").read_text("utf-8"))["version"]


def _fetch(icons: IconSet, folder: Path) -> None:
    package = f"@iconify-json/{icons.name}@{icons.version}"
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", package, "--silent", "--pack-destination", scratch]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as missing:
            raise Refused("npm is not installed. Install Node.js, or unpack the packages by hand") from missing
        if done.returncode:
            raise Refused(f"npm pack {package} failed: {done.stderr.strip()}")
        (archive,) = Path(scratch).glob("*.tgz")
        _unpack(archive, folder)


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        for name in FILES:
            member = packed.extractfile(f"package/{name}")
            if member is None:
                raise Refused(f"{archive.name} holds no file {name}")
            atomic_write(folder / name, member.read())
