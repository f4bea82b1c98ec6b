"""Civitai's public REST API: what is asked, and what its answers mean.

Source: developer.civitai.com/site/reference/models, …/model-versions, …/guide/errors and …/guide/pagination, and
the older civitai.com/github/wiki/REST-API-Reference. `query` allows no `page`; `allowCommercialUse` is a list now
and was a word before; `sizeKB` is a number of KiB that may be rounded.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from pseudoword.errors import BadOption, Unreachable
from pseudoword.families import FAMILIES
from pseudoword.hub.families_of import family_from_civitai
from pseudoword.hub.references import CivitaiReference
from pseudoword.hub.values import Found, Offer, RemoteFile
from pseudoword.hub.wire import Wire
from pseudoword.settings import Endpoints

KIND: Final = "TextualInversion"
_PAGE = 100
_PUBLIC = "https://civitai.com/"
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_EMBEDDING_FILES = ("Model", "Pruned Model", "Negative")
"""Types of file that hold vectors; others are training data, configurations and archives."""

_WRAPPING = 3000
"""Bytes of a file beside its vectors, at most: a header, or a pickle with names in a zip."""

HINTS: Mapping[int, str] = {
    400: "Try other words",
    401: "Make an API key in your account's settings at Civitai and set CIVITAI_API_TOKEN",
    403: "Make an API key in your account's settings at Civitai and set CIVITAI_API_TOKEN",
    404: "Check the number; pseudoword find WORDS shows ids",
    429: "Try again later",
}

Json = Mapping[str, Any]


def headers(endpoints: Endpoints) -> dict[str, str]:
    """Headers of a request, with the API key if there is one."""
    return {"authorization": f"Bearer {endpoints.civitai_token}"} if endpoints.civitai_token else {}


def search_civitai(wire: Wire, words: str) -> list[Found]:
    """Embeddings whose name or description fits the words, in Civitai's order."""
    params: dict[str, str | int | bool | list[str]] = {"types": KIND, "query": words, "limit": _PAGE}
    url = f"{wire.endpoints.civitai}/api/v1/models"
    answer = _mapping(wire.get_json(url, params=params, headers=headers(wire.endpoints), hints=HINTS))
    models = [_mapping(item) for item in _list(answer, "items")]
    return [_found(model, wire.endpoints) for model in models if model.get("type") == KIND and "id" in model]


def civitai_offer(wire: Wire, reference: CivitaiReference) -> Offer:
    """The files of the newest version, or of the one that is named.

    Raises:
        Unreachable: there is no such model or version.
        BadOption: it is no embedding, or has no such version.
    """
    api = f"{wire.endpoints.civitai}/api/v1"
    if reference.model is None:
        version = _ask(wire, f"{api}/model-versions/{reference.version}")
        model: Json = {**_mapping(version.get("model", {})), "id": version.get("modelId")}
    else:
        model = _ask(wire, f"{api}/models/{reference.model}")
        version = _version(model, reference)
    if model.get("type") != KIND:
        raise BadOption(
            f"civitai:{model.get('id')} is of type {model.get('type')}", expected=f"{KIND}, which is an embedding"
        )
    files = [_file(_mapping(item), wire.endpoints) for item in _list(version, "files") if _holds_vectors(item)]
    primary = next((file["name"] for file in map(_mapping, _list(version, "files")) if file.get("primary")), None)
    return Offer(
        id=f"civitai:{model.get('id')}@{version.get('id')}",
        source="civitai",
        page=f"{wire.endpoints.civitai}/models/{model.get('id')}?modelVersionId={version.get('id')}",
        title=_text(model, "name") or f"civitai-{model.get('id')}",
        revision=str(version.get("id")),
        files=tuple(files),
        primary=_named(reference, files) or primary,
        base_model=_text(version, "baseModel"),
        licence=_licence(model),
        creator=_text(_mapping(model.get("creator") or {}), "username"),
        trained_words=tuple(word for word in _list(version, "trainedWords") if isinstance(word, str)),
    )


def _ask(wire: Wire, url: str) -> Json:
    return _mapping(wire.get_json(url, headers=headers(wire.endpoints), hints=HINTS))


