#!/usr/bin/env python3
"""The same tensors in other files than safetensors, written by the libraries that people write them with: how much
smaller does weightfs make them, and how long does that take, beside the same tensors as safetensors?

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 numpy==2.4.6 safetensors==0.8.0 onnx==1.23.2 h5py==3.16.0 keras==3.15.1
    venv/bin/pip install flax==0.12.8 orbax-checkpoint==0.12.8 ml_dtypes==0.6.0 tensorizer==2.12.1
    cargo build --release
    venv/bin/python benches/breadth.py model.safetensors

What is written, and how, is in benches/weight_files.py. What cannot be had has a row that says why, and then the exit
status is 1.

* The program is the command line, from file to file in the page cache, on one thread: "pack --threads 1", with
  SHA-256, fsync, reading back and comparing. Everything is unpacked once and compared, byte for byte.
* "packed" is the whole archive on disk. Of a checkpoint that is several files, each of 1 MiB and more is packed,
  and the others count as they are. "to safetensors" is that by the archive of exactly these tensors as safetensors, its
  own reference: for npy one tensor, for a checkpoint with an optimizer all of its tensors too. "of the gain": the
  bytes that were saved by those that the reference saves.
* Each round packs the file and its reference; the first of a round changes. Medians, and of each round's pair the ratio,
  whose median is "time". One round before is not counted.
* "data at": the largest power of two, up to 4096, at multiples of which the data of all tensors begin, found by looking
  for the first 32 bytes of each tensor of 4 KiB and more; with how many were found if not all.
* Files that are no models: "pack FILE" makes an archive whatever it gains; "pack DIR" of a folder with nothing but
  the file decides whether it gains; "dry run" is that with --dry-run; cp is cp and fsync, as pack does; read is
  reading the file in pieces of 1 MiB. "lost" is "pack DIR" less cp. Here, seconds are those of a whole process, but for
  read; those above are what pack says.
"""

import argparse
import filecmp
import json
import operator
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evaluate import fail
from from_pretrained import stop
from peers import Weightfs, cpu, how_to_install, versions_of
from weight_files import KINDS, PLAIN, TENSORS, as_bytes

NEED = {"torch": "==2.11.0", "numpy": "==2.4.6", "safetensors": "==0.8.0"}
NEED_FOR_KINDS = {"onnx": "==1.23.2", "h5py": "==3.16.0", "keras": "==3.15.1", "flax": "==0.12.8",
                  "orbax-checkpoint": "==0.12.8", "ml_dtypes": "==0.6.0", "tensorizer": "==2.12.1"}
LEAST_BYTES = 1 << 20  # of a file that is packed
PIECE = 1 << 20


