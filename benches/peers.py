#!/usr/bin/env python3
"""weightfs beside ZipNN, pcodec and zstd: the same file, the same run, one thread each.

To reproduce the figures in the documentation:

    python3 -m venv venv
    venv/bin/pip install zipnn==0.5.4 pcodec==1.1.0 zstandard==0.25.0 numpy    # zipnn pulls in torch
    cargo build --release
    venv/bin/python benches/peers.py model.safetensors

* Each peer is a long-lived process of its own (this script, re-executed), so each has its own heap.
  It answers one request at a time with the seconds that it measured around the call.
* Every round asks each contender once, in turn: the rounds of encoding, then those of decoding, both
  after one that is not counted; that one decode is compared with the file. Contenders marked * are
  slow at encoding and encode once. Medians; GB is 1e9 bytes of the original file.
* Peers go from bytes in memory to bytes in memory. "zipnn" is ZipNN as installed; "zipnn-warm" and
  the other peers keep freed memory (MALLOC_* below), so that they do not wait for fresh pages.
  ZipNN gets the whole file and the dtype that most of its bytes have. It changes its input while it
  encodes: each time it gets a copy, made outside the measured time.
* pcodec gets one array a tensor, decodes into memory allocated once, and keeps the header as it is,
  free of charge. F32 and F16 are given as floats; BF16, which it does not know, as uint16 rotated
  left by one so that the sign is lowest: on trained weights that is smaller than plain uint16, int16
  or widened to F32. "pcodec8-rot" rotates F32 and F16 too. Rotating is within the measured time.
* weightfs is its command line, from file to file in the page cache: encode is "pack --threads 1" and
  includes SHA-256, fsync, and reading back and comparing; decode is "verify --threads 1", which
  decodes everything and compares every checksum. Its ratio is that of the archive on disk. What
  "unpack" gives is compared with the file once.
"""

import argparse
import contextlib
import filecmp
import importlib.metadata
import json
import mmap
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = {"zipnn": ("zipnn", "==0.5.4"), "pcodec": ("pcodec", "==1.1.0"), "zstd": ("zstandard", "==0.25.0")}
PEER = re.compile(r"(?:(zipnn)|(pcodec)(\d+)(-rot)?|(zstd)(\d+))$")
WARM_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "1000000000"}
LARGE = 200_000_000  # bytes; above it the slowest contenders run on request only
ZIPNN_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32",
                "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
PCODEC_DTYPES = {"BF16": "rot2", "F16": "f2", "F32": "f4", "F64": "f8", "F8_E4M3": "rot1", "F8_E5M2": "rot1",
                 "I64": "i8", "I32": "i4", "I16": "i2"}  # rotN: rotated unsigned integers of N bytes


