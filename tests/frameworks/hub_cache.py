"""A cache of the Hugging Face hub, laid out by the code of huggingface_hub itself, with a store of blobs that repositories
share, and what the library finds in it.

python hub_cache.py make CACHE     three repositories; two of them have the same weights
python hub_cache.py tell CACHE     prints all that is found, which is to be the same for the same cache
"""

import hashlib
import json
import random
import struct
import sys
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub import _CACHED_NO_EXIST, file_download
from huggingface_hub.utils import _shared_blobs

COMMIT = "1" * 40
MISSING = "adapter_config.json"
NUMBERS = 1 << 20


def weights(seed):
    """A safetensors file of one tensor of BF16."""
    draw = random.Random(seed)
    data = b"".join(struct.pack("<BB", draw.getrandbits(8), 0x3B + draw.choice((0, 1, 0x80))) for _ in range(NUMBERS))
    tensor = {"dtype": "BF16", "shape": [NUMBERS], "data_offsets": [0, 2 * NUMBERS]}
    header = json.dumps({"weight": tensor}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def put(cache, storage, name, data, is_shared):
    """As the library does once it has downloaded a file."""
    etag = hashlib.sha256(data).hexdigest()
    blob, pointer = storage / "blobs" / etag, storage / "snapshots" / COMMIT / name
    for path in [blob, pointer]:
        path.parent.mkdir(parents=True, exist_ok=True)
    of_store = {
        "blob_path": str(blob),
        "xet_hash": hashlib.blake2s(data).hexdigest(),
        "cache_dir": cache,
        "expected_size": len(data),
    }
    if not is_shared or not _shared_blobs.try_link_from_shared_store(**of_store):
        blob.write_bytes(data)
        if is_shared and not _shared_blobs.publish_blob_to_shared_store(**of_store):
            sys.exit(f"{blob} was not put into the store")
    file_download._create_symlink(str(blob), str(pointer), new_blob=not is_shared)


def make(cache):
    cache.mkdir(exist_ok=True)
    file_download._create_cachedir_tag(cache)
    for repository, seed, is_shared in [("org/first", 1, True), ("org/second", 1, True), ("org/third", 2, False)]:
        storage = cache / file_download.repo_folder_name(repo_id=repository, repo_type="model")
        put(cache, storage, "model.safetensors", weights(seed), is_shared)
        put(cache, storage, "config.json", b"{}", False)
        file_download._cache_commit_hash_for_specific_revision(str(storage), "main", COMMIT)
        missing = storage / ".no_exist" / COMMIT / MISSING
        missing.parent.mkdir(parents=True)
        missing.touch()
    if len(_shared_blobs.shared_store_blob_paths(cache)) != 1:
        sys.exit("the store does not hold one blob")


def tell(cache):
    found = scan_cache_dir(cache)
    print([str(warning) for warning in found.warnings], found.size_on_disk)
    for repository in sorted(found.repos, key=lambda one: one.repo_id):
        name = repository.repo_id
        print(name, repository.size_on_disk, repository.nb_files, repository.last_modified)
        snapshot = Path(snapshot_download(name, cache_dir=cache, local_files_only=True))
        for path in sorted(snapshot.iterdir()):
            if hf_hub_download(name, path.name, cache_dir=cache, local_files_only=True) != str(path):
                sys.exit(f"{path} is not what is found")
            print(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        if try_to_load_from_cache(name, MISSING, cache_dir=cache) is not _CACHED_NO_EXIST:
            sys.exit("that a file is not there was forgotten")
    store = _shared_blobs.shared_store_blob_paths(cache)
    print(sorted(path.name for path in store), len(_shared_blobs.unreferenced_shared_blobs(cache)))


match sys.argv[1:]:
    case ["make", cache]:
        make(Path(cache))
    case ["tell", cache]:
        tell(Path(cache))
    case _:
        sys.exit(__doc__)
