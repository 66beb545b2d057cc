#!/usr/bin/env python3
"""Makes quantized safetensors files as people have them, and measures how small they become:

    python benches/quantized_safetensors.py OUT_DIR [KIND...] [--weightfs PROGRAM] [--no-zstd]

A file is made if it is not in OUT_DIR yet, 85 to 96 MB each. Weights are Gaussian with a mild tail and with
scales of rows and columns; tensors lie in the order that the library safetensors writes. For each file
prints a line of a table: bytes, order-0 entropy by field, and what zstd -19 and weightfs make of it; archives
are unpacked again and compared. Needs numpy, and weightfs with the feature `comparison`.

"By field" is the file with each level (a byte, or a nibble of one), zero and scale coded by the frequency of its
value in its tensor, the tables not counted. Of floats, all but the sign, the exponent and two bits of
the mantissa are counted as noise.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

HIDDEN, INTER = 1536, 4096
GROUP = 128
MATRICES = [("self_attn.q_proj", HIDDEN, HIDDEN), ("self_attn.k_proj", HIDDEN, HIDDEN), ("self_attn.v_proj", HIDDEN, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN), ("mlp.gate_proj", INTER, HIDDEN), ("mlp.up_proj", INTER, HIDDEN),
            ("mlp.down_proj", HIDDEN, INTER)]
# The order of dtypes in a file, the widest first.
ORDER = ["F32", "I32", "F16", "F8_E4M3", "I8", "U8"]
NF4 = np.array([-1.0, -0.6961928, -0.5250731, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.0795803,
                0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0], dtype=np.float32)


def matrix(rng, rows, columns):
    """Weights as those of benches' synthetic models: outputs are rows, inputs columns."""
    x = rng.standard_normal((rows, columns), dtype=np.float32)
    x *= np.exp(0.12 * rng.standard_normal((rows, columns), dtype=np.float32))
    x *= np.exp(0.22 * rng.standard_normal((rows, 1), dtype=np.float32))
    return 0.02 * x * np.exp(0.18 * rng.standard_normal((1, columns), dtype=np.float32))


def floats_of(count, exponent_bits, mantissa_bits, bias):
    """The values of the first codes of a small float, its sign bit zero, ascending."""
    codes = np.arange(1 << (exponent_bits + mantissa_bits))
    exponent, mantissa = codes >> mantissa_bits, (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    return np.where(exponent == 0, mantissa * 2.0 ** (1 - bias), (1 + mantissa) * 2.0 ** (exponent - bias))[:count]


def nearest(values, sorted_values):
    """The place of the nearest of some ascending values."""
    middles = ((sorted_values[1:] + sorted_values[:-1]) / 2).astype(np.float32)
    return np.searchsorted(middles, values.reshape(-1)).reshape(values.shape).astype(np.uint8)


def signed_code(values, magnitudes, sign_bit):
    return nearest(np.abs(values), magnitudes) | (np.signbit(values).astype(np.uint8) << sign_bit)


def int8_rows(name, w):
    scale = np.abs(w).max(axis=1, keepdims=True) / 127
    return {f"{name}.weight": ("I8", np.rint(w / scale).astype(np.int8)), f"{name}.weight_scale": ("F32", scale)}


def int8_tensor(name, w):
    """One scale for all, and a column in 200 that is 20 times as large."""
    columns = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).permutation(w.shape[1])
    w[:, columns[: max(1, round(0.005 * w.shape[1]))]] *= 20
    scale = np.abs(w).max() / 127
    return {f"{name}.weight": ("I8", np.rint(w / scale).astype(np.int8)), f"{name}.weight_scale": ("F32", scale.reshape(1))}