def read_header(data):
    """[(dtype, start, end)] of the tensors, and the dtype that most bytes have."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = [(t["dtype"], *(start + at for at in t["data_offsets"])) for t in header.values()]
    count = {}
    for dtype, begin, end in tensors:
        count[dtype] = count.get(dtype, 0) + end - begin
    return [t for t in tensors if t[2] > t[1]], max(count, key=count.get)


# In the workers: `encode` turns what `source` gives into something packed, `decode` that into bytes.


class Whole:
    """ZipNN or zstd, on the bytes of the file."""

    def __init__(self, data, name):
        if name.startswith("zipnn"):
            import zipnn
            dtype = ZIPNN_DTYPES[read_header(data)[1]]
            codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=dtype, threads=1)
            self.source, self.encode, self.decode = lambda: bytes(data), codec.compress, codec.decompress
        else:
            import zstandard
            self.source, self.encode = lambda: data, zstandard.ZstdCompressor(level=int(name[4:])).compress
            self.decode = zstandard.ZstdDecompressor().decompress

    def size(self, packed):
        return len(packed)


class Pcodec:
    """pcodec, on the tensors one by one."""

    BLOCK = 1 << 16  # numbers that are rotated at a time, to stay in the cache

    def __init__(self, data, name):
        import numpy
        from pcodec import ChunkConfig, standalone
        self.numpy, self.standalone = numpy, standalone
        self.config = ChunkConfig(compression_level=int(PEER.match(name)[3]), enable_8_bit=True)
        self.out = numpy.frombuffer(data, "u1").copy()
        self.parts, self.rest = [], len(data)  # (numbers given, where they are decoded to, rotated)
        for dtype, begin, end in read_header(data)[0]:
            if kind := PCODEC_DTYPES.get(dtype):
                if name.endswith("-rot"):
                    kind = kind.replace("f", "rot")
                target = self.out[begin:end].view(kind.replace("rot", "u"))
                self.parts.append((target.copy(), target, "rot" in kind))
                self.rest -= end - begin
                target.fill(0)

    def source(self):
        return self.parts

    def encode(self, parts):
        return [self.standalone.simple_compress(self.rotate(given) if rotated else given, self.config)
                for given, _, rotated in parts]

    def size(self, packed):
        return self.rest + sum(map(len, packed))

    def decode(self, packed):
        for one, (_, target, rotated) in zip(packed, self.parts):
            self.standalone.simple_decompress_into(one, target)
            if rotated:
                for i in range(0, len(target), self.BLOCK):
                    block = target[i:i + self.BLOCK]
                    sign = block << (8 * target.itemsize - 1)
                    block >>= 1
                    block |= sign
        return self.out

    def rotate(self, given):
        out = self.numpy.empty_like(given)
        for i in range(0, len(given), self.BLOCK):
            block = given[i:i + self.BLOCK]
            self.numpy.left_shift(block, 1, out=out[i:i + self.BLOCK])
            out[i:i + self.BLOCK] |= block >> (8 * given.itemsize - 1)
        return out


def serve(name, path):
    """A worker: one word a line on standard input, one JSON object a line on standard output."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not a reply
    import numpy
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    codec = (Pcodec if name.startswith("pcodec") else Whole)(data, name)
    for word in map(str.strip, sys.stdin):
        if word == "encode":
            source = codec.source()
            begin = time.perf_counter()
            packed = codec.encode(source)
            reply = {"seconds": time.perf_counter() - begin, "size": codec.size(packed)}
            del source
        else:
            begin = time.perf_counter()
            out = codec.decode(packed)
            reply = {"seconds": time.perf_counter() - begin}
            if word == "check":
                reply["same"] = numpy.array_equal(numpy.frombuffer(out, "u1"), numpy.frombuffer(data, "u1"))
            del out
        print(json.dumps(reply), file=replies, flush=True)


# In the main process.


class Peer:
    def __init__(self, name, path):
        self.name, self.encodes = name, True
        self.once = name.startswith("pcodec") or (name.startswith("zstd") and int(name[4:]) > 9)
        env = os.environ | {"OMP_NUM_THREADS": "1"} | ({} if name == "zipnn" else WARM_HEAP)
        self.worker = subprocess.Popen([sys.executable, "-W", "ignore", __file__, "--worker", name, path],
                                       env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, word):
        with contextlib.suppress(BrokenPipeError):
            print(word, file=self.worker.stdin, flush=True)
        line = self.worker.stdout.readline()
        if not line:
            sys.exit(f"peers.py: {self.name} ended during {word}")
        reply = json.loads(line)
        self.size = reply.get("size") or self.size
        return reply["same" if word == "check" else "seconds"]

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.worker.stdin.close()
        self.worker.wait()


