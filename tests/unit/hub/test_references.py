"""What users write or copy from a browser."""

import pytest

from pseudoword.errors import BadOption
from pseudoword.hub import CivitaiReference, HubReference, parse_reference
from pseudoword.settings import Endpoints

ENDPOINTS = Endpoints(hub="http://127.0.0.1:1", civitai="https://mirror.example/civitai")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("sd-concepts-library/cat-toy", HubReference(repo="sd-concepts-library/cat-toy")),
        (" hf:a/b ", HubReference(repo="a/b")),
        ("a/b/sub/x.pt", HubReference(repo="a/b", file="sub/x.pt")),
        ("a/b@v1/x.pt", HubReference(repo="a/b", revision="v1", file="x.pt")),
        ("https://huggingface.co/a/b", HubReference(repo="a/b")),
        ("https://hf.co/a/b/tree/main", HubReference(repo="a/b", revision="main")),
        ("https://huggingface.co/a/b/blob/main/x%20y.pt", HubReference(repo="a/b", revision="main", file="x y.pt")),
        (
            "https://huggingface.co/a/b/resolve/abc/c/x.pt?download=true",
            HubReference(repo="a/b", revision="abc", file="c/x.pt"),
        ),
        ("http://127.0.0.1:1/a/b", HubReference(repo="a/b")),
        ("civitai:3036", CivitaiReference(model=3036)),
        ("civitai:3036@9857", CivitaiReference(model=3036, version=9857)),
        ("civitai:3036@9857/x.pt", CivitaiReference(model=3036, version=9857, file="x.pt")),
        ("urn:air:sd1:embedding:civitai:3036@9857", CivitaiReference(model=3036, version=9857)),
        ("https://civitai.com/models/3036", CivitaiReference(model=3036)),
        ("https://civitai.com/models/3036/cat-toy", CivitaiReference(model=3036)),
        ("https://civitai.com/models/3036?modelVersionId=9857", CivitaiReference(model=3036, version=9857)),
        ("https://civitai.com/api/download/models/9857", CivitaiReference(model=None, version=9857)),
        ("https://mirror.example/models/7", CivitaiReference(model=7)),
    ],
)
def test_an_id_or_a_pages_address_is_understood(text, reference):
    assert parse_reference(text, ENDPOINTS) == reference


@pytest.mark.parametrize(
    "text",
    ["", "cat", "civitai:cat", "a/b/../c", "a/../b", "/etc/passwd", "https://example.org/a/b", "https://[", "ftp://a/b",
     "https://huggingface.co/a", "https://civitai.com/user/x", "civitai:1@x", "a b/c"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_would_be_right(text):
    with pytest.raises(BadOption, match="owner/name"):
        parse_reference(text, ENDPOINTS)
