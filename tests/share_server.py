"""A server on 127.0.0.1 that speaks as the Hugging Face hub and as Civitai do, with faults on demand.

Hub: routes, headers and bodies as huggingface_hub 2.4.0 uses them: `HfApi.list_models`, `model_info` (`?blobs`),
`hf_hub_url` with its redirect to a store (headers X-Repo-Commit, X-Linked-Etag, X-Linked-Size), and for uploads
`whoami`, `create_repo` (/api/repos/create), `_validate_yaml` (/api/validate-yaml), `_fetch_upload_modes`
(/preupload), `post_lfs_batch_info` and `_upload_single_part` (LFS), `_send_commit` (ndjson to /commit).
Civitai: /api/v1/models, /models/ID, /model-versions/ID and /api/download/models/ID, as its published reference
says. The sources of the replies stand in tests/compat/replies.
"""

import base64
import hashlib
import io
import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPLIES = Path(__file__).parent / "compat" / "replies"


def reply(name: str) -> Any:
    """One reply of tests/compat/replies, without the note of its source."""
    return json.loads((REPLIES / f"{name}.json").read_text("utf-8"))["reply"]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Repo:
    files: dict[str, bytes]
    lfs: tuple[str, ...] = (".bin", ".pt", ".safetensors", ".png")
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()


def torch_bytes(value: Any) -> bytes:
    """As `torch.save` writes it."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


class Malicious:
    """Unpickled without care, this runs a command that leaves a file named `owned`."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch owned",)


def fill(server: "ShareServer") -> None:
    """The files behind tests/compat/replies: structures as reference trainers.md §3 has them."""
    import torch
    from safetensors.torch import save

    made = torch.Generator().manual_seed(0)

    def rows(count: int, width: int) -> Any:
        return torch.randn(count, width, generator=made)

    server.repos["sd-concepts-library/cat-toy"] = Repo(
        files={
            ".gitattributes": b"*.bin filter=lfs",
            "README.md": b"---\nlicense: mit\n---\n",
            "learned_embeds.bin": torch_bytes({"<cat-toy>": rows(1, 768)[0]}),
            "token_identifier.txt": b"<cat-toy>",
        }
    )
    server.repos["someone/fluffy-cat"] = Repo(
        files={
            "learned_embeds.safetensors": save({"<fluffy>": rows(2, 768)}),
            "learned_embeds_2.safetensors": save({"<fluffy>": rows(2, 1280)}),
        }
    )
    server.repos["someone/evil"] = Repo(files={"learned_embeds.bin": torch_bytes({"<x>": Malicious()})})
    server.repos["someone/many"] = Repo(
        files={
            "dog.safetensors": save({"emb_params": rows(1, 768)}),
            "fox.pt": torch_bytes({"fox": rows(1, 768)}),
            "nested/owl.pt": torch_bytes({"owl": rows(1, 768)}),
            "small.safetensors.txt": b"notes",
        },
        lfs=(),
    )
    a1111 = {"string_to_token": {"*": 265}, "string_to_param": {"*": rows(8, 768)}, "name": "CatToy", "step": 100}
    server.civitai_files["CatToy.pt"] = torch_bytes({**a1111, "sd_checkpoint": None, "sd_checkpoint_name": None})
    server.civitai_files["CatToyXL.safetensors"] = save({"clip_l": rows(4, 768), "clip_g": rows(4, 1280)})
    server.civitai_files["badpaws.pt"] = torch_bytes({"x": Malicious()})


Fault = Callable[["Handler"], bool]
"""Answers in place of the server and returns True, or changes what the server does and returns False."""


def status(code: int, body: Any = None, **headers: str) -> Fault:
    def answer(handler: "Handler") -> bool:
        handler.send(code, json.dumps(body or {"error": "no"}).encode(), headers)
        return True

    return answer


def redirect(target: str, code: int = 302) -> Fault:
    def answer(handler: "Handler") -> bool:
        handler.send(code, b"", {"location": target})
        return True

    return answer


def raw(body: bytes, **headers: str) -> Fault:
    def answer(handler: "Handler") -> bool:
        handler.send(200, body, headers)
        return True

    return answer


def truncate(at: int) -> Fault:
    """The body breaks off after `at` bytes, though more was announced."""

    def change(handler: "Handler") -> bool:
        handler.cut = at
        return False

    return change


def no_ranges(handler: "Handler") -> bool:
    handler.ranges = False
    return False


