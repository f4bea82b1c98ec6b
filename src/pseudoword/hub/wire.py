"""The only door to the network: bounded waits, bounded answers, checked redirects, errors in one line.

Retries follow what the services publish: connection trouble, 408, 429 and 5xx are tried again with doubling
waits (Civitai, developer.civitai.com/site/guide/errors: from about 1 s to at most about 30 s), and a wait that
the server asks for (`Retry-After`, RFC 9110 §10.2.3; the hub's `RateLimit` header) is kept where it is short
and told where it is long. huggingface_hub's own client has no such bound, which is why reading does not go
through it (docs/decisions/0008).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from pseudoword._version import __version__
from pseudoword.errors import MissingExtra, Unreachable
from pseudoword.hub.addresses import Origin, check_address, is_public, origin, uses_proxy
from pseudoword.settings import Endpoints

if TYPE_CHECKING:
    import httpx

_PASSING = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_FINE = frozenset({200, 206, 416})
_MAX_REDIRECTS = 10
_MAX_JSON = 32 << 20
_MAX_MESSAGE = 4096

Params = Mapping[str, str | int | bool | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long something is tried; seconds."""

    tries: int = 4
    connection_tries: int = 2
    """Where nobody answers at all, more tries would only delay the news."""
    first_wait: float = 1.0
    longest_wait: float = 30.0
    """A server that asks for a longer one is not waited for."""
    connect: float = 10.0
    read: float = 30.0

    def wait(self, number: int) -> float:
        """Seconds before the next try after `number` failed ones."""
        return min(self.first_wait * 2 ** (number - 1), self.longest_wait)


PATIENCE: Final = Patience()


class Passing(Exception):
    """Trouble that may be over at the next try.

    Args:
        problem: what is raised when it does not pass.
        tries: how often it is tried in all.
        wait: seconds that the server asked for.
    """

    def __init__(self, problem: Unreachable, *, tries: int, wait: float | None = None) -> None:
        self.problem = problem
        self.tries = tries
        self.wait = wait
        super().__init__(str(problem))


