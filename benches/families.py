#!/usr/bin/env python3
"""A fine-tune beside its base: weightfs, and the published methods, in one run.

    python3 -m venv venv
    venv/bin/pip install numpy==2.4.6 zstandard==0.25.0 z4ai==0.2.0
    cargo install bitx-codec@0.1.0 --locked --root venv
    cargo build --release
    venv/bin/python benches/families.py base tuned-1 tuned-2
    venv/bin/python benches/families.py base tuned-1 --make-large OUT model.safetensors
    venv/bin/python benches/families.py model.safetensors OUT
    venv/bin/python benches/families.py base tuned-1 tuned-2 --store model.safetensors

Models are .safetensors files, or directories with one. What is made, and entropies, are in benches/family_files.py.

* entropy: how much smaller the order-0 entropy of the ordered difference given the base's exponent is, tensor by
  tensor, tables not counted; "to entropy" is a ratio to that one. Tensors that the base has not keep all of their
  bytes. A BF16 model is compared with F32 that is rounded.
* Ratios are of files: the fine-tune's bytes to those of what is written. The base counts for nothing.
* alone and beside: the program's command line, "pack --threads 1" with SHA-256, fsync, reading back (by one more
  thread) and comparing; "beside" with --base and the base's archive. unpack writes the file, verify decodes
  everything and compares each checksum; both of them on one thread.
* xor-zstd3: tensors of the same name, type and shape are XORed, the others taken as they are; the first, second, ..
  bytes of all numbers of a tensor are one plane each, and each plane is compressed with zstd -3. As BitX (ZipLLM)
  has it, but for the sign, which that moves to the mantissa.
* bitx: the crate bitx-codec, its program "bitx -j 1": that method, 16 MiB of a tensor at a time. It takes all
  numbers for BF16, of 16 bits, and checks nothing.
* z4ai: z4ai.model_delta on one thread: XOR where the base has a tensor of the name, zstd and rANS by byte plane.
* Each contender is a process of its own, from file to file in the page cache, once. s is a process' seconds, CPU s those
  of all its threads and the kernel, to be gone by where a machine is not idle; peak is its largest resident memory,
  with mapped pages of files. What comes out is compared with the fine-tune, byte for byte.
* --make-large writes OUT/tuned.safetensors: of a BF16 model a fine-tune, drawn so that it differs from it as the first
  tuned one does from the base; of an F32 model the same model rounded to BF16.
* --store makes 20 models of the ones given and of layers of another, BF16 with 17 layers or more, and measures them
  packed alone, beside each other (all threads, verified with --deep), and after `dedup`; then `family` and
  `dedup --dry-run` on --small archives of 300 KB.
"""

import argparse
import contextlib
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from breadth import markdown, say, words
from evaluate import fail
from from_pretrained import stop
from peers import cpu, how_to_install, versions_of

NEED = {"numpy": "==2.4.6", "zstandard": "==0.25.0"}
NEED_FOR = {"z4ai": ("z4ai", "==0.2.0")}
LEVELS = ("fast", "default", "max")
PEERS = ("xor-zstd3", "bitx", "z4ai")


class Took(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stdout: str


def run(*command):
    """What a process took, its threads and children included."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        begin = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            fail(f"{' '.join(map(str, command))}: exit status {process.returncode}\n{err.read()}")
        return Took(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, out.read())


# Contenders: commands that make OUT of a fine-tune, and the fine-tune of OUT.


class Program:
    """weightfs at a level, alone or beside the base."""

    def __init__(self, args, level, base=None):
        self.program, self.level, self.base = args.weightfs, level, base
        self.name = f"{'beside' if base else 'alone'}, {level}"

    def pack(self, _, tuned, out):
        beside = ("--base", self.base) if self.base else ()
        return self.program, "pack", tuned, "-o", out, "--level", self.level, "--threads", 1, "--json", *beside

    def unpack(self, _, out, back):
        return self.program, "unpack", out, "-o", back, "--threads", 1

    def verify(self, out):
        return self.program, "verify", out, "--threads", 1


class Bitx:
    name, verify = "bitx", None

    def __init__(self, args):
        self.program = args.bitx

    def pack(self, base, tuned, out):
        return self.program, "-j", 1, "compress", base, tuned, "-o", out

    def unpack(self, base, out, back):
        return self.program, "-j", 1, "decompress", base, out, "-o", back


class Worker:
    """What has no command line: this script."""

    verify = None

    def __init__(self, name):
        self.name, self.command = name, (sys.executable, "-W", "ignore", __file__, "--worker", name)

    def pack(self, *paths):
        return *self.command, "pack", *paths

    def unpack(self, *paths):
        return *self.command, "unpack", *paths


def xor_planes(tensor, base):
    """The byte planes of a tensor, XORed with the base's where it has it."""
    import numpy as np
    size = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}.get(tensor.dtype, 1)
    same = base is not None and (tensor.dtype, tensor.shape) == (base.dtype, base.shape)
    data = tensor.bytes ^ base.bytes if same else tensor.bytes
    return [np.ascontiguousarray(plane) for plane in data.reshape(-1, size).T]


