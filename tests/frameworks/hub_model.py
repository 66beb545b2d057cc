"""A model of the Hugging Face hub, downloaded, loaded and deleted by the library's own code.

python hub_model.py make MODEL             writes three shards with their index and config.json
python hub_model.py get CACHE [PATTERN]    downloads what has such a name into CACHE, one file at a time
python hub_model.py tell CACHE             prints what the library finds in CACHE: names, sizes, revisions, what is incomplete
python hub_model.py compare MODEL CACHE    what is in CACHE must be the same as in MODEL, bit for bit
python hub_model.py load MODEL CACHE       the same again and again, from when CACHE has all of it until stdin ends, and then once
                                           more; says that it is ready to begin, and how often it was the same
python hub_model.py delete CACHE           deletes all revisions
"""

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

REPOSITORY = "org/model"
SHARDS = 3
# The library writes 10 MiB at a time.
TENSORS, ROWS, COLUMNS = 3, 4096, 1024


def make(directory):
    import safetensors.torch
    import torch

    places = {}
    for shard in range(SHARDS):
        generator = torch.Generator().manual_seed(shard)
        name = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        tensors = {}
        for number in range(TENSORS):
            weights = torch.randn((ROWS, COLUMNS), generator=generator) * 0.02
            tensors[f"layers.{shard * TENSORS + number}.weight"] = weights.to(torch.bfloat16)
        safetensors.torch.save_file(tensors, directory / name, {"format": "pt"})
        places |= dict.fromkeys(tensors, name)
    total = SHARDS * TENSORS * ROWS * COLUMNS * 2
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    (directory / "config.json").write_text(json.dumps({"model_type": "made up"}))


def get(cache, patterns):
    import huggingface_hub

    got = huggingface_hub.snapshot_download(
        REPOSITORY, cache_dir=cache, allow_patterns=patterns or None, max_workers=1
    )
    print(huggingface_hub.__version__, got)


def tell(cache):
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(cache)
    print([str(warning) for warning in found.warnings], found.size_on_disk)
    for repository in found.repos:
        print(repository.repo_id, repository.size_on_disk, repository.nb_files)
        for revision in repository.revisions:
            print(revision.commit_hash, sorted(revision.refs), revision.size_on_disk)
            for file in sorted(revision.files, key=lambda file: file.file_name):
                print(file.file_name, file.size_on_disk, file.blob_path.name)
    for file in found.incomplete_files:
        print("incomplete", file.file_path.name, file.size_on_disk)


def snapshot(cache):
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(REPOSITORY, cache_dir=cache, local_files_only=True))


class Original:
    """A file of the model, and its tensors if it is a shard."""

    def __init__(self, path):
        import safetensors.torch

        data = path.read_bytes()
        self.bytes, self.sha256 = len(data), hashlib.sha256(data).hexdigest()
        self.tensors = safetensors.torch.load(data) if path.suffix == ".safetensors" else {}

    def compare(self, path):
        import safetensors.torch
        import torch

        if self.tensors:
            tensors = safetensors.torch.load_file(path)
            if tensors.keys() != self.tensors.keys():
                sys.exit(f"{path}: other tensors")
            for name, tensor in tensors.items():
                if not torch.equal(tensor.view(torch.int16), self.tensors[name].view(torch.int16)):
                    sys.exit(f"{path}: {name} differs")
            del tensors
        if path.stat().st_size != self.bytes:
            sys.exit(f"{path}: {path.stat().st_size} bytes, not {self.bytes}")
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.sha256:
                sys.exit(f"{path}: other bytes")
            # So that the next time is not answered by the page cache.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def compare(originals, cache):
    found = snapshot(cache)
    if sorted(path.name for path in found.iterdir()) != sorted(originals):
        sys.exit(f"{found}: other files than {sorted(originals)}")
    for name, original in originals.items():
        original.compare(found / name)


def load(originals, cache):
    from huggingface_hub.errors import IncompleteSnapshotError

    ends = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
    print("ready", flush=True)
    is_complete = False
    while not is_complete and not ends.is_set():
        try:
            is_complete = snapshot(cache) is not None
        except IncompleteSnapshotError:
            time.sleep(0.05)
    rounds = 0
    is_last = False
    while not is_last:
        is_last = ends.is_set()
        start = time.monotonic()
        compare(originals, cache)
        rounds += 1
        # Others are to have their time as well.
        ends.wait(time.monotonic() - start)
    print(rounds)


def delete(cache):
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(cache)
    commits = [revision.commit_hash for repository in found.repos for revision in repository.revisions]
    strategy = found.delete_revisions(*commits)
    print(strategy.expected_freed_size)
    strategy.execute()


def originals(model):
    return {path.name: Original(path) for path in Path(model).iterdir()}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", model]:
            make(Path(model))
        case ["get", cache, *patterns]:
            get(cache, patterns)
        case ["tell", cache]:
            tell(cache)
        case ["compare", model, cache]:
            compare(originals(model), cache)
        case ["load", model, cache]:
            load(originals(model), cache)
        case ["delete", cache]:
            delete(cache)
        case _:
            sys.exit(__doc__)