def _version(model: Json, reference: CivitaiReference) -> Json:
    versions = [_mapping(item) for item in _list(model, "modelVersions")]
    if reference.version is None:
        return next((version for version in versions if _list(version, "files")), {})
    for version in versions:
        if version.get("id") == reference.version:
            return version
    known = ", ".join(f"@{version.get('id')} ({version.get('name')})" for version in versions[:8])
    raise BadOption(f"civitai:{reference.model} has no version {reference.version}", expected=f"one of {known}")


def _named(reference: CivitaiReference, files: list[RemoteFile]) -> str | None:
    if reference.file is None or any(file.name == reference.file for file in files):
        return reference.file
    names = ", ".join(file.name for file in files[:8])
    raise BadOption(f"there is no file {reference.file} at civitai:{reference.model}", expected=f"one of {names}")


def _holds_vectors(item: object) -> bool:
    return isinstance(item, dict) and item.get("type", "Model") in _EMBEDDING_FILES and "downloadUrl" in item


def _file(file: Json, endpoints: Endpoints) -> RemoteFile:
    told = _text(_mapping(file.get("hashes") or {}), "SHA256") or ""
    url = str(file["downloadUrl"])
    if url.startswith(_PUBLIC):
        url = f"{endpoints.civitai}/{url.removeprefix(_PUBLIC)}"
    scans = [f"{kind} scan" for kind in ("pickle", "virus") if file.get(f"{kind}ScanResult") == "Danger"]
    return RemoteFile(
        name=str(file.get("name") or "embedding"),
        url=url,
        about=_bytes(file),
        sha256=told.lower() if _SHA256.fullmatch(told) else None,
        headers=headers(endpoints),
        danger=f"Civitai's {' and '.join(scans)} of this file says Danger" if scans else None,
    )


def _bytes(file: Json) -> int | None:
    size = file.get("sizeKB")
    return round(size * 1024) if isinstance(size, int | float) and 0 <= size < 1 << 40 else None


def _found(model: Json, endpoints: Endpoints) -> Found:
    version = next((_mapping(item) for item in _list(model, "modelVersions")), {})
    family = family_from_civitai(_text(version, "baseModel"))
    downloads = _mapping(model.get("stats") or {}).get("downloadCount")
    return Found(
        id=f"civitai:{model['id']}",
        source="civitai",
        name=_text(model, "name") or str(model["id"]),
        family=family,
        base_model=_text(version, "baseModel"),
        vectors=_vectors(version, family),
        downloads=downloads if isinstance(downloads, int) else None,
        licence=_licence(model),
        preview=_preview(version),
        page=f"{endpoints.civitai}/models/{model['id']}",
    )


def _vectors(version: Json, family: str | None) -> int | None:
    """How many float32 vectors the primary file has room for, where the rest is small against one of them."""
    file = next((_mapping(item) for item in _list(version, "files") if _holds_vectors(item)), {})
    size, widths = _bytes(file), sum(FAMILIES[family].widths.values()) if family and family in FAMILIES else 0
    if not widths or size is None or _mapping(file.get("metadata") or {}).get("fp") == "fp16":
        return None
    count, rest = divmod(size, 4 * widths)
    return count if 1 <= count <= 75 and rest <= _WRAPPING else None


def _preview(version: Json) -> str | None:
    pictures = [_mapping(item) for item in _list(version, "images")]
    return next((_text(picture, "url") for picture in pictures if picture.get("type", "image") == "image"), None)


def _licence(model: Json) -> str | None:
    """The permissions that the creator gives, in a few words; None where the API does not say."""
    if "allowCommercialUse" not in model and "allowNoCredit" not in model:
        return None
    told = model.get("allowCommercialUse")
    uses = [told] if isinstance(told, str) else [use for use in told or [] if isinstance(use, str)]
    sold = [use for use in uses if use != "None"]
    parts = [
        "" if model.get("allowNoCredit") else "credit",
        f"commercial: {'+'.join(sold)}" if sold else "not commercial",
        "" if model.get("allowDerivatives", True) else "no derivatives",
        "" if model.get("allowDifferentLicense", True) else "same licence",
    ]
    return ", ".join(filter(None, parts))


def _mapping(value: object) -> Json:
    if not isinstance(value, dict):
        raise Unreachable("Civitai answered in a form that is not known here", next_move="Look at it in a browser")
    return cast("Json", value)


def _list(value: Json, key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _text(value: Json, key: str) -> str | None:
    found = value.get(key)
    return found if isinstance(found, str) and found else None