class Wire:
    """A client for the services of `endpoints`; use as a context manager.

    Raises:
        MissingExtra: httpx is not installed.
        Unreachable: offline mode is on.
    """

    def __init__(self, endpoints: Endpoints, patience: Patience = PATIENCE) -> None:
        if endpoints.offline:
            raise Unreachable("HF_HUB_OFFLINE is set, so no server is asked", next_move="Unset it and try again")
        check_installed()
        import httpx

        self.endpoints = endpoints
        self.patience = patience
        self._trusted: set[Origin] = {origin(endpoints.hub), origin(endpoints.civitai)}
        self._client = httpx.Client(
            timeout=httpx.Timeout(patience.read, connect=patience.connect),
            headers={"user-agent": f"pseudoword/{__version__}"},
            follow_redirects=False,
        )

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get_json(
        self, url: str, *, params: Params | None = None, headers: Mapping[str, str], hints: Mapping[int, str]
    ) -> Any:
        """A JSON answer, tried again as long as patience lasts.

        Args:
            url: the address.
            params: of the query; lists are repeated.
            headers: for the first server alone.
            hints: what the user can do about a status, by status.

        Raises:
            Unreachable: no answer, a refusal, or no JSON.
        """
        import httpx

        full = str(httpx.URL(url, params=params)) if params else url
        failures = 0
        while True:
            try:
                return self._json_once(full, headers, hints)
            except Passing as passing:
                failures += 1
                self.pause(passing, failures)

    def pause(self, passing: Passing, failures: int) -> None:
        """Wait before the next try.

        Raises:
            Unreachable: patience is at its end.
        """
        if failures >= passing.tries:
            raise passing.problem from passing
        time.sleep(self.patience.wait(failures) if passing.wait is None else passing.wait)

    @contextmanager
    def open(self, url: str, *, headers: Mapping[str, str], hints: Mapping[int, str]) -> Iterator[httpx.Response]:
        """One answer with status 200, 206 or 416, after checked redirects, its body not yet read.

        Raises:
            Passing: connection trouble, also while the body is read, or a status that may pass.
            Unreachable: a refusal, or a redirect that is not followed.
        """
        import httpx

        host = origin(url)[1]
        response: httpx.Response | None = None
        try:
            response = self._follow(url, dict(headers), hints)
            yield response
        except httpx.TransportError as trouble:
            raise self._connection(host, trouble) from trouble
        except httpx.DecodingError as trouble:
            raise Unreachable(f"{host} answered with a body that cannot be decoded ({trouble})") from trouble
        finally:
            if response is not None:
                response.close()

    def _follow(self, first: str, headers: dict[str, str], hints: Mapping[int, str]) -> httpx.Response:
        url = first
        for _ in range(_MAX_REDIRECTS):
            check_address(url, first=first, trusted=self._trusted)
            response = self._client.send(self._client.build_request("GET", url, headers=headers), stream=True)
            try:
                self._check_peer(response, url, first)
                target = response.headers.get("location") if response.is_redirect else None
                if target is None:
                    return self._accept(response, hints)
            except BaseException:
                response.close()
                raise
            response.close()
            following = _joined(url, target)
            if following.split("?")[0].endswith("/login"):  # where Civitai sends those who ask for a user's file
                raise Unreachable(f"{origin(url)[1]} hands this out to its users alone", next_move=hints.get(401, ""))
            if origin(following) != origin(url):
                headers = {key: value for key, value in headers.items() if key.lower() != "authorization"}
            url = following
        raise Unreachable(f"{origin(first)[1]} redirects more than {_MAX_REDIRECTS} times")

    def _check_peer(self, response: httpx.Response, url: str, first: str) -> None:
        """The address that was really connected to: a name may resolve anew between the check and the request."""
        scheme, host, port = origin(url)
        if (scheme, host, port) in self._trusted or origin(first)[0] == "http" or uses_proxy(scheme, host):
            return
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if peer is not None and not is_public(str(peer[0])):
            raise Unreachable(f"{host} is at {peer[0]}, which is not on the public internet")

    def _accept(self, response: httpx.Response, hints: Mapping[int, str]) -> httpx.Response:
        status, host = response.status_code, response.url.host
        if status in _FINE:
            return response
        said = _message(response)
        problem = Unreachable(
            f"{host} answered {status}" + (f" ({said})" if said else ""), next_move=hints.get(status, "")
        )
        if status not in _PASSING:
            raise problem
        wait = _wanted_wait(response.headers)
        if wait is not None and wait > self.patience.longest_wait:
            raise Unreachable(
                f"{host} answered {status} and asks to wait {wait:.0f} seconds", next_move="Try again after that"
            )
        raise Passing(problem, tries=self.patience.tries, wait=wait)

    def _json_once(self, url: str, headers: Mapping[str, str], hints: Mapping[int, str]) -> Any:
        host = origin(url)[1]
        with self.open(url, headers=headers, hints=hints) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_JSON:
                    raise Unreachable(f"{host} answered with more than {_MAX_JSON >> 20} MiB", expected="a short list")
        try:
            return json.loads(bytes(body))
        except (ValueError, RecursionError):
            raise Unreachable(
                f"{host} answered with something that is not JSON",
                next_move="Check the network: a login page of its own may be in between",
            ) from None

    def _connection(self, host: str, trouble: httpx.TransportError) -> Passing:
        import httpx

        kinds = ((httpx.TimeoutException, "no answer in time"), (httpx.ConnectError, "no connection"))
        reason = next((text for kind, text in kinds if isinstance(trouble, kind)), "the connection broke")
        detail = f"; {trouble}" if str(trouble) else ""
        problem = Unreachable(f"{host} cannot be reached ({reason}{detail})", next_move="Check the network")
        nobody = isinstance(trouble, httpx.ConnectError | httpx.ConnectTimeout)
        return Passing(problem, tries=self.patience.connection_tries if nobody else self.patience.tries)


def check_installed() -> None:
    """Make sure that the extra is there.

    Raises:
        MissingExtra: httpx is not installed.
    """
    if find_spec("httpx") is None:
        raise MissingExtra("httpx is not installed", next_move="Run: pip install 'pseudoword[hub]'")


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        raise Unreachable(f"{origin(url)[1]} redirects to {target[:200]!r}", expected="an address") from None


def _message(response: httpx.Response) -> str:
    """What the server says about its refusal, as one short line."""
    said: object = response.headers.get("x-error-message")
    if not said:
        try:
            body = response.read() if int(response.headers.get("content-length", _MAX_MESSAGE)) < _MAX_MESSAGE else b""
            answer = json.loads(body)
        except ValueError:
            return ""
        said = answer.get("error") or answer.get("message") if isinstance(answer, dict) else None
    text = " ".join(said.split()) if isinstance(said, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:200].rstrip(".")


def _wanted_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks for, never negative; None where it does not say."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return _ratelimit_reset(headers.get("ratelimit", ""))
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _ratelimit_reset(text: str) -> float | None:
    """`t` of the hub's `"api";r=0;t=55`, where nothing remains."""
    fields = dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
    reset = fields.get("t", "")
    return float(reset[:9]) if fields.get("r") == "0" and reset.isdigit() else None