def packed(nibbles, axis, order=range(8)):
    """Eight nibbles along an axis in a number of 32 bits, the one that `order` names first in its lowest bits."""
    nibbles = np.moveaxis(nibbles, axis, -1).astype(np.uint32)
    word = np.zeros(nibbles.shape[:-1] + (nibbles.shape[-1] // 8,), dtype=np.uint32)
    for place, which in enumerate(order):
        word |= nibbles[..., which::8] << np.uint32(4 * place)
    return np.ascontiguousarray(np.moveaxis(word, -1, axis)).view(np.int32)


def gptq(name, w):
    """Symmetric, groups of 128 inputs; eight inputs in a word."""
    rows, columns = w.shape
    w = np.ascontiguousarray(w.T).reshape(columns // GROUP, GROUP, rows)
    scale = (np.abs(w).max(axis=1, keepdims=True) / 7.5).astype(np.float16)
    levels = np.clip(np.rint(w / scale.astype(np.float32)) + 8, 0, 15).reshape(columns, rows)
    # GPTQ stores zeros less one.
    zeros = np.full((columns // GROUP, rows), 7, dtype=np.uint8)
    return {f"{name}.qweight": ("I32", packed(levels, 0)), f"{name}.qzeros": ("I32", packed(zeros, 1)),
            f"{name}.scales": ("F16", scale.reshape(-1, rows)), f"{name}.g_idx": ("I32", np.arange(columns, dtype=np.int32) // GROUP)}


def awq(name, w):
    """With a zero of its own for each group of 128 inputs; eight outputs in a word, in the order of its kernels."""
    rows, columns = w.shape
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    w = np.ascontiguousarray(w.T).reshape(columns // GROUP, GROUP, rows)
    least, most = w.min(axis=1, keepdims=True), w.max(axis=1, keepdims=True)
    scale = ((most - least) / 15).astype(np.float16)
    zeros = np.clip(np.rint(-least / scale.astype(np.float32)), 0, 15)
    levels = np.clip(np.rint(w / scale.astype(np.float32)) + zeros, 0, 15).reshape(columns, rows)
    return {f"{name}.qweight": ("I32", packed(levels, 1, order)), f"{name}.qzeros": ("I32", packed(zeros.reshape(-1, rows), 1, order)),
            f"{name}.scales": ("F16", scale.reshape(-1, rows))}


def mxfp4(name, w):
    """E2M1 in groups of 32 with a power of two for each."""
    groups = w.reshape(w.shape[0], -1, 32)
    exponent = np.floor(np.log2(np.abs(groups).max(axis=2, keepdims=True))) - 2
    codes = signed_code(groups / np.exp2(exponent), floats_of(8, 2, 1, 1), 3)
    return {f"{name}_blocks": ("U8", codes[..., 0::2] | codes[..., 1::2] << 4),
            f"{name}_scales": ("U8", (exponent[..., 0] + 127).astype(np.uint8))}


def nf4(name, w):
    """Quantiles of a Gaussian in groups of 64, as bitsandbytes has them."""
    groups = w.reshape(-1, 64)
    scale = np.abs(groups).max(axis=1, keepdims=True)
    codes = nearest(groups / scale, NF4).reshape(-1)
    return {f"{name}.weight": ("U8", (codes[0::2] << 4 | codes[1::2]).reshape(-1, 1)), f"{name}.weight.absmax": ("F32", scale.reshape(-1)),
            f"{name}.weight.quant_map": ("F32", NF4)}


def f8_e4m3(name, w):
    scale = np.abs(w).max() / 448
    codes = signed_code(w / scale, floats_of(127, 4, 3, 7), 7)
    return {f"{name}.weight": ("F8_E4M3", codes), f"{name}.weight_scale": ("F32", scale.reshape(1))}


# How weights are kept, and the layers that make a file of 85 to 96 MB.
KINDS = {"int8-rows": (int8_rows, 3), "int8-tensor": (int8_tensor, 3), "gptq": (gptq, 6), "awq": (awq, 6), "mxfp4": (mxfp4, 6),
         "nf4": (nf4, 6), "f8_e4m3": (f8_e4m3, 3)}


def write(path, tensors):
    """As the library does it: by dtype, then by name; the header is a multiple of 8 bytes."""
    names = sorted(tensors, key=lambda name: (ORDER.index(tensors[name][0]), name))
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        dtype, array = tensors[name]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(np.ascontiguousarray(tensors[name][1]).tobytes())
    part.rename(path)


def make(path, kind):
    quantize, layers = KINDS[kind]
    rng = np.random.Generator(np.random.PCG64(11))
    tensors = {}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, rows, columns in MATRICES:
            tensors |= quantize(prefix + name, matrix(rng, rows, columns))
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = ("F16", (1 + 0.2 * rng.standard_normal(HIDDEN)).astype(np.float16))
    write(path, tensors)


def entropy_bytes(symbols):
    counts = np.bincount(symbols)
    counts = counts[counts > 0]
    return -float((counts * np.log2(counts / counts.sum())).sum()) / 8


def field_bytes(name, dtype, data):
    """The order-0 entropy of a tensor's fields, in bytes."""
    if name.endswith((".qweight", ".qzeros", "_blocks")) or (dtype == "U8" and name.endswith(".weight")):
        return entropy_bytes(np.concatenate([data & 15, data >> 4]))
    if dtype in ("F16", "BF16", "F32"):
        width, exponent = {"F16": (16, 5), "BF16": (16, 8), "F32": (32, 8)}[dtype]
        values = data.view(f"<u{width // 8}")
        noise = width - 1 - exponent - 2
        return entropy_bytes((values >> noise).astype(np.int64)) + len(values) * noise / 8
    if dtype == "I32":
        return entropy_bytes(data.view("<u4").astype(np.int64))
    return entropy_bytes(data)


def by_field(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = np.frombuffer(file.read(), dtype=np.uint8)
    header.pop("__metadata__", None)
    sizes = (field_bytes(name, t["dtype"], data[slice(*t["data_offsets"])]) for name, t in header.items())
    return 8 + length + sum(sizes)


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.decode()}")
    return done.stdout


def packed_bytes(weightfs, path, level, scratch):
    archive, back = Path(scratch, "a.wfz"), Path(scratch, "back")
    run(weightfs, "pack", path, "-o", archive, "--level", level)
    run(weightfs, "unpack", archive, "-o", back)
    if back.read_bytes() != path.read_bytes():
        sys.exit(f"{path}: not the same after packing and unpacking")
    size = archive.stat().st_size
    archive.unlink()
    back.unlink()
    return size


def main():
    parser = argparse.ArgumentParser(description="make quantized safetensors files and measure them")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them if none is named")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PROGRAM")
    parser.add_argument("--no-zstd", action="store_true", help="leave out zstd -19, which takes a minute a file")
    args = parser.parse_args()
    if unknown := set(args.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    args.out.mkdir(parents=True, exist_ok=True)
    levels = ["fast", "default", "max"]
    print(f"| file | bytes | zstd -19 | by field | {' | '.join(levels)} |")
    print("|---" * (4 + len(levels)) + "|")
    for kind in args.kinds or KINDS:
        path = args.out / f"{kind}.safetensors"
        if not path.exists():
            make(path, kind)
        size = path.stat().st_size
        with tempfile.TemporaryDirectory(dir=args.out) as scratch:
            ratios = [size / by_field(path)] + [size / packed_bytes(args.weightfs, path, level, scratch) for level in levels]
            zstd = math.nan
            if not args.no_zstd:
                bench = run(args.weightfs, "bench", path, "--codecs", "zstd-19", "--rounds", "1", "--json", "--tmp", scratch)
                zstd = json.loads(bench)["results"][0]["ratio"]
        cells = [kind, f"{size:,}"] + [f"{ratio:.4f}" for ratio in [zstd] + ratios]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
