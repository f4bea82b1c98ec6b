"""What the two services say about embeddings, in one shape: frozen values that know no network."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

UNKNOWN = "?"
"""What a table shows where a service does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One row of a search: an embedding that somebody shares."""

    id: str
    """What `pull` takes: owner/name, or civitai:MODEL."""
    source: str
    """hub or civitai."""
    name: str
    family: str | None = None
    """A key of `families.FAMILIES` or another known family; None where the service does not say."""
    base_model: str | None = None
    """What the service says it was trained on, in its own words."""
    vectors: int | None = None
    """Told from the declared size of the file, since neither service says it; None where that cannot be told."""
    downloads: int | None = None
    """On the hub those of the last 30 days, on Civitai all."""
    licence: str | None = None
    preview: str | None = None
    """Address of a picture."""
    page: str
    """Address for a browser."""

    def to_plain(self) -> dict[str, object]:
        """The fields in their order, as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file that can be downloaded, with what is known about its content beforehand."""

    name: str
    """Path inside the repository, or the file's name."""
    url: str
    size: int | None = None
    """Bytes, exact; None where it is not known to the byte."""
    about: int | None = None
    """Bytes, roughly, where the exact size is not known."""
    sha256: str | None = None
    """Of the content, 64 lower-case hex digits."""
    git_sha1: str | None = None
    """Git's object id, for small files of the hub that have no sha256."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """For the first request alone: they hold the token, which no other server may see."""
    danger: str | None = None
    """What the service's own scan found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What lies behind an id: where it is, and its files."""

    id: str
    source: str
    page: str
    title: str
    """Name of the repository or the model, from which a file with a name like learned_embeds gets its own."""
    revision: str | None = None
    """Commit of the repository, or id of the version: what was looked at."""
    files: tuple[RemoteFile, ...] = ()
    primary: str | None = None
    """The file that the service itself would take."""
    base_model: str | None = None
    licence: str | None = None
    creator: str | None = None
    trained_words: tuple[str, ...] = ()