class Weightfs:
    """A level of weightfs; with `simd`, that level's archive decoded with WEIGHTFS_SIMD set; `options` are more of
    its `pack`."""

    def __init__(self, args, level, simd, tmp, options=()):
        self.args, self.level, self.archive = args, level, os.path.join(tmp, f"{level}.wfz")
        self.options = options
        self.name = f"weightfs-{level}" + (f":{simd}" if simd else "")
        self.encodes, self.once = simd is None, level == "max"
        self.env = {k: v for k, v in os.environ.items() if k != "WEIGHTFS_SIMD"}
        self.env |= {"WEIGHTFS_SIMD": simd} if simd else {}

    def run(self, *command):
        done = subprocess.run([self.args.weightfs, *command, "--threads", "1", "--json"], env=self.env,
                              stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{Path(sys.argv[0]).name}: weightfs {' '.join(command)}: exit status {done.returncode}")
        return json.loads(done.stdout)["seconds"]

    def ask(self, word):
        if word == "encode":
            return self.run("pack", self.args.file, "-o", self.archive, "--level", self.level, *self.options, "--force")
        if word == "decode":
            return self.run("verify", self.archive)
        self.size = os.path.getsize(self.archive)
        self.run("unpack", self.archive, "-o", self.archive + ".out", "--force")
        return filecmp.cmp(self.args.file, self.archive + ".out", shallow=False)

    def close(self):
        for path in (self.archive, self.archive + ".out"):
            Path(path).unlink(missing_ok=True)


def measure(contenders, rounds):
    """{name: seconds of each counted encode}, the same of decode."""
    encode, decode = ({c.name: [] for c in contenders} for _ in range(2))
    for number in range(rounds + 1):
        print(f"encode, round {number} of {rounds}", file=sys.stderr)
        for c in contenders:
            if c.encodes and (number == 1 or not c.once):
                encode[c.name] += [c.ask("encode")][:number]  # round 0 is not counted
    for c in contenders:
        if not c.ask("check"):
            sys.exit(f"peers.py: {c.name} did not give the file back")
    for number in range(rounds):
        print(f"decode, round {number + 1} of {rounds}", file=sys.stderr)
        for c in contenders:
            decode[c.name].append(c.ask("decode"))
    return encode, decode


def report(args, about, contenders, encode, decode):
    def speed(seconds):
        return about["bytes"] / statistics.median(seconds) / 1e9 if seconds else None

    zstd, zipnn = speed(encode.get("zstd3")), speed(decode.get("zipnn-warm"))
    rows = []
    for c in contenders:
        e, d = speed(encode[c.name]), speed(decode[c.name])
        rows.append({"contender": c.name + "*" * (c.encodes and c.once), "ratio": about["bytes"] / c.size,
                     "encode": e, "decode": d, "decode_to_zipnn_warm": zipnn and d / zipnn,
                     "encode_to_zstd3": zstd and e and e / zstd,
                     "encode_seconds": encode[c.name], "decode_seconds": decode[c.name]})
    if args.json:
        print(json.dumps(about | {"contenders": rows}))
        return
    print(f"{os.path.basename(args.file)}: {about['bytes']} bytes, mostly {about['dtype']}\n{about['cpu']}; medians "
          f"of {args.rounds} rounds, one thread; {', '.join(f'{p} {v}' for p, v in about['versions'].items())}\n"
          f"load at the start {about['load'][0]:.1f}, at the end {about['load'][1]:.1f}, on {os.cpu_count()} cores "
          f"(this script makes 1)\n\n"
          f"{'':<24}   ratio    encode    decode  decode to  encode to\n"
          f"{'':<24}              GB/s      GB/s zipnn-warm      zstd3")
    for row in rows:
        cells = ((row["ratio"], 8, 4), (row["encode"], 10, 4), (row["decode"], 10, 3),
                 (row["decode_to_zipnn_warm"], 11, 2), (row["encode_to_zstd3"], 11, 3))
        print(f"{row['contender']:<24}" + "".join(f"{'-' if v is None else f'{v:.{n}f}':>{w}}" for v, w, n in cells))
    print("\n* encoded once. weightfs: encode includes SHA-256, fsync, and reading back with comparison;\n"
          "decode compares every checksum; both from file to file. Peers: bytes to bytes in memory.")


def arguments():
    parser = argparse.ArgumentParser(description="weightfs beside ZipNN, pcodec and zstd, one thread each")
    parser.add_argument("file", metavar="FILE", help="a .safetensors file")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    for name, text in (("peers", "of zipnn, pcodecN, pcodecN-rot, zstdN [default: zipnn,pcodec8,zstd3, and up to 200 "
                                 "MB pcodec12,zstd19]"),
                       ("levels", "levels of weightfs [default: fast,default, and up to 200 MB max]"),
                       ("simd", "decode once more for each of these as WEIGHTFS_SIMD, such as portable,avx2,avx512")):
        parser.add_argument(f"--{name}", type=lambda s: [w for w in s.split(",") if w], metavar="LIST", help=text)
    parser.add_argument("--tmp", metavar="DIR", help="where archives are written [default: the system's]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    args = parser.parse_args()
    if not os.path.isfile(args.file):
        parser.error(f"no such file: {args.file}")
    slow = os.path.getsize(args.file) <= LARGE
    if args.peers is None:
        args.peers = ["zipnn", "pcodec8", "zstd3"] + ["pcodec12", "zstd19"] * slow
    if args.levels is None:
        args.levels = ["fast", "default"] + ["max"] * slow
    if wrong := [p for p in args.peers if not PEER.match(p)]:
        parser.error(f"no such peer: {', '.join(wrong)}")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    if args.levels and not os.access(args.weightfs, os.X_OK):
        parser.error(f"{args.weightfs} is not there: run cargo build --release, or say --weightfs PATH")
    args.weightfs, args.file = os.path.abspath(args.weightfs), os.path.abspath(args.file)
    return args


def versions_of(need):
    """({name: version} of the packages that are there, [what to install for those that are not])."""
    versions, missing = {}, []
    for package, pin in need.items():
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package + pin)
    return versions, missing


def how_to_install(missing, otherwise):
    return (f"{Path(sys.argv[0]).name}: packages are missing; install them{otherwise}:\n"
            f"    {sys.executable} -m pip install {' '.join(missing)}")


def installed(need, otherwise=", or leave them out with --peers"):
    """The versions of these packages: {name: "==VERSION" to install, or nothing}."""
    versions, missing = versions_of(need)
    if missing:
        sys.exit(how_to_install(missing, otherwise))
    return versions


def cpu():
    with contextlib.suppress(OSError, TypeError):
        return re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)[1]
    return "unknown CPU"


