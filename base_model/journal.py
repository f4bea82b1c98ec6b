"""A stage's log, one JSON object a line; after a kill, lines past the saved state are cut off."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pseudoword.files import atomic_write


@dataclass(frozen=True, slots=True)
class Journal:
    """The JSONL file at `path`; every line has a `step`."""

    path: Path

    def add(self, line: dict[str, Any]) -> None:
        """Append one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines; a line that a kill cut in half is left out."""
        if not self.path.is_file():
            return []
        whole = self.path.read_text("utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def cut_after(self, step: int) -> None:
        """Forget what was logged after `step`: the resumed run will do it again."""
        kept = [json.dumps(line) + "\n" for line in self.lines() if line["step"] <= step]
        atomic_write(self.path, "".join(kept).encode())
