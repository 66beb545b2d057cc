"""Compares what safetensors reads from a mount with what it reads from the original files.

python safetensors_files.py make RAW              writes files with every dtype to RAW
python safetensors_files.py compare RAW MOUNTED   both must read the same, bit for bit
"""

import sys
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import safe_open

TORCH_DTYPES = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
NUMPY_DTYPES = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "BOOL": np.bool_,
}

# Of a tensor of shape [311, 77]; get_slice takes no negative index, and no step.
SLICES = [
    np.s_[:],
    np.s_[0],
    np.s_[310],
    np.s_[17:211],
    np.s_[306:],
    np.s_[310:311],
    np.s_[7:7],
    np.s_[:, 3:41],
    np.s_[:, 76],
    np.s_[100:250, 69:70],
    np.s_[..., 5],
    np.s_[3, 5],
]


def bits(tensor):
    """Type, shape and bytes: NaN is not equal to itself, its bytes are."""
    if isinstance(tensor, torch.Tensor):
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        data = np.ascontiguousarray(tensor).tobytes()
    return str(tensor.dtype), tuple(tensor.shape), data


def equal(raw, mounted, what):
    if bits(raw) != bits(mounted):
        sys.exit(f"{what}: differs\n{raw}\n{mounted}")


def outcome(read):
    """What a call returns, or how it fails: numpy has no BF16, from a mount as from a disk."""
    try:
        return bits(read())
    except (AttributeError, TypeError) as error:
        return repr(error)


def torch_tensors():
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, dtype in TORCH_DTYPES.items():
        size = torch.empty(0, dtype=dtype).element_size()
        # Any bits: NaNs with payloads, infinities, subnormals. A bool is 0 or 1.
        count = 2 if dtype == torch.bool else 256
        anything = torch.randint(0, count, (311, 77 * size), generator=generator, dtype=torch.uint8)
        tensors[f"{name}.anything"] = anything.view(dtype)
        tensors[f"{name}.zeros"] = torch.zeros((300, 70), dtype=dtype)
        tensors[f"{name}.scalar"] = torch.ones((), dtype=torch.float32).to(dtype)
        tensors[f"{name}.empty"] = torch.empty((0, 70), dtype=dtype)
        if dtype.is_floating_point:
            weights = torch.randn((600, 500), generator=generator) * 0.02
            tensors[f"{name}.weights"] = weights.to(dtype)
    return tensors


def numpy_tensors():
    generator = np.random.default_rng(2)
    tensors = {}
    for name, dtype in NUMPY_DTYPES.items():
        size = np.dtype(dtype).itemsize
        count = 2 if dtype == np.bool_ else 256
        anything = generator.integers(0, count, (311, 77 * size), dtype=np.uint8)
        tensors[f"{name}.anything"] = anything.view(dtype)
        tensors[f"{name}.scalar"] = np.ones((), dtype=dtype)
        tensors[f"{name}.empty"] = np.empty((0, 70), dtype=dtype)
        if np.issubdtype(dtype, np.floating):
            tensors[f"{name}.weights"] = generator.normal(0, 0.02, (600, 500)).astype(dtype)
    return tensors


def make(directory):
    metadata = {"format": "pt", "note": "made up"}
    safetensors.torch.save_file(torch_tensors(), directory / "torch.safetensors", metadata)
    safetensors.numpy.save_file(numpy_tensors(), directory / "numpy.safetensors")


def compare_open(raw, mounted, framework):
    with safe_open(raw, framework) as a, safe_open(mounted, framework) as b:
        if list(a.keys()) != list(b.keys()) or a.metadata() != b.metadata():
            sys.exit(f"{mounted}: other names or metadata")
        for name in a.keys():
            what = f"{mounted} {name} {framework}"
            tensor = outcome(lambda: a.get_tensor(name))
            if tensor != outcome(lambda: b.get_tensor(name)):
                sys.exit(f"{what}: differs")
            x, y = a.get_slice(name), b.get_slice(name)
            if (x.get_dtype(), x.get_shape()) != (y.get_dtype(), y.get_shape()):
                sys.exit(f"{what}: other dtype or shape")
            if isinstance(tensor, str) or x.get_shape() != [311, 77]:
                continue
            whole = a.get_tensor(name)
            for index in SLICES:
                equal(x[index], y[index], f"{what} {index}")
                equal(whole[index], y[index], f"{what} {index}, of the whole")
        return len(a.keys())


def compare_load(raw, mounted, load):
    a, b = load(raw), load(mounted)
    if a.keys() != b.keys():
        sys.exit(f"{mounted}: other names")
    for name, tensor in a.items():
        equal(tensor, b[name], f"{mounted} {name} {load.__module__}.{load.__name__}")


def compare(raw, mounted):
    for name in ["torch", "numpy"]:
        a, b = raw / f"{name}.safetensors", mounted / f"{name}.safetensors"
        for framework in ["pt", "np"]:
            count = compare_open(a, b, framework)
        compare_load(a, b, safetensors.torch.load_file)
        print(f"{b}: {count} tensors")
    # numpy knows the types of the second file only.
    compare_load(a, b, safetensors.numpy.load_file)
    # From bytes instead of through mmap.
    compare_load(a, b, from_bytes)


def from_bytes(path):
    return safetensors.numpy.load(path.read_bytes())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", raw]:
            make(Path(raw))
        case ["compare", raw, mounted]:
            compare(Path(raw), Path(mounted))
        case _:
            sys.exit(__doc__)
