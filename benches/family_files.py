"""Models of one family as safetensors files: how far their numbers are from those of the base, fine-tunes drawn like
trained ones, and a store of many. For benches/families.py; needs NumPy alone.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluate import fail

SEED = 17
# What numbers are read as, their bits of mantissa and of exponent.
WORDS = {"BF16": ("<u2", 7, 8), "F16": ("<u2", 10, 5), "F8_E4M3": ("u1", 3, 4), "F8_E5M2": ("u1", 2, 5)}
CLASSES = 16  # of rows, by the share of their numbers that are the base's
PLACES = 1 << 16  # of a table that is drawn from: what is rarer is left out
ENOUGH = 1000  # numbers with an exponent, or those with the next are taken as well
PIECE = 1 << 22  # numbers drawn at a time
LARGEST = 0x7F7F  # finite BF16


class Tensor(NamedTuple):
    dtype: str
    shape: list
    bytes: np.ndarray

    def numbers(self):
        return self.bytes.view(WORDS[self.dtype][0])


def tensors_of(path):
    """{name: Tensor} of a safetensors file, in the order of their bytes."""
    try:
        data = np.memmap(path, "u1", "r")
        start = 8 + int(data[:8].view("<u8")[0])
        return {name: Tensor(one["dtype"], one["shape"], data[slice(*(start + at for at in one["data_offsets"]))])
                for name, one in header_of(bytes(data[8:start]))}
    except (OSError, ValueError, LookupError, TypeError) as error:
        fail(f"{path}: cannot be read as safetensors: {error}")


def header_of(text):
    """[(name, what the header says of it)], in the order of their bytes."""
    header = json.loads(text)
    header.pop("__metadata__", None)
    return sorted(header.items(), key=lambda item: item[1]["data_offsets"])


def write(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, one in tensors.items():
        header[name] = {"dtype": one.dtype, "shape": one.shape, "data_offsets": [at, at := at + len(one.bytes)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for one in tensors.values():
            file.write(one.bytes)


# How far numbers are from the base's.


def in_order(bits):
    """Numbers of sign and magnitude as signed integers whose neighbours are neighbours as numbers; its own inverse."""
    signed = bits.view(bits.dtype.str.replace("u", "i"))
    return signed ^ (signed >> (8 * bits.itemsize - 1)) & np.iinfo(signed.dtype).max


def rounded(tensor):
    """F32 as BF16: to the nearest, of two to the even one."""
    bits = tensor.bytes.view("<u4")
    up = (bits >> 16 & 1) + np.uint32(0x7FFF)
    is_nan = bits & 0x7FFFFFFF > 0x7F800000
    numbers = np.where(is_nan, bits >> 16 | 0x40, (bits + up) >> 16).astype("<u2")
    return Tensor("BF16", tensor.shape, numbers.view("u1"))


def beside(tensor, base):
    """The tensor of a base that this one is compared with, in the same type; None if there is none."""
    if base is None or tensor.shape != base.shape:
        return None
    if (tensor.dtype, base.dtype) == ("BF16", "F32"):
        return rounded(base)
    return base if tensor.dtype == base.dtype else None


def keys(tensor, base):
    """For each number the base's exponent, and below it the ordered difference."""
    _, mantissa, exponent = WORDS[tensor.dtype]
    numbers = base.numbers()
    bits = 8 * numbers.itemsize
    difference = (in_order(tensor.numbers()) - in_order(numbers)).view(numbers.dtype)
    return (numbers >> mantissa & ((1 << exponent) - 1)).astype("i4") << bits | difference


def given_exponent(counts):
    """Bits of numbers that were counted for each exponent."""
    of_exponent, seen = counts.sum(axis=1), counts[counts > 0]
    of_exponent = of_exponent[of_exponent > 0]
    return float((of_exponent * np.log2(of_exponent)).sum() - (seen * np.log2(seen)).sum())


def entropy(tuned, base):
    """Bits of all tensors; what is left of them, tensor by tensor and with all tensors of a type counted together; the share
    of equal numbers. Of what is compared that is the order-0 entropy of the ordered difference given the base's exponent,
    without tables, of equal bytes nothing, and all else is left as it is. None if other types than WORDS differ."""
    bits = rest = by_tensor = compared = equal = 0
    together = {}
    for name, one in tuned.items():
        bits += 8 * len(one.bytes)
        other = beside(one, base.get(name))
        if other is None:
            rest += 8 * len(one.bytes)
        elif one.dtype in WORDS:
            exponent = WORDS[one.dtype][2]
            counts = np.bincount(keys(one, other), minlength=1 << (8 * one.numbers().itemsize + exponent))
            counts = counts.reshape(1 << exponent, -1)
            by_tensor += given_exponent(counts)
            compared, equal = compared + counts.sum(), equal + counts[:, 0].sum()
            total = together.setdefault(one.dtype, np.zeros_like(counts))
            total += counts
        elif not np.array_equal(one.bytes, other.bytes):
            return None
    return (bits, rest + by_tensor, rest + sum(map(given_exponent, together.values())),
            float(equal / compared) if compared else None)


# Fine-tunes that are drawn.


def kind(name, tensor):
    return "vector" if len(tensor.shape) < 2 else "embedding" if "embed" in name else "matrix"


