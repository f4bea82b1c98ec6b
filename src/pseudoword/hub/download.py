"""Download of one file into a `.part` file: limited in size, resumed where it broke, checked by its hash.

Invariant: when the generator ends, the `.part` file is the whole file that the service announced. A part whose
hash is wrong is removed, so that no later try builds on it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pseudoword.errors import BadFile, Unreachable
from pseudoword.events import Progress
from pseudoword.files import sha256
from pseudoword.hub.values import RemoteFile
from pseudoword.hub.wire import Passing, Wire

if TYPE_CHECKING:
    import httpx

_MAX_STARTS = 40
"""Connections for one file, also where each of them brings a little."""

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_NO_RANGE = re.compile(r"bytes \*/(\d+)")


class _Restart(Passing):
    """The part that is there is of no use to this server."""


def download(wire: Wire, file: RemoteFile, part: Path, *, limit: int, hints: Mapping[int, str]) -> Iterator[Progress]:
    """Fetch `file` into `part`, going on from what is there; yields `Progress` in KiB.

    Args:
        wire: the client.
        file: what to fetch.
        part: where to; its folder is made.
        limit: bytes at most, checked against what is announced and against what comes.
        hints: what the user can do about a status, by status.

    Raises:
        BadFile: too large, or not what was announced.
        Unreachable: the server cannot be reached or refuses.
    """
    _check_size(file, file.size or file.about or 0, limit)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield from _until_whole(wire, file, part, limit, hints)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise BadFile(f"{part} cannot be written ({reason})", next_move="Set PSEUDOWORD_CACHE_DIR") from problem


def _until_whole(wire: Wire, file: RemoteFile, part: Path, limit: int, hints: Mapping[int, str]) -> Iterator[Progress]:
    if file.sha256 is None and file.git_sha1 is None:
        part.unlink(missing_ok=True)  # nothing would tell whether the old half belongs to the new one
    resumed = _size(part) > 0
    failures = 0
    for _ in range(_MAX_STARTS):
        before = _size(part)
        try:
            yield from _receive(wire, file, part, limit, hints)
        except Passing as passing:
            failures = failures + 1 if _size(part) <= before else 1
            if isinstance(passing, _Restart):
                part.unlink(missing_ok=True)
            wire.pause(passing, failures)
            continue
        problem = _difference(file, part)
        if problem is None:
            return
        part.unlink(missing_ok=True)
        if not resumed:
            raise BadFile(f"{file.name}: {problem}", next_move="Try again; if it stays so, do not use this file")
        resumed = False  # the old half may have been of another version: once more from the start
    raise Unreachable(f"the connection broke {_MAX_STARTS} times", next_move="Try again later; what came is kept")


def _receive(wire: Wire, file: RemoteFile, part: Path, limit: int, hints: Mapping[int, str]) -> Iterator[Progress]:
    have = _size(part)
    if file.size is not None and have >= file.size:
        return
    headers = {**file.headers, "accept-encoding": "identity"}
    if have:
        headers["range"] = f"bytes={have}-"
    with wire.open(file.url, headers=headers, hints=hints) as response:
        start = _start(response, have)
        if start is None:
            return
        if start != have:
            part.unlink(missing_ok=True)
        length = response.headers.get("content-length", "")
        total = start + int(length) if length.isascii() and length.isdigit() else file.size or file.about or 0
        _check_size(file, total, limit)
        yield from _write(response, file, part, start, total, limit)


def _start(response: "httpx.Response", have: int) -> int | None:
    """Offset of the first byte of this answer; None where nothing is left to fetch.

    Raises:
        Unreachable: a web page, or a part that nobody asked for.
    """
    host = response.url.host
    if response.status_code == 416:
        whole = _NO_RANGE.fullmatch(response.headers.get("content-range", ""))
        if whole is not None and int(whole[1]) == have:
            return None
        raise _again(f"{host} does not go on from byte {have}")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise Unreachable(f"{host} answered with a web page in place of the file", next_move="Look at it in a browser")
    if response.status_code == 200:
        return 0
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or int(found[1]) != have or "content-encoding" in response.headers:
        raise _again(f"{host} sends another part than byte {have} and on")
    return have


def _again(reason: str) -> "_Restart":
    return _Restart(Unreachable(reason, next_move="Try again later"), tries=2, wait=0.0)


def _write(
    response: "httpx.Response", file: RemoteFile, part: Path, done: int, total: int, limit: int
) -> Iterator[Progress]:
    label = f"fetching {Path(file.name).name} (KiB)"
    yield Progress(label=label, done=done >> 10, total=max(total, done) >> 10)
    with part.open("ab") as handle:
        for chunk in response.iter_bytes():  # as they come: a block that is not full would be lost with the connection
            done += len(chunk)
            if done > limit:
                handle.close()
                part.unlink(missing_ok=True)
                _check_size(file, done, limit)
            handle.write(chunk)
            yield Progress(label=label, done=done >> 10, total=max(total, done) >> 10)


def _check_size(file: RemoteFile, size: int, limit: int) -> None:
    if size > limit:
        raise BadFile(
            f"{file.name}: at least {size / (1 << 20):.1f} MiB",
            expected=f"at most {limit / (1 << 20):g} MiB",
            next_move="Give a larger --max-size if you know what it is",
        )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _difference(file: RemoteFile, part: Path) -> str | None:
    """In what the file differs from what was announced; None where it does not."""
    if file.size is not None and _size(part) != file.size:
        return f"{_size(part)} bytes came, where {file.size} were announced"
    if file.sha256 is not None:
        found, wanted = sha256(part), file.sha256
    elif file.git_sha1 is not None:
        content = part.read_bytes()
        blob = b"blob %d\0" % len(content) + content
        found, wanted = hashlib.sha1(blob, usedforsecurity=False).hexdigest(), file.git_sha1
    else:
        return None
    return None if found == wanted else f"its hash is {found[:16]}…, where {wanted[:16]}… was announced"
