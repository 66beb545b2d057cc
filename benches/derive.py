#!/usr/bin/env python3
"""From a model in F32, the same model in dtypes that are harder to come by:

    python benches/derive.py minilm-f32.safetensors OUT_DIR

makes NAME-f8_e4m3 and NAME-f8_e5m2 (plain casts, no scale), NAME-bf16-in-f32 and NAME-f16-in-f32 (F32
holding only values that BF16 or F16 has). Tensors that are not F32 are kept as they are. Prints each
file's size and the order-0 entropy of the bytes of its tensors, in bits, over the file and tensor by
tensor. Needs: pip install torch safetensors numpy
"""

import argparse
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file

CASTS = {
    "f8_e4m3": lambda t: t.to(torch.float8_e4m3fn),
    "f8_e5m2": lambda t: t.to(torch.float8_e5m2),
    "bf16-in-f32": lambda t: t.to(torch.bfloat16).to(torch.float32),
    "f16-in-f32": lambda t: t.to(torch.float16).to(torch.float32),
}


def entropy(counts):
    share = counts[counts > 0] / counts.sum()
    return float(-(share * numpy.log2(share)).sum())


def main():
    parser = argparse.ArgumentParser(description="cast a model in F32 to rarer dtypes")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tensors = load_file(args.file)
    for name, cast in CASTS.items():
        made = {k: cast(t).contiguous() if t.dtype == torch.float32 else t for k, t in tensors.items()}
        path = args.out / f"{args.file.stem.removesuffix('-f32')}-{name}.safetensors"
        save_file(made, path, metadata={"format": "pt"})
        counts = [numpy.bincount(t.reshape(-1).view(torch.uint8).numpy(), minlength=256) for t in made.values()]
        total = sum(counts)
        by_tensor = sum(entropy(c) * c.sum() for c in counts if c.sum()) / total.sum()
        over_file = entropy(total)
        print(f"{path.name}: {path.stat().st_size} bytes; entropy of bytes {over_file:.4f} (ratio "
              f"{8 / over_file:.4f}), by tensor {by_tensor:.4f} (ratio {8 / by_tensor:.4f})")


if __name__ == "__main__":
    main()
