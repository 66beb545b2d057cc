#!/usr/bin/env python3
"""weightfs with an error bound beside SZ3 and zfp: the same tensors, the same bounds, one run, one thread each.

    python3 -m venv venv
    venv/bin/pip install --no-deps pysz==1.1.0 zfpy==1.0.1.post0 numpy==2.4.6 safetensors==0.8.0
    cargo build --release
    venv/bin/python benches/lossy_peers.py model.safetensors
    venv/bin/python benches/lossy_peers.py model.safetensors --target-ratio 13.33 --keep DIR

* Compared are the tensors of --least elements and more, F32 only: SZ3 and zfp know no BF16, which would have to
  be widened first and come out twice as large. weightfs packs a file of just these tensors.
* The bound is absolute. sz3 is SZ3's default, interpolation with Lorenzo; sz3-lorenzo its Lorenzo and regression;
  sz3-nopred quantizes without prediction; zfp is zfp with a fixed accuracy, which it keeps by far.
  Tensors go in one by one, in their own shapes.
* Ratio: bytes of the tensors as F32 to what is stored, for weightfs the whole archive on disk.
* Error: the greatest over all elements, in double precision, and how many are past the bound. Each contender's
  output is checked once for each bound; NaN for NaN is no error.
* Speeds are of bytes of F32; GB is 1e9 bytes. Contenders take turns; medians, after a round that is not counted.
  Peers go from memory to memory and keep freed memory (MALLOC_* as in peers.py). weightfs is its command line,
  from file to file in the page cache: encode is "pack --threads 1" with SHA-256, fsync, and reading back and
  comparing; decode is "verify --threads 1", which decodes everything and compares every checksum.
* --target-ratio finds by bisection the bound at which the first peer and the first level of weightfs reach a
  ratio, or come next to it, in place of the table. With --keep, the model as it comes back from there is written to
  DIR/NAME.safetensors, all other tensors as they were, for benches/evaluate_models.py.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from peers import WARM_HEAP, Weightfs, cpu, installed

NEED = {"pysz": "==1.1.0", "zfpy": "==1.0.1.post0", "numpy": "", "safetensors": ""}
SZ3 = {"sz3": "INTERP_LORENZO", "sz3-lorenzo": "LORENZO_REG", "sz3-nopred": "NOPRED"}
PEERS = [*SZ3, "zfp"]
CLOSE = 2e-4  # of the ratio to reach, and of bounds that are no longer told apart


def fail(why):
    sys.exit(f"{Path(sys.argv[0]).name}: {why}")


def tensors_of(path, least=0):
    """{name: array} of the F32 tensors with at least so many elements."""
    from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, "np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}
            return {name: file.get_tensor(name) for name, one in slices.items()
                    if one.get_dtype() == "F32" and math.prod(one.get_shape()) >= max(least, 1)}
    except (SafetensorError, OSError) as error:
        fail(f"{path}: {error}")


class Peer:
    """SZ3 or zfp, on the tensors one by one, in this process."""

    def __init__(self, name, tensors, bound):
        self.name, self.tensors = name, tensors
        if name == "zfp":
            import zfpy
            self.one = lambda x: zfpy.compress_numpy(x, tolerance=bound, write_header=True)
            self.back = lambda packed, _: zfpy.decompress_numpy(packed)
        else:
            import pysz
            config = pysz.szConfig()
            config.errorBoundMode, config.absErrorBound = pysz.szErrorBoundMode.ABS, bound
            config.cmprAlgo = getattr(pysz.szAlgorithm, SZ3[name])
            self.one = lambda x: pysz.sz.compress(x, config)[0]
            self.back = lambda packed, x: pysz.sz.decompress(packed, x.dtype, x.shape)[0]

    def ask(self, word):
        begin = time.perf_counter()
        if word == "encode":
            self.packed = [self.one(x) for x in self.tensors.values()]
        else:
            for packed, x in zip(self.packed, self.tensors.values()):
                self.back(packed, x)
        return time.perf_counter() - begin

    def size(self):
        return sum(map(len, self.packed))

    def decoded(self):
        return {name: self.back(packed, x).reshape(x.shape)
                for packed, (name, x) in zip(self.packed, self.tensors.items())}

    def close(self):
        pass


class Lossy(Weightfs):
    """weightfs at a level, packing with this bound."""

    def __init__(self, args, level, tmp, bound):
        super().__init__(args, level, None, tmp, ("--error-bound", repr(bound)))

    def size(self):
        return os.path.getsize(self.archive)

    def decoded(self):
        self.run("unpack", self.archive, "-o", self.archive + ".out", "--force")
        return tensors_of(self.archive + ".out")


def errors(tensors, decoded, bound):
    """The greatest error, and how many elements are past the bound."""
    import numpy as np
    greatest, past = 0.0, 0
    for name, x in tensors.items():
        y = decoded[name]
        with np.errstate(invalid="ignore"):  # an infinity less itself
            error = np.abs(x.astype("f8") - y.astype("f8"))
        error[(x == y) | (np.isnan(x) & np.isnan(y))] = 0
        error[np.isnan(error)] = np.inf
        greatest, past = max(greatest, float(error.max())), past + int((error > bound).sum())
    return greatest, past


def contenders_at(args, tensors, tmp, bound):
    return [Peer(name, tensors, bound) for name in args.peers] + [Lossy(args, l, tmp, bound) for l in args.levels]


def measure(args, tensors, tmp):
    """[{contender, bound, ...}]"""
    rows, size = [], sum(x.nbytes for x in tensors.values())
    for bound in args.bounds:
        contenders = contenders_at(args, tensors, tmp, bound)
        seconds = {(c.name, word): [] for c in contenders for word in ("encode", "decode")}
        for word in ("encode", "decode"):
            for number in range(args.rounds + 1):
                print(f"{bound:g}: {word}, round {number} of {args.rounds}", file=sys.stderr, flush=True)
                for c in contenders:
                    seconds[c.name, word] += [c.ask(word)][:number]  # round 0 is not counted
        for c in contenders:
            greatest, past = errors(tensors, c.decoded(), bound)
            median = {word: statistics.median(seconds[c.name, word]) for word in ("encode", "decode")}
            rows.append({"contender": c.name, "bound": bound, "bytes": c.size(), "ratio": size / c.size(),
                         "bits": 32 * c.size() / size} | {word: size / s / 1e9 for word, s in median.items()} |
                        {"greatest_error": greatest, "past_bound": past})
            c.close()
    return rows


def find(args, tensors, tmp):
    """The bound at which each of two contenders reaches the ratio: [{contender, bound, ...}]"""
    rows, size = [], sum(x.nbytes for x in tensors.values())
    makers = [lambda bound, p=p: Peer(p, tensors, bound) for p in args.peers[:1]]
    makers += [lambda bound, l=l: Lossy(args, l, tmp, bound) for l in args.levels[:1]]
    for make in makers:
        low, high = 1e-7, max(float(abs(x).max()) for x in tensors.values())
        while True:
            bound = math.sqrt(low * high)
            one = make(bound)
            one.ask("encode")
            ratio = size / one.size()
            print(f"{one.name}: {bound:.6g} gives {ratio:.4f}", file=sys.stderr, flush=True)
            if abs(ratio / args.target_ratio - 1) < CLOSE or high / low - 1 < CLOSE / 10:
                break
            low, high = (bound, high) if ratio < args.target_ratio else (low, bound)
        decoded = one.decoded()
        greatest, past = errors(tensors, decoded, bound)
        rows.append({"contender": one.name, "bound": bound, "bytes": one.size(), "ratio": ratio,
                     "bits": 32 / ratio, "greatest_error": greatest, "past_bound": past})
        if args.keep:
            rows[-1]["kept"] = str(args.keep / f"{one.name}-{args.target_ratio:g}.safetensors")
            replace(args.model, decoded, rows[-1]["kept"])
        one.close()
    return rows


def replace(model, tensors, out):
    """Writes the model with the bytes of these tensors in place of its own."""
    shutil.copyfile(model, out)
    with open(out, "r+b") as file:
        start = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start))
        for name, x in tensors.items():
            file.seek(8 + start + header[name]["data_offsets"][0])
            file.write(x.tobytes())


def report(args, about, rows):
    print(f"{Path(args.model).name}: {about['tensors']} tensors, {about['bytes']} bytes of F32\n{about['cpu']}; medians "
          f"of {args.rounds} rounds, one thread; {', '.join(f'{p} {v}' for p, v in about['versions'].items())}\n"
          f"load at the start {about['load'][0]:.1f}, at the end {about['load'][1]:.1f}, on {os.cpu_count()} cores "
          f"(this script makes 1)\n\n{'bound':<11}{'':<18}   ratio  bits a    encode    decode     greatest      past\n"
          f"{'':<11}{'':<18}          weight      GB/s      GB/s        error the bound")
    before = None
    for row in rows:
        speeds = "".join(f"{row[w]:10.3f}" if w in row else f"{'-':>10}" for w in ("encode", "decode"))
        bound = f"{row['bound']:.4g}" if row["bound"] != before else ""
        print(f"{bound:<11}{row['contender']:<18}{row['ratio']:8.3f}{row['bits']:8.3f}{speeds}"
              f"{row['greatest_error']:13.5e}{row['past_bound']:10}")
        before = row["bound"]


def arguments():
    def words(text):
        return [w for w in text.split(",") if w]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="FILE", help="a .safetensors file with F32 tensors")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PROGRAM", help="[default: %(default)s]")
    parser.add_argument("--bounds", type=words, default="1e-2,1e-3,1e-4,1e-5", metavar="LIST",
                        help="[default: %(default)s]")
    parser.add_argument("--peers", type=words, default=",".join(PEERS), metavar="LIST", help="[default: %(default)s]")
    parser.add_argument("--levels", type=words, default="default,max", metavar="LIST",
                        help="levels of weightfs; may be empty [default: %(default)s]")
    parser.add_argument("--least", type=int, default=100_000, metavar="N",
                        help="elements of a tensor [default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--target-ratio", type=float, metavar="RATIO", help="find the bounds that give this ratio")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the file of tensors that are compared, as "
                        "tensors.safetensors, and with --target-ratio what came back")
    parser.add_argument("--tmp", metavar="DIR", help="where archives are written [default: the system's]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    args = parser.parse_args()
    if not os.path.isfile(args.model):
        parser.error(f"no such file: {args.model}")
    if wrong := [p for p in args.peers if p not in PEERS]:
        parser.error(f"no such peer: {', '.join(wrong)}; there are {', '.join(PEERS)}")
    try:
        args.bounds = [float(b) for b in args.bounds]
    except ValueError as error:
        parser.error(f"--bounds: {error}")
    if args.rounds < 1 or not all(0 < b < math.inf for b in args.bounds + [args.target_ratio or 1.0]):
        parser.error("--rounds, --bounds and --target-ratio: above 0")
    if not args.peers + args.levels:
        parser.error("--peers and --levels: nothing to compare")
    if args.levels and not (program := shutil.which(args.weightfs)):
        parser.error(f"{args.weightfs} is not there: run cargo build --release, or say --weightfs PROGRAM")
    args.weightfs = args.levels and os.path.abspath(program)
    return args


def main():
    if os.environ.get("OMP_NUM_THREADS") != "1":  # the heap's settings are read when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | WARM_HEAP | {"OMP_NUM_THREADS": "1"})
    args = arguments()
    versions = installed(NEED)
    from safetensors.numpy import save_file
    tensors = tensors_of(args.model, args.least)
    if not tensors:
        fail(f"{args.model}: has no F32 tensor of {args.least} elements or more; BF16 and F16 must be widened first")
    about = {"model": args.model, "rounds": args.rounds, "versions": versions, "cpu": cpu(), "tensors": len(tensors),
             "bytes": sum(x.nbytes for x in tensors.values())}
    with contextlib.ExitStack() as stack:
        tmp = stack.enter_context(tempfile.TemporaryDirectory(prefix="lossy-peers-", dir=args.tmp))
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
        args.file = os.path.join(args.keep or tmp, "tensors.safetensors")
        save_file(tensors, args.file)
        load = os.getloadavg()[0]
        rows = (find if args.target_ratio else measure)(args, tensors, tmp)
        about["load"] = [load, os.getloadavg()[0]]
    if args.json:
        print(json.dumps(about | {"contenders": rows}))
    else:
        report(args, about, rows)


if __name__ == "__main__":
    main()