def rows(tensor):
    return (tensor.shape[0], -1) if len(tensor.shape) > 1 else (1, -1)


class Drawn:
    """How a fine-tune differs from its base, BF16 both, and others drawn alike: for each kind of tensor how many rows have
    which share of equal numbers, and for these the distribution of ordered differences for each exponent of the base."""

    def __init__(self, tuned, base, seed=SEED):
        self.random = np.random.Generator(np.random.PCG64(seed))
        counts, self.of_rows, self.tables = {}, {}, {}
        for name, one in tuned.items():
            if one.dtype != "BF16" or (other := beside(one, base.get(name))) is None:
                continue
            what, found = kind(name, one), keys(one, other).reshape(rows(one))
            of_row = np.minimum((found & 0xFFFF == 0).mean(axis=1) * CLASSES, CLASSES - 1).astype(int)
            total = self.of_rows.setdefault(what, np.zeros(CLASSES))
            total += np.bincount(of_row, minlength=CLASSES)
            for number in np.unique(of_row):
                table = counts.setdefault(what, {}).setdefault(int(number), np.zeros(1 << 24, "i8"))
                table += np.bincount(found[of_row == number].ravel(), minlength=1 << 24)
        for what, of_class in counts.items():
            self.tables[what] = {number: self.quantiles(table.reshape(256, -1)) for number, table in of_class.items()}

    @staticmethod
    def quantiles(counts):
        """Which table for each exponent, and the tables: PLACES differences each."""
        counts = np.roll(counts, 1 << 15, axis=1)  # from the least to the greatest
        of_exponent = counts.sum(axis=1)
        known = np.flatnonzero(of_exponent >= min(ENOUGH, of_exponent.max()))
        which = np.abs(np.arange(256)[:, None] - known).argmin(axis=1)
        at = (np.arange(PLACES) + 0.5) / PLACES
        tables = [np.searchsorted(np.cumsum(counts[e]), at * of_exponent[e], side="right") - (1 << 15) for e in known]
        return which, np.array(tables, "i2")

    def tensor(self, name, base):
        if base.dtype != "BF16" or not base.bytes.size:
            return base
        what = kind(name, base)
        numbers = base.numbers().reshape(rows(base))
        share = self.of_rows[what] / self.of_rows[what].sum()
        of_row = self.random.choice(CLASSES, size=len(numbers), p=share)
        out = np.empty_like(numbers)
        step = max(PIECE // max(numbers.shape[1], 1), 1)
        for begin in range(0, len(numbers), step):
            piece = numbers[begin:begin + step]
            moved = in_order(piece).astype("i4")
            for number, (which, tables) in self.tables[what].items():
                mine = of_row[begin:begin + step] == number
                exponents = piece[mine] >> 7 & 0xFF
                moved[mine] += tables[which[exponents], self.random.integers(PLACES, size=exponents.shape, dtype="u2")]
            finite = np.clip(moved, -LARGEST - 1, LARGEST).astype("i2")
            out[begin:begin + step] = in_order(finite.view("u2")).view("u2")
        return Tensor("BF16", base.shape, out.reshape(-1).view("u1"))

    def model(self, base):
        return {name: self.tensor(name, one) for name, one in base.items()}


# A store.


def layers(model, numbers):
    """The tensors of these layers, counted from 0 in what comes out."""
    found = {}
    for name, one in model.items():
        if (layer := re.search(r"\blayers\.(\d+)\.", name)) and int(layer[1]) in numbers:
            found[f"{name[:layer.start(1)]}{numbers.index(int(layer[1]))}{name[layer.end(1):]}"] = one
    return found


def make_store(folder, source, base, tuned):
    """20 models: `base` and six of it, of which those not given are drawn; three layers of `source` and six drawn; six with
    two layers each that nothing else has, and the same two as an encoder."""
    first = Drawn(next(iter(tuned.values())), base)
    write(folder / "small" / "base.safetensors", base)
    for number in range(6):
        given = list(tuned.items())[number:number + 1]
        name, model = given[0] if given else (f"drawn-{number}", first.model(base))
        write(folder / "small" / f"{name}.safetensors", model)
    large = layers(source, [0, 1, 2])
    write(folder / "large" / "base.safetensors", large)
    for number in range(6):
        write(folder / "large" / f"drawn-{number}.safetensors", first.model(large))
    encoder = {f"text_encoder.{name}": one for name, one in layers(source, [3, 4]).items()}
    for number in range(6):
        body = {f"unet.{name}": one for name, one in layers(source, [5 + 2 * number, 6 + 2 * number]).items()}
        write(folder / "with-encoder" / f"pipeline-{number}.safetensors", body | encoder)


def make_small(folder, count):
    """Models of 300 KB, of which every tenth has the largest tensor of the one before."""
    random = np.random.Generator(np.random.PCG64(SEED))

    def tensor(*shape):
        numbers = random.normal(0, 0.02, shape).astype("<f4")
        return rounded(Tensor("F32", list(shape), numbers.reshape(-1).view("u1")))

    for number in range(count):
        if number % 10 != 1:
            matrix = tensor(256, 512)
        write(folder / f"{number:04}.safetensors", {"matrix": matrix, "bias": tensor(16384)})
