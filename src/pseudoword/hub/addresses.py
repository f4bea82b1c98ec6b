"""Which addresses may be asked: a server's redirect must not lead this machine into its own network.

An address is fine when it is a configured service itself, or https on a host whose every IP address is public.
Loopback is allowed to a request that began on loopback, which is how the tests run.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from pseudoword.errors import Unreachable

_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]


def origin(url: str) -> Origin:
    """Scheme, host and port of an address.

    Raises:
        Unreachable: it is no http(s) address of a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise Unreachable(f"the address {url[:200]!r}", expected="http(s)://host/…")
    return parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme]


def is_loopback(host: str) -> bool:
    """Whether this host is this machine."""
    if host == "localhost":
        return True
    address = _literal(host)
    return address is not None and address.is_loopback


def uses_proxy(scheme: str, host: str) -> bool:
    """Whether the environment sends requests to this host through a proxy, which then resolves its name."""
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


def check_address(url: str, *, first: str, trusted: Iterable[Origin]) -> None:
    """Make sure that `url` may be asked in a request that began at `first`.

    Raises:
        Unreachable: it is on no public host, or would leave https.
    """
    scheme, host, port = origin(url)
    if (scheme, host, port) in set(trusted):
        return
    if is_loopback(host) and is_loopback(origin(first)[1]):
        return
    if scheme != "https":
        raise Unreachable(f"{origin(first)[1]} redirects to {scheme}://{host}", expected="https")
    if is_loopback(host) or not all(is_public(address) for address in _addresses(scheme, host, port)):
        raise Unreachable(f"{origin(first)[1]} redirects to {host}, which is not on the public internet")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    literal = _literal(address)
    return literal is not None and literal.is_global and not literal.is_multicast


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _addresses(scheme: str, host: str, port: int) -> list[str]:
    """IP addresses of a host; none where they cannot be known here, and the connection will say why."""
    if _literal(host) is not None:
        return [host]
    if uses_proxy(scheme, host):
        return []
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        return []
