"""Embeds sentences with a model from a disk and with the same model from a mount.

python sentence_embeddings.py compare RAW MOUNTED   both must give the same bits
"""

import sys

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "A file system shows compressed archives as ordinary files.",
    "Weights are read from memory that the kernel fills page by page.",
    "The quick brown fox jumps over the lazy dog.",
    "",
    "word " * 300,
]


def sentence_transformers(directory):
    return SentenceTransformer(str(directory)).encode(SENTENCES)


def transformers(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory).eval()
    tokens = tokenizer(
        SENTENCES, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.no_grad():
        return model(**tokens).last_hidden_state.numpy()


def compare(raw, mounted):
    for embed in [sentence_transformers, transformers]:
        a, b = embed(raw), embed(mounted)
        if a.dtype != np.float32 or len(a) != len(SENTENCES) or not np.isfinite(a).all():
            sys.exit(f"{embed.__name__}: these are no embeddings: {a}")
        if a.shape != b.shape or a.tobytes() != b.tobytes():
            sys.exit(f"{embed.__name__}: embeddings differ\n{a}\n{b}")
        print(f"{embed.__name__}: {a.shape} equal")
        # Weights of zero would give equal embeddings too.
        if np.array_equal(a[0], a[2]):
            sys.exit(f"{embed.__name__}: every sentence has the same embedding")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["compare", raw, mounted]:
            compare(raw, mounted)
        case _:
            sys.exit(__doc__)
