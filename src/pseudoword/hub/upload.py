"""Putting a folder into a repository of the hub, with huggingface_hub's own upload (regular, LFS or Xet).

Before it, two questions over our own wire say in one line what is wrong: no network, no login, a repository that
is somebody else's work.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from pseudoword._version import __version__
from pseudoword.errors import BadOption, NameTaken, Unreachable
from pseudoword.hub import huggingface
from pseudoword.hub.card import is_hub_id
from pseudoword.hub.references import HubReference
from pseudoword.hub.wire import Wire

_LOGIN = "Run: hf auth login, or set HF_TOKEN to a token that may write"
_OWN_FILES = frozenset({".gitattributes"})


def check_repo_id(repo: str) -> None:
    """Raise BadOption where this cannot be a repository's id."""
    if not is_hub_id(repo):
        raise BadOption(f"--repo {repo!r}", expected="owner/name, in letters, digits, '-', '_' and '.'")


def check_target(wire: Wire, repo: str, names: Sequence[str], *, overwrite: bool) -> None:
    """Make sure that somebody is logged in and that nothing in the repository is replaced unasked.

    Raises:
        Unreachable: no network, no login, no right.
        NameTaken: the repository holds files of these names.
    """
    if get_token() is None:
        raise Unreachable("nobody is logged in at the hub", next_move=_LOGIN)
    wire.get_json(
        f"{wire.endpoints.hub}/api/whoami-v2", headers=huggingface.headers(), hints={401: _LOGIN, 403: _LOGIN}
    )
    if overwrite:
        return
    there = {file.name for file in _files(wire, repo)} - _OWN_FILES
    taken = sorted(there & set(names))
    if taken:
        raise NameTaken(
            f"{repo} already holds {', '.join(taken[:4])}",
            next_move="Choose another repository, or add --overwrite to replace them",
        )


def _files(wire: Wire, repo: str) -> Sequence[huggingface.RemoteFile]:
    try:
        return huggingface.hub_offer(wire, HubReference(repo=repo)).files
    except Unreachable as problem:
        if any(f"answered {status}" in problem.got for status in (401, 404)):
            return ()  # not there yet; whether it may be made is the hub's to say
        raise


def upload(folder: Path, repo: str, *, endpoint: str, private: bool, message: str) -> str:
    """Make the repository if need be and put the folder into it as one commit; returns the page's address.

    Raises:
        Unreachable: the hub cannot be reached or refuses.
    """
    api = HfApi(endpoint=endpoint, library_name="pseudoword", library_version=__version__)
    host = urlsplit(endpoint).hostname
    with _no_bars():
        try:
            api.create_repo(repo, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
        except HfHubHTTPError as problem:
            status = problem.response.status_code
            said = (problem.server_message or "").splitlines()
            raise Unreachable(
                f"{host} answered {status}" + (f" ({said[0]})" if said else ""),
                next_move={401: _LOGIN, 403: _LOGIN}.get(status, ""),
            ) from problem
        except (*_transport_errors(), OSError, RuntimeError, ValueError) as problem:
            lines = str(problem).splitlines() or [type(problem).__name__]
            raise Unreachable(f"the upload to {host} broke off ({lines[0]})", next_move="Try again") from problem
    return f"{endpoint}/{repo}"


def _transport_errors() -> tuple[type[BaseException], ...]:
    """The errors of the HTTP library that huggingface_hub was built on, which changed from version to version."""
    return tuple(base for base in HfHubHTTPError.__bases__ if base is not OSError)


@contextmanager
def _no_bars() -> Iterator[None]:
    """huggingface_hub draws no bars of its own; whoever listens to our events draws."""
    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()