def xor_pack(base, tuned, out):
    import zstandard
    from family_files import tensors_of
    others, codec = tensors_of(base), zstandard.ZstdCompressor(level=3)
    with open(tuned, "rb") as file, open(out, "wb") as to:
        length = file.read(8)
        to.write(length + file.read(int.from_bytes(length, "little")))
        for name, one in tensors_of(tuned).items():
            for plane in xor_planes(one, others.get(name)):
                packed = codec.compress(plane)
                to.write(len(packed).to_bytes(8, "little") + packed)
        os.fsync(to.fileno())


def xor_unpack(base, packed, back):
    import numpy as np
    import zstandard
    from family_files import Tensor, header_of, tensors_of
    others, codec = tensors_of(base), zstandard.ZstdDecompressor()
    with open(packed, "rb") as file, open(back, "wb") as to:
        length = file.read(8)
        text = file.read(int.from_bytes(length, "little"))
        to.write(length + text)
        for name, one in header_of(text):
            nothing = Tensor(one["dtype"], one["shape"], np.zeros(one["data_offsets"][1] - one["data_offsets"][0], "u1"))
            other = others.get(name)
            planes = []
            for _ in xor_planes(nothing, None):
                planes.append(codec.decompress(file.read(int.from_bytes(file.read(8), "little"))))
            data = np.stack([np.frombuffer(plane, "u1") for plane in planes], axis=1).reshape(-1)
            same = other is not None and (nothing.dtype, nothing.shape) == (other.dtype, other.shape)
            to.write(data ^ other.bytes if same else data)


def work(name, word, *paths):
    """What needs memory is not done in the main process: what it has in memory counts as a peak of its children."""
    if name == "files":
        return HERE[word](*map(Path, paths))
    base, source, to = paths
    if name == "xor-zstd3":
        return (xor_pack if word == "pack" else xor_unpack)(base, source, to)
    from z4ai import model_delta
    base, source = Path(base).read_bytes(), Path(source).read_bytes()
    done = model_delta.compress(source, base, threads=1) if word == "pack" else model_delta.decompress(source, base)
    with open(to, "wb") as file:
        file.write(done)
        os.fsync(file.fileno())


# A fine-tune.


def print_entropy(base, tuned):
    from family_files import entropy, tensors_of
    print(json.dumps(entropy(tensors_of(tuned), tensors_of(base))))


def here(word, *paths):
    return run(sys.executable, __file__, "--worker", "files", word, *paths).stdout


def measure(contender, base, tuned, tmp):
    out, back = tmp / "packed.wfz", tmp / "back"
    packed = run(*contender.pack(base, tuned, out))
    unpacked = run(*contender.unpack(base, out, back))
    if not filecmp.cmp(tuned, back, shallow=False):
        fail(f"{contender.name}: {tuned} did not come back")
    back.unlink()
    verified = run(*contender.verify(out)) if contender.verify else None
    stored = out.stat().st_size
    out.unlink()
    for kept in (tmp / ".weightfs").glob("bases/*"):
        kept.unlink()
    return {"contender": contender.name, "stored": stored, "ratio": tuned.stat().st_size / stored,
            **{key: took and took._asdict() for key, took in (("pack", packed), ("unpack", unpacked), ("verify", verified))}}


