"""Says what a picture says about itself: who drew it, from which words, with which settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pseudoword.generation.infotext import parse_infotext
from pseudoword.generation.metadata import PictureInfo, read_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureReport:
    """A picture's account, and as what A1111 would read it."""

    path: Path
    info: PictureInfo
    parameters: Mapping[str, str]
    """A1111's keys with everything filled in that it would fill in; empty where there is no infotext."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        infotext = self.info.infotext
        return {
            "path": str(self.path),
            "format": self.info.format,
            "width": self.info.size[0],
            "height": self.info.size[1],
            "program": self.info.program,
            "prompt": infotext.prompt if infotext else "",
            "negative_prompt": infotext.negative_prompt if infotext else "",
            "values": dict(infotext.values) if infotext else {},
            "infotext": self.info.text,
            "parameters": dict(self.parameters),
            "texts": dict(self.info.texts),
        }


def picture_info(path: Path) -> PictureReport:
    """Read one picture.

    Raises:
        BadFile: it is not there, is no picture, is damaged or too large.
    """
    info = read_picture(path)
    return PictureReport(path=path, info=info, parameters=parse_infotext(info.text) if info.text else {})
