"""Loads a GGUF file with transformers from a disk and from a mount and compares them.

python transformers_gguf.py compare RAW MOUNTED NAME   file NAME of both directories must be the same
                                                       model, bit for bit
"""

import sys

import torch
from transformers import AutoModelForCausalLM


def compare(raw, mounted, name):
    a, b = (AutoModelForCausalLM.from_pretrained(directory, gguf_file=name, dtype=torch.float32)
            for directory in [raw, mounted])
    x, y = a.state_dict(), b.state_dict()
    if x.keys() != y.keys() or not x:
        sys.exit(f"other tensors: {sorted(x.keys() ^ y.keys())}")
    for key, tensor in x.items():
        if y[key].dtype != tensor.dtype or not torch.equal(tensor, y[key]):
            sys.exit(f"{key}: differs")
    tokens = torch.arange(2 * 16).reshape(2, 16) * 7919 % a.config.get_text_config().vocab_size
    with torch.no_grad():
        p, q = (model.eval()(tokens).logits for model in [a, b])
    if not torch.isfinite(p).all() or not p.float().std() > 0 or not torch.equal(p, q):
        sys.exit(f"logits differ, or are none\n{p}\n{q}")
    print(f"{len(x)} tensors and logits of shape {tuple(p.shape)} equal")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["compare", raw, mounted, name]:
            compare(raw, mounted, name)
        case _:
            sys.exit(__doc__)