def contenders(args, base_archive):
    yield from (Program(args, level) for level in args.levels)
    yield from (Program(args, level, base_archive) for level in args.levels)
    for peer in args.peers:
        yield Bitx(args) if peer == "bitx" else Worker(peer)


def measure_models(args, tmp):
    base_archive = tmp / "base.wfz"
    run(args.weightfs, "pack", args.base, "-o", base_archive)
    for tuned in args.tuned:
        of_entropy = json.loads(here("entropy", args.base, tuned))
        rows = []
        for contender in contenders(args, base_archive):
            say(f"{tuned}: {contender.name}")
            rows.append(measure(contender, args.base, tuned, tmp))
        bits, least, together, equal = of_entropy or (None, None, None, None)
        yield {"tuned": str(tuned), "bytes": tuned.stat().st_size, "equal": equal,
               "entropy_ratio": bits / least if least else None,
               "entropy_ratio_together": bits / together if together else None, "rows": rows}


def cells(took):
    return [f"{took['seconds']:.2f}", f"{took['cpu_seconds']:.2f}"] if took else ["-", "-"]


def report_model(model):
    least, equal = model["entropy_ratio"], model["equal"]
    print(f"{model['tuned']}: {model['bytes']:,} bytes; numbers that are the base's: "
          f"{'unknown' if equal is None else f'{100 * equal:.1f} %'}; entropy: "
          + (f"{least:.2f}, of all tensors counted together {model['entropy_ratio_together']:.2f}" if least else
             "none left" if equal == 1 else "unknown") + "\n")
    rows = [[row["contender"], f"{row['stored']:,}", f"{row['ratio']:.2f}",
             f"{row['ratio'] / least:.3f}" if least else "-", *cells(row["pack"]), f"{row['pack']['peak_bytes'] >> 20}",
             *cells(row["unpack"]), *cells(row["verify"])] for row in model["rows"]]
    print(markdown(["", "bytes", "ratio", "to entropy", "pack, s", "CPU s", "peak, MiB", "unpack, s", "CPU s", "verify, s",
                    "CPU s"], rows), end="\n\n")


# A store.


def stored(folder):
    """Bytes of all files, those with several names once."""
    found = {status.st_ino: status.st_size for path in folder.rglob("*") if path.is_file() and (status := path.stat())}
    return sum(found.values())


def make_store(folder, source, base, *tuned):
    import family_files
    from family_files import tensors_of
    named = {path.parent.name if path.stem == "model" else path.stem: tensors_of(path) for path in tuned}
    family_files.make_store(folder, tensors_of(source), tensors_of(base), named)


def make_small(folder, count):
    import family_files
    family_files.make_small(folder, int(count.name))


def measure_store(args, tmp):
    """Rows, and what `family` says."""
    plain, alone, families = tmp / "plain", tmp / "alone", tmp / "families"
    say("store: models are made")
    here("store", plain, args.store, args.base, *args.tuned)
    rows, before = [], stored(plain)

    def step(what, folder, *command, changes=False):
        say(f"store: {what}")
        took = run(args.weightfs, *command)
        if changes:
            run(args.weightfs, "verify", "--deep", folder)
        size = stored(folder)
        rows.append({"what": what, "stored": size, "ratio": before / size, **took._asdict()})
        return took.stdout

    rows.append({"what": f"{len(list(plain.rglob('*.safetensors')))} models", "stored": before, "ratio": 1.0})
    step("alone: pack DIR", alone, "pack", plain, "-o", alone, changes=True)
    step("families: pack DIR --base auto", families, "pack", plain, "-o", families, "--base", "auto", changes=True)
    family = step("family", families, "family", families)
    step("dedup --dry-run of those alone", alone, "dedup", "--dry-run", alone)
    step("dedup of those alone", alone, "dedup", alone, changes=True)
    if args.small:
        for folder in (plain, alone):
            shutil.rmtree(folder)
        here("small", plain, args.small)
        before = stored(plain)
        step(f"{args.small} small models: pack DIR", alone, "pack", plain, "-o", alone, changes=True)
        for _ in range(2):
            step(f"family on {args.small} archives", alone, "family", alone)
            step(f"dedup --dry-run on {args.small} archives", alone, "dedup", "--dry-run", alone)
    return rows, family.replace(f"{tmp}/", "")


