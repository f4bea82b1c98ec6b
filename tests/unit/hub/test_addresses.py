"""Where a redirect may lead: public https, and loopback only from loopback."""

import pytest

from pseudoword.errors import Unreachable
from pseudoword.hub.addresses import check_address, is_public, origin

PUBLIC, LOCAL = "https://huggingface.co/x", "http://127.0.0.1:8000/x"
TRUSTED = [origin("https://huggingface.co"), origin("http://mirror.lan:81")]


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("https://huggingface.co/other", PUBLIC),
        ("https://1.1.1.1/file", PUBLIC),
        ("http://mirror.lan:81/file", "http://mirror.lan:81/"),
        ("http://127.0.0.1:9/file", LOCAL),
        ("http://localhost:9/file", LOCAL),
    ],
)
def test_what_is_followed(url, first):
    check_address(url, first=first, trusted=TRUSTED)


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co/file",
        "http://1.1.1.1/file",
        "https://127.0.0.1/file",
        "https://localhost/file",
        "https://10.0.0.1/file",
        "https://192.168.1.1/file",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/file",
        "https://[::1]/file",
        "https://[fe80::1]/file",
        "https://[::ffff:10.0.0.1]/file",
        "https://0.0.0.0/file",
        "https://224.0.0.1/file",
        "file:///etc/passwd",
        "https://user:password@1.1.1.1/file",
        "https:///file",
        "https://[",
        "https://1.1.1.1:99999/file",
    ],
)
def test_what_is_not_followed(url):
    with pytest.raises(Unreachable):
        check_address(url, first=PUBLIC, trusted=TRUSTED)


def test_a_name_that_resolves_into_the_own_network_is_not_followed(monkeypatch):
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("1.1.1.1", 443)), (2, 1, 6, "", ("10.1.1.1", 443))]
    )
    monkeypatch.setattr("pseudoword.hub.addresses.getproxies", dict)
    with pytest.raises(Unreachable, match="not on the public internet"):
        check_address("https://sly.example/file", first=PUBLIC, trusted=TRUSTED)


@pytest.mark.parametrize(
    ("address", "public"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("172.16.0.1", False), ("fd00::1", False), ("nonsense", False)],
)
def test_public_addresses(address, public):
    assert is_public(address) is public
