"""The part of the Hugging Face hub's API that huggingface_hub downloads a model with, on loopback.

python hub_server.py MODEL REQUESTS   serves the files of the directory MODEL as the repository org/model, large ones from another
                                      port that it redirects to, as the hub does. Prints its port; adds a line of JSON to
                                      REQUESTS for each request: what it is, of what, and where a body begins.

It ends when its stdin does. A line of that, answered by `ok`, is for the next time that the contents of FILE are got:
    break FILE BYTES    the connection is closed after so many of them
    hold FILE BYTES     no more than these are sent, until the other side is gone
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = "org/model"
COMMIT = "c" * 40
REVISIONS = ["main", COMMIT]
# Above that it is a file of Git LFS.
LARGE_BYTES = 1 << 20


class Served:
    def __init__(self, path):
        self.name = path.name
        self.data = path.read_bytes()
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.oid = hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()
        self.is_large = len(self.data) > LARGE_BYTES

    def entry(self):
        """Of the listing of the repository."""
        size = len(self.data)
        lfs = {"lfs": {"oid": self.sha256, "size": size, "pointerSize": 135}} if self.is_large else {}
        return {"type": "file", "path": self.name, "size": size, "oid": self.oid, **lfs}


class Hub:
    def __init__(self, model, requests):
        self.files = {path.name: Served(path) for path in sorted(model.iterdir())}
        self.requests = open(requests, "a")
        self.lock = threading.Lock()
        self.disturbances = {}
        # The library takes what is elsewhere for a storage that it is redirected to.
        self.port, self.storage_port = self.listen(), self.listen()

    def listen(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.hub = self
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port

    def note(self, what):
        with self.lock:
            self.requests.write(json.dumps(what) + "\n")
            self.requests.flush()

    def disturbance(self, name):
        with self.lock:
            return self.disturbances.pop(name, None)

    def obey(self, lines):
        for line in lines:
            kind, name, at = line.split()
            with self.lock:
                self.disturbances[name] = kind, int(at)
            print("ok", flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *what):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        files = self.server.hub.files
        match urlsplit(self.path).path.split("/")[1:]:
            case ["api", "models", org, model, *rest] if f"{org}/{model}" == REPOSITORY:
                self.api(rest)
            case [org, model, "resolve", revision, name] if f"{org}/{model}" == REPOSITORY and revision in REVISIONS:
                if name in files:
                    self.resolve(files[name])
                else:
                    self.missing(name, "EntryNotFound")
            case ["large", name] if name in files:
                self.contents(files[name], {"ETag": f'"{files[name].sha256}"'})
            case _:
                self.missing(self.path, "RepoNotFound")

    def api(self, rest):
        files = self.server.hub.files.values()
        match rest:
            case [] | ["revision", *_]:
                siblings = [{"rfilename": file.name} for file in files]
                answer = {"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings}
            case ["tree", *_]:
                answer = [file.entry() for file in files]
            case _:
                return self.missing(self.path, "RepoNotFound")
        data = json.dumps(answer).encode()
        self.note("listing", self.path)
        self.start(200, {"Content-Type": "application/json", "Content-Length": len(data)})
        self.wfile.write(data)

    def resolve(self, file):
        facts = {"X-Repo-Commit": COMMIT}
        if not file.is_large:
            return self.contents(file, {**facts, "ETag": f'"{file.oid}"'})
        self.note("redirection", file.name)
        place = f"http://127.0.0.1:{self.server.hub.storage_port}/large/{file.name}"
        linked = {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": len(file.data)}
        self.start(302, {**facts, **linked, "Location": place, "Content-Length": 0})

    def contents(self, file, headers):
        size, start = len(file.data), 0
        if wanted := self.headers["Range"]:
            # As huggingface_hub asks: from somewhere to the end.
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.note("head" if self.command == "HEAD" else "body", file.name, start=start)
        length = {"Content-Length": size - start, "Accept-Ranges": "bytes"}
        if wanted:
            self.start(206, {**headers, **length, "Content-Range": f"bytes {start}-{size - 1}/{size}"})
        else:
            self.start(200, {**headers, **length})
        if self.command == "HEAD":
            return
        kind, end = self.server.hub.disturbance(file.name) or (None, size)
        try:
            self.wfile.write(memoryview(file.data)[start:end])
            if kind == "hold":
                self.rfile.read(1)
        except ConnectionError:
            # The other side is gone.
            self.close_connection = True
        if kind:
            self.close_connection = True

    def missing(self, name, code):
        self.note("missing", name)
        self.start(404, {"X-Error-Code": code, "X-Repo-Commit": COMMIT, "Content-Length": 0})

    def note(self, kind, name, **more):
        self.server.hub.note({"is": kind, "name": name, **more})

    def start(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [model, requests]:
            hub = Hub(Path(model), requests)
            print(hub.port, flush=True)
            hub.obey(sys.stdin)
        case _:
            sys.exit(__doc__)
