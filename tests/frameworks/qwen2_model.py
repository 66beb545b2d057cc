"""Loads a Qwen2 in several shards from a disk and from a mount and compares them.

python qwen2_model.py make DIR                 writes a small random model to DIR
python qwen2_model.py make-cache DIR CACHE     puts DIR into CACHE as the Hugging Face hub does;
                                               prints repository and path of the snapshot
python qwen2_model.py compare RAW MOUNTED      both must be the same model, bit for bit
python qwen2_model.py compare-cached RAW REPOSITORY CACHE
"""

import hashlib
import os
import sys
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

REPOSITORY = "weightfs/random-qwen2"
COMMIT = hashlib.sha1(b"the only commit").hexdigest()


def make(directory):
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=False,
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(directory, max_shard_size="4MB")


def make_cache(directory, cache):
    """blobs/ holds the contents, snapshots/COMMIT/ a link for each file, refs/main the commit."""
    repository = cache / ("models--" + REPOSITORY.replace("/", "--"))
    blobs, snapshot = repository / "blobs", repository / "snapshots" / COMMIT
    for made in [blobs, snapshot, repository / "refs"]:
        made.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for file in directory.iterdir():
        data = file.read_bytes()
        if file.suffix == ".safetensors":
            blob = hashlib.sha256(data).hexdigest()
        else:
            # Small files are named by what git calls them.
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        (blobs / blob).write_bytes(data)
        (snapshot / file.name).symlink_to(os.path.join("..", "..", "blobs", blob))
    print(REPOSITORY)
    print(snapshot.relative_to(cache))


def logits(model):
    tokens = torch.arange(2 * 96).reshape(2, 96) * 7919 % model.config.vocab_size
    with torch.no_grad():
        return model.eval()(tokens).logits


def compare(raw, name, **where):
    a = Qwen2ForCausalLM.from_pretrained(raw, dtype=torch.bfloat16)
    b = Qwen2ForCausalLM.from_pretrained(name, dtype=torch.bfloat16, **where)
    x, y = a.state_dict(), b.state_dict()
    if x.keys() != y.keys() or not x:
        sys.exit(f"other tensors: {sorted(x.keys() ^ y.keys())}")
    for key, tensor in x.items():
        if tensor.dtype != torch.bfloat16 or y[key].dtype != tensor.dtype:
            sys.exit(f"{key}: {tensor.dtype} and {y[key].dtype}")
        if not torch.equal(tensor.view(torch.int16), y[key].view(torch.int16)):
            sys.exit(f"{key}: differs")
    p, q = logits(a), logits(b)
    if p.dtype != torch.bfloat16 or not torch.isfinite(p).all() or not p.float().std() > 0:
        sys.exit(f"these are no logits: {p}")
    if not torch.equal(p.view(torch.int16), q.view(torch.int16)):
        sys.exit(f"logits differ\n{p}\n{q}")
    print(f"{len(x)} tensors and logits of shape {tuple(p.shape)} equal")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", directory]:
            make(directory)
        case ["make-cache", directory, cache]:
            make_cache(Path(directory), Path(cache))
        case ["compare", raw, mounted]:
            compare(raw, mounted)
        case ["compare-cached", raw, name, cache]:
            compare(raw, name, cache_dir=cache, local_files_only=True)
        case _:
            sys.exit(__doc__)
