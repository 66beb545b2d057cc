"""A store of models as Ollama keeps it: manifests that name blobs by their digests. Steps and names of files are Ollama's.

python ollama_store.py pull STORE GGUF NAME   gets GGUF as the model NAME, or the rest of it; prints the path of its blob
python ollama_store.py begin STORE GGUF        gets half of each part; prints the path that its blob will have
python ollama_store.py remove STORE NAME       removes the model, with the blobs that no other has
"""

import hashlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Its smallest, and what it writes at a time.
PART_BYTES = 100_000_000
PIECE_BYTES = 32 << 10


def manifest_path(store, name):
    return store / "manifests" / "registry.ollama.ai" / "library" / name / "latest"


def blob_path(store, digest):
    return store / "blobs" / digest.replace(":", "-")


class Part:
    """A part of a blob that is being downloaded, and the file that says how much of it there is."""

    def __init__(self, path, **facts):
        self.path, self.facts = path, facts

    def note(self):
        self.path.write_text(json.dumps(self.facts) + "\n")

    def get(self, data, file, share):
        start, size, done = (self.facts[key] for key in ("Offset", "Size", "Completed"))
        end = start + int(size * share)
        for at in range(start + done, end, PIECE_BYTES):
            piece = data[at : min(at + PIECE_BYTES, end)]
            if os.pwrite(file, piece, at) != len(piece):
                sys.exit(f"{self.path}: written in part")
        self.facts["Completed"] = max(done, end - start)
        self.note()


def parts(partial, total):
    """Those that were begun, or all."""
    begun = [Part(path, **json.loads(path.read_text())) for path in partial.parent.glob(f"{partial.name}-*")]
    if begun:
        return begun
    made = []
    for number, offset in enumerate(range(0, total, PART_BYTES)):
        path = partial.with_name(f"{partial.name}-{number}")
        made.append(Part(path, N=number, Offset=offset, Size=min(PART_BYTES, total - offset), Completed=0))
        made[-1].note()
    return made


def download(store, data, media, share=1):
    """Gets a blob, or a share of it, and says what a manifest has of it."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    path = blob_path(store, digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + "-partial")
        found = parts(partial, len(data))
        file = os.open(partial, os.O_CREAT | os.O_RDWR, 0o644)
        os.ftruncate(file, len(data))
        with ThreadPoolExecutor() as threads:
            for _ in threads.map(lambda part: part.get(data, file, share), found):
                pass
        if share == 1:
            os.fsync(file)
        os.close(file)
        if share == 1:
            for part in found:
                part.path.unlink()
            partial.rename(path)
    if share == 1:
        with open(path, "rb") as file:
            if "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() != digest:
                sys.exit(f"{path}: other bytes than its name says")
    return {"mediaType": media, "digest": digest, "size": len(data)}


def pull(store, gguf, name):
    model = download(store, gguf.read_bytes(), "application/vnd.ollama.image.model")
    about = json.dumps({"model_format": "gguf", "rootfs": {"type": "layers", "diff_ids": [model["digest"]]}})
    config = download(store, about.encode(), "application/vnd.docker.container.image.v1+json")
    media = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": media, "config": config, "layers": [model]}
    path = manifest_path(store, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))
    print(blob_path(store, model["digest"]))


def begin(store, gguf):
    model = download(store, gguf.read_bytes(), "application/vnd.ollama.image.model", share=0.5)
    print(blob_path(store, model["digest"]))


def digests(manifest):
    named = json.loads(manifest.read_text())
    return {layer["digest"] for layer in [named["config"], *named["layers"]]}


def remove(store, name):
    path = manifest_path(store, name)
    unneeded = digests(path)
    path.unlink()
    path.parent.rmdir()
    for other in (store / "manifests").rglob("latest"):
        unneeded -= digests(other)
    for digest in unneeded:
        blob_path(store, digest).unlink()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["pull", store, gguf, name]:
            pull(Path(store), Path(gguf), name)
        case ["begin", store, gguf]:
            begin(Path(store), Path(gguf))
        case ["remove", store, name]:
            remove(Path(store), name)
        case _:
            sys.exit(__doc__)