class NotMeasured(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def turns(rounds, what, ways):
    """{way: seconds of each round}. All ways take turns, in the other direction every other round; a way is called
    and says how many seconds it took. Round 0 is not counted."""
    seconds = {way: [] for way in ways}
    for number in range(rounds + 1):
        say(f"{what}, round {number} of {rounds}")
        for way in list(ways)[::1 if number % 2 else -1]:
            seconds[way] += [ways[way]()][:number]
    return seconds


def of_pairs(one, other, what):
    """The median of what two ways come to, round by round."""
    return statistics.median(map(what, one, other))


# Files that hold the same tensors.


class Files:
    """Files of a folder, packed one by one."""

    def __init__(self, args, folder, tmp):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.bytes = sum(path.stat().st_size for path in files)
        self.large = [path for path in files if path.stat().st_size >= LEAST_BYTES]
        if not self.large:
            raise NotMeasured(f"no file of {LEAST_BYTES} bytes or more: take a larger model")
        self.packed = []
        for number, path in enumerate(self.large):
            scratch = tmp / str(number)
            scratch.mkdir(parents=True)
            program = argparse.Namespace(weightfs=args.weightfs, file=str(path))
            self.packed.append(Weightfs(program, args.level, None, str(scratch)))

    def pack(self):
        return sum(one.ask("encode") for one in self.packed)

    def check(self):
        for one in self.packed:
            if not one.ask("check"):
                fail(f"{one.args.file}: not the same after packing and unpacking")
            Path(one.archive + ".out").unlink()
        self.stored = self.bytes - sum(path.stat().st_size for path in self.large) + sum(one.size for one in self.packed)


def places(tensors, files):
    """Where the data of tensors begin: [the largest power of two that divides it], and of how many it was looked for."""
    wanted = {bytes(as_bytes(t)[:32]) for t in tensors.values() if t.nbytes >= 4096}
    wanted = [start for start in wanted if len(set(start)) > 3]  # zeros and ones may be anywhere
    found, data = [], [path.read_bytes() for path in files]
    for start in wanted:
        at = next((at for one in data if (at := one.find(start)) >= 0), None)
        if at is not None:
            found.append(min(at & -at, 4096) if at else 4096)
    return found, len(wanted)


class Reference:
    """Tensors, and a safetensors file of them. Takes the place of the one that was there before."""

    def __init__(self, args, name, model, tmp):
        from safetensors.torch import save_file
        self.name, self.tensors = name, TENSORS[name](model)
        shutil.rmtree(tmp / "reference", ignore_errors=True)
        folder = tmp / "reference" / "files"
        folder.mkdir(parents=True)
        save_file(self.tensors, folder / "model.safetensors", metadata={"format": "pt"})
        self.files = Files(args, folder, tmp / "reference" / "archives")
        self.files.pack()
        self.files.check()


def measure(args, name, kind, reference, tmp):
    folder = tmp / "files"
    folder.mkdir()
    try:
        kind.make(folder, reference.tensors)
    except Exception as error:  # whatever a library of another version thinks of
        raise NotMeasured(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    files = Files(args, folder, tmp / "archives")
    files.pack()
    files.check()
    seconds = turns(args.rounds, name, {"packed": files.pack, "reference": reference.files.pack}).values()
    found, looked_for = places(reference.tensors, files.large)
    one, other = files, reference.files
    return {"bytes": one.bytes, "files": len(one.large), "stored": one.stored, "reference": reference.name,
            "reference_bytes": other.bytes, "reference_stored": other.stored,
            "to_reference": one.stored / other.stored,
            "of_gain": (one.bytes - one.stored) / (other.bytes - other.stored) if other.bytes > other.stored else None,
            **dict(zip(("seconds", "reference_seconds"), seconds)), "time": of_pairs(*seconds, operator.truediv),
            "data_at": min(found, default=None), "data_at_all": {at: found.count(at) for at in sorted(set(found))},
            "found": len(found), "looked_for": looked_for}


def measure_kinds(args, model, missing, tmp):
    rows, references, has_bf16 = [], {}, any(str(t.dtype) == "torch.bfloat16" for t in model.values())
    # Those of the same tensors one after the other, so that only one set of them is there at a time.
    for name in sorted(args.kinds, key=lambda name: list(TENSORS).index(KINDS[name].tensors)):
        kind = KINDS[name]
        note = ", ".join(filter(None, [kind.note, has_bf16 and kind.bf16_as and f"BF16 as {kind.bf16_as}"]))
        row = {"kind": name, "note": note}
        try:
            if lacks := [package for package in kind.packages if package in missing]:
                raise NotMeasured(f"{' and '.join(lacks)} not installed")
            if kind.tensors not in references:
                references.clear()
                references[kind.tensors] = Reference(args, kind.tensors, model, tmp)
            with tempfile.TemporaryDirectory(dir=tmp) as scratch:
                row |= measure(args, name, kind, references[kind.tensors], Path(scratch))
        except NotMeasured as error:
            say(f"{name} is not measured: {error}")
            row["not_measured"] = str(error)
        rows.append(row)
    return sorted(rows, key=lambda row: args.kinds.index(row["kind"]))


# Files that are no models.


def timed(*command):
    """The seconds that a command took."""
    begin = time.perf_counter()
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, errors="replace")
    seconds = time.perf_counter() - begin
    if done.returncode:
        fail(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stderr}")
    return seconds


def copy(source, to):
    begin = time.perf_counter()
    timed("cp", source, to)
    with open(to, "rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def read(path):
    piece, begin = bytearray(PIECE), time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass
    return time.perf_counter() - begin


def measure_plain(args, name, tmp):
    make, note = PLAIN[name]
    folder, out, archive = tmp / "files", tmp / "out", tmp / "archive.wfz"
    folder.mkdir()
    make(folder)
    (path,) = folder.iterdir()
    file = Files(args, folder, tmp / "checked")
    file.pack()
    file.check()

    def pack(source, to, *options):
        return timed(args.weightfs, "pack", source, "-o", to, "--level", args.level, "--threads", 1, *options)

    def pack_dir():
        shutil.rmtree(out, ignore_errors=True)
        return pack(folder, out)

    seconds = turns(args.rounds, name, {
        "pack_file": lambda: pack(path, archive, "--force"), "pack_dir": pack_dir,
        "dry_run": lambda: pack(folder, tmp / "not-there", "--dry-run"),
        "cp": lambda: copy(path, tmp / "copy"), "read": lambda: read(path)})
    timed(args.weightfs, "unpack", out, "-o", tmp / "back")
    if not filecmp.cmp(path, tmp / "back" / path.name, shallow=False):
        fail(f"{path}: not the same after packing and unpacking its directory")
    return {"kind": name, "note": note, "bytes": file.bytes, "stored": file.stored,
            "stored_dir": sum(one.stat().st_size for one in out.rglob("*") if one.is_file()),
            "seconds": seconds, "lost": of_pairs(seconds["pack_dir"], seconds["cp"], operator.sub)}


# What is printed.


def markdown(head, rows):
    def line(cells):
        return f"| {' | '.join(cells)} |"

    rows = [row + [""] * (len(head) - len(row)) for row in rows]
    return "\n".join([line(head), "|" + "---|" + "---:|" * (len(head) - 1), *map(line, rows)])


def named(row):
    return row["kind"] + (f" ({row['note']})" if row["note"] else "")


def row_of_kind(row):
    if why := row.get("not_measured"):
        return [named(row), f"not measured: {why}"]
    gain = "-" if row["of_gain"] is None else f"{100 * row['of_gain']:.1f} %"
    at = "-" if row["data_at"] is None else str(row["data_at"])
    if row["found"] != row["looked_for"]:
        at += f" ({row['found']} of {row['looked_for']})"
    return [named(row), f"{row['bytes']:,}", f"{row['reference_stored']:,}", f"{row['stored']:,}",
            f"{row['to_reference']:.4f}", gain,
            *(f"{statistics.median(row[key]):.3f}" for key in ("seconds", "reference_seconds")),
            f"{row['time']:.2f}", at]


def row_of_plain(row):
    seconds = {way: f"{statistics.median(found):.3f}" for way, found in row["seconds"].items()}
    return [named(row), f"{row['bytes']:,}", *(f"{100 * row[key] / row['bytes']:.2f} %" for key in ("stored", "stored_dir")),
            *seconds.values(), f"{row['lost']:+.3f}"]


def report(about, kinds, plain):
    print(f"{Path(about['model']).name}: {about['tensors']} tensors, {about['bytes']} bytes of {', '.join(about['dtypes'])}; "
          f"level {about['level']}, one thread, medians of {about['rounds']} rounds\n{about['cpu']}; "
          f"{', '.join(f'{p} {v}' for p, v in about['versions'].items())}\nload at the start {about['load'][0]:.1f}, at "
          f"the end {about['load'][1]:.1f}, on {os.cpu_count()} cores (this script makes 1)\n")
    if kinds:
        print(markdown(["file", "bytes", "safetensors packed", "packed", "to safetensors", "of the gain", "seconds",
                        "safetensors", "time", "data at"], map(row_of_kind, kinds)), end="\n\n")
    if plain:
        print(markdown(["no model", "bytes", "pack FILE", "pack DIR", "pack FILE, s", "pack DIR, s", "dry run, s", "cp, s",
                        "read, s", "lost, s"], map(row_of_plain, plain)))


def words(known):
    """Parses a list of words, all of which are known, as an argument."""
    def parse(text):
        found = [word for word in text.split(",") if word]
        if wrong := [word for word in found if word not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(wrong)}; there are {', '.join(known)}")
        return found
    return parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="FILE", type=Path, help="a .safetensors file")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--level", choices=("fast", "default", "max"), default="default", help="[default: %(default)s]")
    parser.add_argument("--kinds", type=words(KINDS), default=list(KINDS), metavar="LIST",
                        help=f"of {', '.join(KINDS)}; may be empty [default: all]")
    parser.add_argument("--plain", type=words(PLAIN), default=list(PLAIN), metavar="LIST",
                        help=f"of {', '.join(PLAIN)}; may be empty [default: all]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--tmp", metavar="DIR", help="where files and archives are written; the state of Adam makes "
                        "that 25 times a model in BF16, and 15 times one in F32 [default: the system's]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    args = parser.parse_args()
    if not args.model.is_file():
        parser.error(f"no such file: {args.model}")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    if not args.kinds + args.plain:
        parser.error("--kinds and --plain: nothing to measure")
    if not (program := shutil.which(args.weightfs)):
        parser.error(f"{args.weightfs} is not there: run cargo build --release, or say --weightfs PATH")
    args.weightfs = os.path.abspath(program)
    return args


def packages(args):
    """The versions of the packages there are, and the names of those missing that kinds need, which are told."""
    wanted = {package for name in args.kinds for package in KINDS[name].packages}
    versions, missing = versions_of(NEED | {name: pin for name, pin in NEED_FOR_KINDS.items() if name in wanted})
    if not versions.keys() >= NEED.keys():
        sys.exit(how_to_install(missing, ""))
    if missing:
        say(how_to_install(missing, ", or what needs them is not measured"))
    return versions, wanted - versions.keys()


def main():
    args = arguments()
    versions, missing = packages(args)
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    try:
        model = load_file(args.model)
    except (SafetensorError, OSError) as error:
        fail(f"{args.model}: {error}")
    if not model:
        fail(f"{args.model}: has no tensors")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    about = {"model": str(args.model), "level": args.level, "rounds": args.rounds, "versions": versions, "cpu": cpu(),
             "tensors": len(model), "bytes": sum(t.nbytes for t in model.values()),
             "dtypes": sorted({str(t.dtype).removeprefix("torch.") for t in model.values()})}
    with tempfile.TemporaryDirectory(prefix="breadth-", dir=args.tmp) as tmp:
        tmp, load, plain = Path(tmp), os.getloadavg()[0], []
        kinds = measure_kinds(args, model, missing, tmp)
        for name in args.plain:
            with tempfile.TemporaryDirectory(dir=tmp) as scratch:
                plain.append(measure_plain(args, name, Path(scratch)))
    about["load"] = [load, os.getloadavg()[0]]
    if args.json:
        print(json.dumps(about | {"kinds": kinds, "plain": plain}))
    else:
        report(about, kinds, plain)
    sys.exit(any("not_measured" in row for row in kinds))


if __name__ == "__main__":
    main()
