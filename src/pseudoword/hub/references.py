"""From what a user writes or copies out of a browser to what is asked of a service. Pure text, no network."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from pseudoword.errors import BadOption
from pseudoword.settings import Endpoints

_PART = r"[A-Za-z0-9][\w.-]*"
_HUB_ID = re.compile(rf"(?:hf:)?({_PART}/{_PART})(?:@({_PART}))?(?:/(.+))?")
_CIVITAI_ID = re.compile(r"civitai:(\d+)(?:@(\d+))?(?:/(.+))?")
_AIR = re.compile(r"(?:urn:air:[\w.-]+:[\w.-]+:)civitai:(\d+)(?:@(\d+))?")
_HUB_HOSTS = frozenset({"huggingface.co", "hf.co", "www.huggingface.co"})
_CIVITAI_HOSTS = frozenset({"civitai.com", "www.civitai.com"})
_FILE_VIEWS = ("blob", "resolve", "raw")

_EXPECTED = "owner/name or owner/name/FILE of the hub, civitai:MODEL or civitai:MODEL@VERSION, or the page's address"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReference:
    """A repository of the Hugging Face hub, and perhaps one file in it."""

    repo: str
    revision: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CivitaiReference:
    """A model of Civitai, or one version; `model` is None where only the version is known."""

    model: int | None
    version: int | None = None
    file: str | None = None


Reference = HubReference | CivitaiReference


def parse_reference(text: str, endpoints: Endpoints) -> Reference:
    """What `text` names.

    Raises:
        BadOption: it is neither an id nor the address of a page of the two services.
    """
    text = text.strip()
    if match := _AIR.fullmatch(text) or _CIVITAI_ID.fullmatch(text):
        model, version, *rest = match.groups()
        return CivitaiReference(
            model=int(model), version=int(version) if version else None, file=rest[0] if rest else None
        )
    found = _from_address(text, endpoints) if "://" in text else _from_hub_id(text)
    if found is None:
        raise BadOption(f"id {text!r}", expected=_EXPECTED, next_move="pseudoword find WORDS shows ids")
    return found


def _from_hub_id(text: str) -> HubReference | None:
    match = _HUB_ID.fullmatch(text)
    if match is None or not _is_plain_path(match[3]):
        return None
    return HubReference(repo=match[1], revision=match[2], file=match[3])


def _is_plain_path(path: str | None) -> bool:
    return path is None or not {"", ".", ".."} & set(path.split("/"))


def _from_address(text: str, endpoints: Endpoints) -> Reference | None:
    try:
        address = urlsplit(text)
        host = address.netloc.lower()
    except ValueError:
        return None
    parts = [unquote(part) for part in address.path.split("/") if part]
    if host in _CIVITAI_HOSTS or host == urlsplit(endpoints.civitai).netloc:
        return _from_civitai_path(parts, parse_qs(address.query))
    if host in _HUB_HOSTS or host == urlsplit(endpoints.hub).netloc:
        return _from_hub_path(parts)
    return None


def _from_civitai_path(parts: list[str], query: dict[str, list[str]]) -> CivitaiReference | None:
    version = query.get("modelVersionId", [""])[0]
    match parts:
        case ["models", model, *_] if model.isdigit():
            return CivitaiReference(model=int(model), version=int(version) if version.isdigit() else None)
        case ["model-versions", number, *_] | ["api", "download", "models", number] if number.isdigit():
            return CivitaiReference(model=None, version=int(number))
        case _:
            return None


def _from_hub_path(parts: list[str]) -> HubReference | None:
    match parts:
        case [owner, name]:
            found = _from_hub_id(f"{owner}/{name}")
        case [owner, name, "tree", revision]:
            found = _from_hub_id(f"{owner}/{name}@{revision}")
        case [owner, name, view, revision, *file] if view in _FILE_VIEWS and file:
            found = _from_hub_id(f"{owner}/{name}@{revision}/{'/'.join(file)}")
        case _:
            found = None
    return found
