"""The Hugging Face hub: what is asked, and what its answers mean.

Routes, parameters and the reading of answers are those of huggingface_hub 2.4 (`HfApi.list_models`,
`HfApi.model_info(files_metadata=True)`, `hf_hub_url`, `build_hf_headers`); tests hold them against that client
itself. Only the transport is ours, for its limits (`wire.py`).
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from huggingface_hub import ModelInfo, hf_hub_url
from huggingface_hub.utils import build_hf_headers

from pseudoword._version import __version__
from pseudoword.errors import BadOption, Unreachable
from pseudoword.hub.families_of import family_from_hub
from pseudoword.hub.references import HubReference
from pseudoword.hub.values import Found, Offer, RemoteFile
from pseudoword.hub.wire import Wire

TAG: Final = "textual_inversion"
CONCEPTS: Final = "sd-concepts-library"
_PAGE = 100
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")

HINTS: Mapping[int, str] = {
    401: "Check the id; a private or gated repository needs `hf auth login` or HF_TOKEN",
    403: "Accept the conditions on its page, and log in with `hf auth login` or HF_TOKEN",
    404: "Check the id; pseudoword find WORDS shows ids",
    429: "Try again later",
}


def headers() -> dict[str, str]:
    """Headers of a request to the hub, with the token of `hf auth login` or HF_TOKEN if there is one."""
    return build_hf_headers(library_name="pseudoword", library_version=__version__)


def search_hub(wire: Wire, words: str) -> list[Found]:
    """Concepts of the sd-concepts-library and everything tagged textual_inversion, as far as the id fits.

    The hub looks for one text in its ids, so it is asked for the longest word and the rest is ranking.
    """
    longest = max(words.split(), key=len)
    common: dict[str, Any] = {"search": longest, "sort": "downloads", "limit": _PAGE, "full": True, "cardData": True}
    found: dict[str, Found] = {}
    for narrowed in ({"author": CONCEPTS}, {"filter": [TAG]}):
        url = f"{wire.endpoints.hub}/api/models"
        answer = wire.get_json(url, params={**narrowed, **common}, headers=headers(), hints=HINTS)
        if not isinstance(answer, list):
            raise _strange()
        for item in answer:
            info = _info(item)
            found.setdefault(info.id, _found(info, wire.endpoints.hub))
    return list(found.values())


def hub_offer(wire: Wire, reference: HubReference) -> Offer:
    """The repository's files with sizes and hashes, at one commit.

    Raises:
        Unreachable: there is no such repository, or it is not for us.
        BadOption: it has no such file.
    """
    url = f"{wire.endpoints.hub}/api/models/{reference.repo}"
    if reference.revision is not None:
        url += f"/revision/{quote(reference.revision, safe='')}"
    info = _info(wire.get_json(url, params={"blobs": True}, headers=headers(), hints=HINTS))
    files = tuple(_file(info, sibling, wire.endpoints.hub) for sibling in info.siblings or ())
    if reference.file is not None and all(file.name != reference.file for file in files):
        some = ", ".join(file.name for file in files[:8])
        raise BadOption(f"{info.id} has no file {reference.file}", expected=f"one of {some}")
    return Offer(
        id=info.id,
        source="hub",
        page=f"{wire.endpoints.hub}/{info.id}",
        title=info.id.split("/")[-1],
        revision=info.sha,
        files=files,
        primary=reference.file,
        base_model=_base_model(info),
        licence=_licence(info),
        creator=info.id.split("/")[0],
    )


def _info(item: object) -> ModelInfo:
    try:
        return ModelInfo(**{"siblings": None, **item})  # pyright: ignore[reportGeneralTypeIssues]  # checked by trying
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _strange() from None


def _strange() -> Unreachable:
    return Unreachable("the hub answered in a form that is not known here", next_move="Check HF_ENDPOINT")


def _file(info: ModelInfo, sibling: Any, endpoint: str) -> RemoteFile:
    lfs = sibling.lfs
    return RemoteFile(
        name=sibling.rfilename,
        url=hf_hub_url(info.id, sibling.rfilename, revision=info.sha, endpoint=endpoint),
        size=sibling.size,
        sha256=lfs.sha256.lower() if lfs else None,
        git_sha1=None if lfs else sibling.blob_id,
        headers=headers(),
    )


def _found(info: ModelInfo, endpoint: str) -> Found:
    base_model = _base_model(info)
    return Found(
        id=info.id,
        source="hub",
        name=info.id.split("/")[-1],
        family=family_from_hub(base_model),
        base_model=base_model,
        downloads=info.downloads,
        licence=_licence(info),
        preview=_preview(info, endpoint),
        page=f"{endpoint}/{info.id}",
    )


def _card(info: ModelInfo, key: str) -> object:
    return getattr(info.card_data, key, None) if info.card_data is not None else None


def _tagged(info: ModelInfo, prefix: str) -> str | None:
    return next((tag.removeprefix(prefix) for tag in info.tags or () if tag.startswith(prefix)), None)


def _base_model(info: ModelInfo) -> str | None:
    told = _card(info, "base_model")
    if isinstance(told, list):
        told = told[0] if told else None
    return told if isinstance(told, str) else _tagged(info, "base_model:")


def _licence(info: ModelInfo) -> str | None:
    told = _card(info, "license")
    return told if isinstance(told, str) else _tagged(info, "license:")


def _preview(info: ModelInfo, endpoint: str) -> str | None:
    """The card's first sample picture, else the first picture among the files."""
    names = [sibling.rfilename for sibling in info.siblings or ()]
    chosen = _widget_picture(_card(info, "widget")) or _first_picture(names)
    if chosen is None or chosen.startswith("https://"):
        return chosen
    return hf_hub_url(info.id, chosen, endpoint=endpoint)


def _widget_picture(widget: object) -> str | None:
    entries = widget if isinstance(widget, list) else []
    outputs = [entry.get("output") for entry in entries if isinstance(entry, dict)]
    urls = [output.get("url") for output in outputs if isinstance(output, dict)]
    return next((url for url in urls if isinstance(url, str) and _is_picture(url)), None)


def _first_picture(names: Iterable[str]) -> str | None:
    return next((name for name in sorted(names) if _is_picture(name)), None)


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _PICTURES