def main():
    if sys.argv[1:2] == ["--worker"]:
        return serve(*sys.argv[2:])
    args = arguments()
    need = [PACKAGES[next(filter(None, PEER.match(p).groups()))] for p in args.peers] + [("numpy", "")] * bool(args.peers)
    about = {"file": args.file, "rounds": args.rounds, "versions": installed(dict(need)), "cpu": cpu()}
    with open(args.file, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        about |= {"bytes": len(data), "dtype": read_header(data)[1]}
    names = [name for p in args.peers for name in ([p, "zipnn-warm"] if p == "zipnn" else [p])]
    if about["dtype"] not in ZIPNN_DTYPES:
        names = [n for n in names if not n.startswith("zipnn")]
    with tempfile.TemporaryDirectory(prefix="peers-", dir=args.tmp) as tmp, contextlib.ExitStack() as stack:
        contenders = [Peer(name, args.file) for name in names]
        contenders += [Weightfs(args, level, simd, tmp) for level in args.levels for simd in [None] + (args.simd or [])]
        for c in contenders:
            stack.callback(c.close)
        load = os.getloadavg()[0]
        seconds = measure(contenders, args.rounds)
        report(args, about | {"load": [load, os.getloadavg()[0]]}, contenders, *seconds)


if __name__ == "__main__":
    main()
