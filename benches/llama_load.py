#!/usr/bin/env python3
"""How long llama.cpp takes to load a GGUF file from a cold disk: the file itself, and a mount of its archive.

    weightfs pack model.gguf
    sudo venv/bin/python benches/llama_load.py model.gguf model.gguf.wfz --rounds 5
    sudo venv/bin/python benches/llama_load.py model.gguf model.gguf.wfz --throttle 500000000

Needs a Python with llama-cpp-python, such as the tests of frameworks make under target/. Root is needed for the
mount's readahead and for --throttle; without, the kernel reads 128K ahead, and a line says so.

* Before each load the mount is made anew, and the file, the file in the mount and the archive are dropped from the
  page cache: all comes from the disk. --cached leaves the archive there, so that it is decoded and not read. The
  kernel is asked whether what was dropped is gone; a load that would not be cold ends the run.
* Each load is a process of its own, which imports llama.cpp first. "load" is making the model and a context of 64
  tokens, "token" is evaluating one token, which touches all weights that were only mapped. Its logits must be
  equal, bit by bit.
* "mmap" maps the file (MAP_SHARED with MAP_POPULATE, llama.cpp's default), "read" reads it into memory.
* File and mount take turns, the first of a round changing from round to round; medians.
* --throttle limits how fast the disk below both files may be read, by a cgroup, as in benches/mounts.py: first dd
  reads the file with and without it, and where the limit does not hold, nothing is measured.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from from_pretrained import TARGETS, Packed, drop, fail, read_all, stop, table
from mounts import joining, limit_disks

WAYS = ("mmap", "read")
LIMIT_SECONDS = 3600  # of one load


def load(path, way, threads):
    """Prints one JSON object: what one load took."""
    import llama_cpp
    llama_cpp.llama_backend_init()
    begin = time.perf_counter()
    model = llama_cpp.Llama(path, n_ctx=64, n_threads=int(threads), use_mmap=way == "mmap", verbose=False)
    loaded = time.perf_counter()
    model.eval([1])
    done = time.perf_counter()
    logits = ctypes.string_at(llama_cpp.llama_get_logits(model.ctx), 4 * model.n_vocab())
    said = hashlib.sha256(logits).hexdigest()
    print(json.dumps({"load": loaded - begin, "token": done - loaded, "logits": said}))


def measure(args, packed, joins):
    """[{round, way, target, load, token}]"""
    archive, = packed.archives
    mounted = packed.directory / archive.name.removesuffix(".wfz")
    found = []
    for number in range(args.rounds):
        for way in args.ways:
            said = {}
            for target in TARGETS[::1 if number % 2 == 0 else -1]:
                print(f"round {number + 1} of {args.rounds}: {way}, {target}", file=sys.stderr, flush=True)
                # The other's pages are dropped as well, so that both find the same memory.
                packed.mount()
                drop([args.model, mounted])
                (read_all if args.cached else drop)([archive])
                path = args.model if target == "raw" else mounted
                try:
                    done = subprocess.run([sys.executable, __file__, "--worker", path, way, str(args.threads)],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          text=True, preexec_fn=joins, timeout=LIMIT_SECONDS)
                except subprocess.TimeoutExpired:
                    fail(f"loading {path} took over {LIMIT_SECONDS} s")
                if done.returncode:
                    fail(f"loading {path}: exit status {done.returncode}\n{done.stderr}")
                one = json.loads(done.stdout.splitlines()[-1])
                said[target] = one["logits"]
                if len(set(said.values())) > 1:
                    fail(f"the models are not the same: SHA-256 of their logits are {said}")
                found.append({"round": number + 1, "way": way, "target": target} | one)
    return found


def report(args, about, found):
    print(f"{args.model.name}: {about['bytes']} bytes, archive {about['archive_bytes']}, "
          f"{'in the page cache' if args.cached else 'dropped as well'}\nllama-cpp-python {about['llama-cpp-python']}; "
          f"{os.cpu_count()} cores; load before and after: {', '.join(f'{v:.1f}' for v in about['load'])}; medians of "
          f"{args.rounds} rounds\n\n{'seconds':<10}{'':<8}{'load':>8}{'token':>8}{'both':>8}{'GB/s':>8}")
    table(found, "way", ("load", "token"), args.ways, about["bytes"])
    for note in about["notes"]:
        print(f"note: {note}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf", help="the original")
    parser.add_argument("archive", type=Path, metavar="ARCHIVE.wfz", help="what `weightfs pack` made of it")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--ways", default=",".join(WAYS), metavar="LIST", help="[default: %(default)s]")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="of llama.cpp [default: all]")
    parser.add_argument("--cached", action="store_true", help="leave the archive in the page cache")
    parser.add_argument("--readahead", metavar="SIZE", help="of the mount [default: that of weightfs mount, 4M]")
    parser.add_argument("--throttle", type=int, metavar="BYTES_PER_SECOND", help="limit the disk; needs root")
    parser.add_argument("--json", type=Path, metavar="OUT", help="keep every single measurement in this file")
    args = parser.parse_args()
    for file in (args.model, args.archive):
        if not file.is_file():
            parser.error(f"no such file: {file}")
    args.ways = args.ways.split(",")
    if wrong := [way for way in args.ways if way not in WAYS]:
        parser.error(f"--ways: {wrong[0]} is none of {', '.join(WAYS)}")
    if args.rounds < 1 or args.threads < 1 or (args.throttle is not None and args.throttle < 1):
        parser.error("--rounds, --threads and --throttle: at least 1")
    if args.throttle and (args.cached or os.geteuid()):
        parser.error("--throttle needs root, and no --cached")
    if not (weightfs := shutil.which(args.weightfs)):
        parser.error(f"{args.weightfs} is not there: run cargo build --release, or say --weightfs PATH")
    args.weightfs, args.model, args.archive = os.path.abspath(weightfs), args.model.resolve(), args.archive.resolve()
    return args


def version():
    from importlib.metadata import PackageNotFoundError, version
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError as error:
        fail(f"{error} ({sys.executable}); run this with a Python that has llama-cpp-python")


def main():
    if sys.argv[1:2] == ["--worker"]:
        return load(*sys.argv[2:])
    args = arguments()
    about = {"llama-cpp-python": version(), "notes": [], "rounds": args.rounds, "load": [os.getloadavg()[0]],
             "bytes": os.path.getsize(args.model), "archive_bytes": os.path.getsize(args.archive)}
    if os.geteuid():
        about["notes"].append("not root: the kernel reads 128K ahead in the mount")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with contextlib.ExitStack() as stack:
        group = None
        if args.throttle:
            group, about["throttle"] = limit_disks(stack, args)
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llama-load-")))
        packed = Packed(args.archive, args, tmp, joining(group))
        stack.callback(packed.unmount)
        found = measure(args, packed, joining(group))
    about["load"].append(os.getloadavg()[0])
    report(args, about, found)
    if args.json:
        about |= {"model": str(args.model), "archive": str(args.archive), "measurements": found}
        args.json.write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    main()