def report_store(rows, family):
    def took(row):
        return [*cells(row), f"{row['peak_bytes'] >> 20}"] if "seconds" in row else ["-"] * 3

    print(markdown(["", "bytes", "ratio", "s", "CPU s", "peak, MiB"],
                   [[row["what"], f"{row['stored']:,}", f"{row['ratio']:.2f}", *took(row)] for row in rows]), end="\n\n")
    print(family)


HERE = {"entropy": print_entropy, "store": make_store, "small": make_small}


# The command line.


def model_file(path):
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise argparse.ArgumentTypeError(f"{path}: has {len(found)} .safetensors files; name one")
        return found[0]
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no such file: {path}")
    return path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", type=model_file)
    parser.add_argument("tuned", metavar="TUNED", type=model_file, nargs="+")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--bitx", default=Path(sys.prefix) / "bin" / "bitx", metavar="PATH",
                        help="the program of bitx-codec [default: beside the Python that runs this]")
    parser.add_argument("--levels", type=words(LEVELS), default=list(LEVELS), metavar="LIST",
                        help=f"of {', '.join(LEVELS)} [default: all]")
    parser.add_argument("--peers", type=words(PEERS), default=list(PEERS), metavar="LIST",
                        help=f"of {', '.join(PEERS)}; may be empty [default: all]")
    parser.add_argument("--make-large", nargs=2, type=Path, metavar=("OUT", "SOURCE"),
                        help="make a fine-tune of SOURCE and measure nothing")
    parser.add_argument("--store", type=model_file, metavar="SOURCE", help="measure a store in place of the models")
    parser.add_argument("--small", type=int, default=1000, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--tmp", metavar="DIR", help="where files and archives are written; a store takes some 4 GB "
                        "[default: the system's]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    args = parser.parse_args()
    if args.make_large:
        return args
    for option, path in (("--weightfs", args.weightfs), ("--bitx", args.bitx)):
        if not shutil.which(path) and (option != "--bitx" or "bitx" in args.peers and not args.store):
            parser.error(f"{path} is not there: install it (see --help), or say {option} PATH")
    args.weightfs = os.path.abspath(shutil.which(args.weightfs))
    return args


def make_large(args, out, source):
    from family_files import Drawn, rounded, tensors_of, write
    model = tensors_of(source)
    if any(one.dtype == "F32" for one in model.values()):
        made = {name: rounded(one) if one.dtype == "F32" else one for name, one in model.items()}
    else:
        made = Drawn(tensors_of(args.tuned[0]), tensors_of(args.base)).model(model)
    write(out / "tuned.safetensors", made)


def main():
    if sys.argv[1:2] == ["--worker"]:
        return work(*sys.argv[2:])
    args = arguments()
    versions, missing = versions_of(NEED | dict(NEED_FOR[peer] for peer in args.peers if peer in NEED_FOR))
    if missing:
        sys.exit(how_to_install(missing, ", or leave them out with --peers"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if args.make_large:
        return make_large(args, *args.make_large)
    about = {"base": str(args.base), "versions": versions, "cpu": cpu(), "load": [os.getloadavg()[0]]}
    with tempfile.TemporaryDirectory(prefix="families-", dir=args.tmp) as tmp:
        if args.store:
            rows, family = measure_store(args, Path(tmp))
            about |= {"store": rows}
        else:
            about |= {"models": list(measure_models(args, Path(tmp)))}
    about["load"].append(os.getloadavg()[0])
    if args.json:
        return print(json.dumps(about))
    for model in about.get("models", []):
        report_model(model)
    if args.store:
        report_store(rows, family)
    print(f"{about['cpu']}; {', '.join(f'{p} {v}' for p, v in versions.items())}; load at the start "
          f"{about['load'][0]:.1f}, at the end {about['load'][1]:.1f}, on {os.cpu_count()} cores (this script makes 2)")


if __name__ == "__main__":
    main()