class ShareServer:
    """Start with `with ShareServer() as server`; `server.url` is the endpoint of both services."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.hub_list: list[dict[str, Any]] = reply("hub-models")
        self.civitai: dict[str, Any] = reply("civitai-models")
        self.civitai_files: dict[str, bytes] = {}
        self.token = "hf_test"
        self.requests: list[Request] = []
        self.faults: dict[str, list[Fault]] = {}
        self.commits: list[dict[str, Any]] = []
        self.stored: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.share = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.store = self.url.replace("127.0.0.1", "localhost")
        """Files lie on another host than the pages, as with both services."""

    def __enter__(self) -> "ShareServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, path: str, *faults: Fault) -> None:
        """The next requests whose path matches `path` meet these faults, one each."""
        self.faults.setdefault(path, []).extend(faults)

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if re.search(path, request.path)]

    def civitai_version(self, version: dict[str, Any]) -> dict[str, Any]:
        """A version with what belongs to the files that this server really has."""
        files = []
        for file in version["files"]:
            content = self.civitai_files.get(file["name"], b"?")
            hashes = {"SHA256": hashlib.sha256(content).hexdigest().upper(), "AutoV2": "0000000000"}
            files.append(
                {
                    "sizeKB": len(content) / 1024,
                    "hashes": hashes,
                    "downloadUrl": f"{self.url}/api/download/models/{version['id']}",
                    **file,
                }
            )
        return {**version, "files": files}

    def civitai_models(self) -> list[dict[str, Any]]:
        return [
            {**model, "modelVersions": [self.civitai_version(version) for version in model["modelVersions"]]}
            for model in self.civitai["items"]
        ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cut: int | None = None
    ranges = True

    @property
    def share(self) -> ShareServer:
        return self.server.share  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_PUT = do_HEAD = do_GET

    def answer(self) -> None:
        self.cut, self.ranges = None, True
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.command, unquote(parts.path), parse_qs(parts.query), headers, body)
        self.share.requests.append(request)
        for pattern, faults in self.share.faults.items():
            if faults and re.search(pattern, request.path) and faults.pop(0)(self):
                return
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, request.path):
                route(self, request, *match.groups())
                return
        self.send(404, b'{"error": "Not Found"}', {})

    def send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        told = {"content-length": str(len(body)), "content-type": "application/json"}
        told |= {key.replace("_", "-"): value for key, value in headers.items()}
        for key, value in told.items():
            self.send_header(key, value)
        cut = self.cut is not None and self.cut < len(body)
        if cut:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: self.cut] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True

    def send_json(self, value: Any, code: int = 200) -> None:
        self.send(code, json.dumps(value).encode(), {})

    def send_file(self, content: bytes, more: dict[str, str] | None = None) -> None:
        """With ranges, as stores have them (RFC 9110 §14)."""
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes", **(more or {})}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")
        if wanted is None or not self.ranges:
            self.send(200, content, headers)
        elif int(wanted[1]) >= len(content):
            self.send(416, b"", {"content-range": f"bytes */{len(content)}"})
        else:
            start = int(wanted[1])
            told = {"content-range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.send(206, content[start:], {**headers, **told})


def list_hub(handler: Handler, request: Request) -> None:
    search, author = (request.query.get(key, [""])[0] for key in ("search", "author"))
    tags = request.query.get("filter", [])
    handler.send_json(
        [
            item
            for item in handler.share.hub_list
            if search.lower() in item["id"].lower()
            and (not author or item["author"] == author)
            and set(tags) <= set(item["tags"])
        ]
    )


def hub_info(handler: Handler, request: Request, repo_id: str, revision: str | None = None) -> None:
    repo = handler.share.repos.get(repo_id)
    if repo is None or revision not in (None, "main", repo.sha):
        error = "RepoNotFound" if repo is None else "RevisionNotFound"
        handler.send(404, b'{"error": "Repository not found"}', {"x-error-code": error})
        return
    siblings = []
    for name, content in repo.files.items():
        sibling: dict[str, Any] = {"rfilename": name}
        if "blobs" in request.query:
            blob = b"blob %d\0" % len(content) + content
            sibling |= {"size": len(content), "blobId": hashlib.sha1(blob).hexdigest()}
            if name.endswith(repo.lfs):
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        siblings.append(sibling)
    known = next((item for item in handler.share.hub_list if item["id"] == repo_id), {"id": repo_id, "tags": []})
    handler.send_json({**known, **repo.info, "sha": repo.sha, "siblings": siblings})


def hub_file(handler: Handler, request: Request, repo_id: str, revision: str, name: str) -> None:
    repo = handler.share.repos.get(repo_id)
    if repo is None or name not in repo.files:
        handler.send(404, b"Entry not found", {"x-error-code": "EntryNotFound"})
        return
    content = repo.files[name]
    if not name.endswith(repo.lfs):
        handler.send_file(content, {"x-repo-commit": repo.sha, "etag": f'"{hashlib.sha1(content).hexdigest()}"'})
        return
    digest = hashlib.sha256(content).hexdigest()
    handler.share.stored[digest] = content
    headers = {
        "location": f"{handler.share.store}/store/{digest}?sign=1",
        "x-repo-commit": repo.sha,
        "x-linked-etag": f'"{digest}"',
        "x-linked-size": str(len(content)),
    }
    handler.send(302, b"", headers)


def stored(handler: Handler, request: Request, digest: str) -> None:
    if request.method == "PUT":
        handler.share.stored[digest] = request.body
        handler.send(200, b"", {"etag": f'"{digest}"'})
    else:
        handler.send_file(handler.share.stored[digest])


def who(handler: Handler, request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {handler.share.token}":
        handler.send_json({"error": "Invalid credentials in Authorization header"}, 401)
    else:
        handler.send_json({"type": "user", "name": "someone", "auth": {"accessToken": {"role": "write"}}})


def create(handler: Handler, request: Request) -> None:
    wanted = json.loads(request.body)
    repo_id = f"{wanted['organization']}/{wanted['name']}"
    if repo_id in handler.share.repos:
        handler.send_json(
            {"error": "You already created this model repo", "url": f"{handler.share.url}/{repo_id}"}, 409
        )
        return
    handler.share.repos[repo_id] = Repo(files={".gitattributes": b"*.safetensors filter=lfs"}, info={"created": wanted})
    handler.send_json({"url": f"{handler.share.url}/{repo_id}", "name": repo_id})


def validate(handler: Handler, request: Request) -> None:
    handler.send_json({"errors": [], "warnings": []})


def preupload(handler: Handler, request: Request, repo_id: str, revision: str) -> None:
    lfs = handler.share.repos[repo_id].lfs
    files = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if file["path"].endswith(lfs) else "regular",
            "shouldIgnore": False,
            "oid": None,
        }
        for file in json.loads(request.body)["files"]
    ]
    handler.send_json({"files": files})


def lfs_batch(handler: Handler, request: Request, repo_id: str) -> None:
    wanted = json.loads(request.body)
    objects = [
        {**one, "actions": {"upload": {"href": f"{handler.share.store}/store/{one['oid']}", "header": {}}}}
        for one in wanted["objects"]
    ]
    handler.send_json({"transfer": "basic", "objects": objects})


def commit(handler: Handler, request: Request, repo_id: str, revision: str) -> None:
    lines = [json.loads(line) for line in request.body.splitlines()]
    repo = handler.share.repos[repo_id]
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            repo.files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            repo.files[value["path"]] = handler.share.stored[value["oid"]]
        else:
            handler.share.commits.append({"repo": repo_id, **value})
    handler.send_json(
        {"success": True, "commitOid": repo.sha, "commitUrl": f"{handler.share.url}/{repo_id}/commit/{repo.sha}"}
    )


def list_civitai(handler: Handler, request: Request) -> None:
    if "page" in request.query and "query" in request.query:
        handler.send_json({"error": "Cannot use page with query"}, 400)
        return
    words = request.query.get("query", [""])[0].lower().split()
    items = [
        model
        for model in handler.share.civitai_models()
        if all(word in (model["name"] + " ".join(model["tags"])).lower() for word in words)
        and model["type"] in request.query.get("types", [model["type"]])
    ]
    handler.send_json({"items": items, "metadata": handler.share.civitai["metadata"]})


def civitai_model(handler: Handler, request: Request, number: str) -> None:
    found = [model for model in handler.share.civitai_models() if str(model["id"]) == number]
    if found:
        handler.send_json(found[0])
    else:
        handler.send_json(reply("civitai-errors")["404"], 404)


def civitai_one_version(handler: Handler, request: Request, number: str) -> None:
    for model in handler.share.civitai_models():
        for version in model["modelVersions"]:
            if str(version["id"]) == number:
                short = {key: model[key] for key in ("name", "type", "nsfw")}
                handler.send_json({**version, "modelId": model["id"], "model": short})
                return
    handler.send_json({"error": f"No model with id {number}"}, 404)


def civitai_file(handler: Handler, request: Request, number: str) -> None:
    """Redirects to a store with a signed address, as Civitai does."""
    for model in handler.share.civitai_models():
        for version in model["modelVersions"]:
            if str(version["id"]) == number:
                primary = next(file for file in version["files"] if file.get("primary"))
                content = handler.share.civitai_files[primary["name"]]
                digest = hashlib.sha256(content).hexdigest()
                handler.share.stored[digest] = content
                handler.send(307, b"", {"location": f"{handler.share.store}/store/{digest}?X-Amz-Signature=1"})
                return
    handler.send_json({"error": "File not found"}, 404)


_REPO = r"([\w.-]+/[\w.-]+)"
ROUTES: list[tuple[str, Callable[..., None]]] = [
    (r"/api/models", list_hub),
    (rf"/api/models/{_REPO}/preupload/([\w.-]+)", preupload),
    (rf"/api/models/{_REPO}/commit/([\w.-]+)", commit),
    (rf"/api/models/{_REPO}/revision/([\w.-]+)", hub_info),
    (rf"/api/models/{_REPO}", hub_info),
    (rf"/{_REPO}/resolve/([\w.-]+)/(.+)", hub_file),
    (rf"/{_REPO}\.git/info/lfs/objects/batch", lfs_batch),
    (r"/store/([0-9a-f]{64})", stored),
    (r"/api/whoami-v2", who),
    (r"/api/repos/create", create),
    (r"/api/validate-yaml", validate),
    (r"/api/v1/models", list_civitai),
    (r"/api/v1/models/(\d+)", civitai_model),
    (r"/api/v1/model-versions/(\d+)", civitai_one_version),
    (r"/api/download/models/(\d+)", civitai_file),
]
