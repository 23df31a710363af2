"""A local server that speaks the download and upload endpoints of the Hugging Face Hub."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from urllib.parse import unquote, urlsplit

TOKEN = "hf_good"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Repository:
    """Snapshots (path -> content) by commit hash, and where the branches stand."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], deleted: Sequence[str] = ()) -> str:
        parent = self.branches.get("main", "")
        content = {**self.commits.get(parent, {}), **files}
        content = {path: data for path, data in content.items() if path not in deleted}
        sha = hashlib.sha1((parent + repr(sorted(content.items()))).encode()).hexdigest()
        self.commits[sha] = content
        self.branches["main"] = sha
        return sha

    def files(self) -> dict[str, bytes]:
        return self.commits[self.branches["main"]]

    def find(self, revision: str) -> str | None:
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


class HubServer:
    """Hub and, on a second port as on the real Hub, the store of large files; a context manager.

    ``requests`` lists what came in (method, path, authorization header); ``down`` makes the Hub answer 503,
    ``read_only_store`` makes the store refuse uploads.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.down = False
        self.read_only_store = False
        self._servers = [self._listen(self._hub), self._listen(self._store)]
        self.url, self.store_url = (f"http://127.0.0.1:{s.server_port}" for s in self._servers)

    def __enter__(self) -> HubServer:
        self._threads = [Thread(target=s.serve_forever, args=(0.01,), daemon=True) for s in self._servers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening: from now on connections are refused."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            if thread.is_alive():
                server.shutdown()
                server.server_close()
                thread.join()

    def _listen(self, answer: Callable[[str, str, str | None, bytes], Reply]) -> ThreadingHTTPServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path, token = unquote(urlsplit(self.path).path), self.headers.get("Authorization")
                server.requests.append((self.command, path, token))
                status, headers, content = answer(self.command, path, token, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = handle_any

            def log_message(self, format: str, *args: object) -> None:
                pass

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def _store(self, method: str, path: str, token: str | None, body: bytes) -> Reply:
        oid = path.rsplit("/", 1)[1]
        if token is not None:
            return _error(400, "the token must not leave the Hub")
        if method == "PUT" and self.read_only_store:
            return _error(403, "read only")
        if method == "PUT":
            self.blobs[oid] = body
            return 200, {}, b""
        return 200, {}, self.blobs[oid]

    def _hub(self, method: str, path: str, token: str | None, body: bytes) -> Reply:
        if self.down:
            return _error(503, "down for maintenance")
        if token not in (None, f"Bearer {TOKEN}"):
            return _error(401, "Invalid credentials in Authorization header")
        if path == "/api/repos/create":
            return self._create(token, json.loads(body))
        if path == "/api/validate-yaml":
            content = json.loads(body)["content"]
            errors = [] if content.startswith("---\n") else [{"message": "no metadata"}]
            return _json({"errors": errors}, 400 if errors else 200)
        routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", r"/api/models/([^/]+/[^/]+)", self._info),
            ("GET", r"/api/models/([^/]+/[^/]+)/revision/(.+)", self._info),
            ("GET|HEAD", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
            ("POST", r"/api/models/([^/]+/[^/]+)/preupload/(.+)", self._preupload),
            ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._lfs_batch),
            ("POST", r"/api/models/([^/]+/[^/]+)/commit/(.+)", self._commit),
        ]
        for methods, pattern, handler in routes:
            match = re.fullmatch(pattern, path)
            if match and re.fullmatch(methods, method):
                repo_id, *rest = match.groups()
                repository = self.repositories.get(repo_id)
                if repository is None or (repository.private and token is None):
                    return _error(404 if token else 401, "Repository not found", "RepoNotFound")
                if method == "POST":
                    if token is None:
                        return _error(401, "Invalid username or password.")
                    return handler(repo_id, repository, json_lines(body))
                return handler(repo_id, repository, *rest)
        return _error(404, f"no endpoint {method} {path}")

    def _create(self, token: str | None, data: dict) -> Reply:
        if token is None:
            return _error(401, "Invalid username or password.")
        repo_id = f"{data['organization']}/{data['name']}"
        known = repo_id in self.repositories
        if not known:
            self.repositories[repo_id] = Repository(
                private=data.get("private", data.get("visibility") == "private")
            )
            self.repositories[repo_id].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return _json({"url": f"{self.url}/{repo_id}"}, 409 if known else 200)

    def _info(self, repo_id: str, repository: Repository, revision: str = "main") -> Reply:
        sha = repository.find(revision)
        if sha is None:
            return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        files = [{"rfilename": path} for path in sorted(repository.commits[sha])]
        return _json(
            {"id": repo_id, "sha": sha, "private": repository.private, "tags": [], "siblings": files}
        )

    def _resolve(self, repo_id: str, repository: Repository, revision: str, path: str) -> Reply:
        sha = repository.find(revision)
        if sha is None:
            return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if path not in repository.commits[sha]:
            return _error(404, "Entry not found", "EntryNotFound")
        content = repository.commits[sha][path]
        headers = {"X-Repo-Commit": sha}
        if not path.endswith(".safetensors"):
            return 200, {**headers, "ETag": f'"{_git_hash(content)}"'}, content
        oid = hashlib.sha256(content).hexdigest()
        self.blobs.setdefault(oid, content)
        headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        return 302, {**headers, "Location": f"{self.store_url}/{oid}"}, b""

    def _preupload(self, repo_id: str, repository: Repository, lines: list[dict]) -> Reply:
        current = repository.files()
        files = []
        for path in (file["path"] for file in lines[0]["files"]):
            large = path.endswith(".safetensors")
            oid = None
            if path in current:
                oid = hashlib.sha256(current[path]).hexdigest() if large else _git_hash(current[path])
            mode = "lfs" if large else "regular"
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return _json({"files": files})

    def _lfs_batch(self, repo_id: str, repository: Repository, lines: list[dict]) -> Reply:
        objects = []
        for item in lines[0]["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.store_url}/{item['oid']}"}}}
            objects.append(item if item["oid"] in self.blobs else item | upload)
        return _json({"transfer": "basic", "objects": objects})

    def _commit(self, repo_id: str, repository: Repository, lines: list[dict]) -> Reply:
        files, deleted = {}, []
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                deleted.append(value["path"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.blobs.get(value["oid"], b"")
                if hashlib.sha256(content).hexdigest() != value["oid"] or len(content) != value["size"]:
                    return _error(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = content
        sha = repository.commit(files, deleted)
        return _json({"commitUrl": f"{self.url}/{repo_id}/commit/{sha}", "commitOid": sha})


def json_lines(body: bytes) -> list[dict]:
    """Values of a JSON or NDJSON body."""
    return [json.loads(line) for line in body.splitlines() if line]


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _json(data: dict, status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(data).encode()


def _error(status: int, message: str, code: str | None = None) -> Reply:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    _, kind, body = _json({"error": message})
    return status, headers | kind, body
