#!/usr/bin/env python3
"""How fast a mount is read while a file is packed behind its readers, beside how fast it is read alone.

    cargo build --release
    python3 benches/behind.py model.safetensors --rounds 3

* A mount with `--writable --pack` has the archive of MODEL, and a plain copy of it. Both are read from one end to the
  other again and again, in reads of 1 MiB, by turns, their pages dropped before each time: alone, and while another copy,
  which was written to the mount, is packed.
* A time counts as "while" only if the same file was being packed before and after it, as `stats` tells.
* What is below, archive and copies, stays in the page cache where there is room: the disk is not what is measured.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from mounts import built, digits, drop, end_on_signals, fail, mount_by, run, say, table

LEAST = 3  # times of each kind in a round
LONGEST = 900  # seconds to pack a copy


def packing(args, point):
    """The file that is being packed, and how many were."""
    now = json.loads(run(args.weightfs, "stats", "--json", point))["packing"]
    return now["packing"], now["packed_files"]


def seconds(path):
    """To read a file from one end to the other."""
    drop(path)
    begin = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass
    return time.perf_counter() - begin


def measure_round(args, point, found, number):
    names = ("archive", "plain")
    for _ in range(LEAST):
        for name in names:
            found[name, "alone"].append(seconds(point / f"{name}.safetensors"))
    new = point / f"new-{number}.safetensors"
    shutil.copyfile(args.model, new)
    packed = packing(args, point)[1]
    began, until = None, time.monotonic() + LONGEST
    while (now := packing(args, point))[1] == packed:
        if time.monotonic() > until:
            fail(f"{new.name} was not packed: {point.with_name('mount.log').read_text(errors='replace')}")
        if now[0] is None:
            time.sleep(0.1)
            continue
        began = began or time.perf_counter()
        for name in names:
            took = seconds(point / f"{name}.safetensors")
            if packing(args, point)[0] == now[0]:
                found[name, "while"].append(took)
    found["packing"].append(time.perf_counter() - began if began else 0)
    new.unlink()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.safetensors")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--level", default="default", help="of what is packed [default: %(default)s]")
    parser.add_argument("--tmp", metavar="DIR", help="where it is done; needs four times MODEL [default: the system's]")
    args = parser.parse_args()
    if not args.model.is_file() or args.rounds < 1:
        parser.error("MODEL must be a file, --rounds at least 1")
    args.weightfs = built(parser, args.weightfs)
    return args


def main():
    args = arguments()
    end_on_signals()
    with contextlib.ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="behind-", dir=args.tmp)))
        source, point = tmp / "source", tmp / "mount"
        source.mkdir()
        point.mkdir()
        run(args.weightfs, "pack", args.model, "-o", source / "archive.safetensors.wfz")
        # One byte behind its end, and it is no model: it stays as it is.
        shutil.copyfile(args.model, source / "plain.safetensors")
        with open(source / "plain.safetensors", "ab") as file:
            file.write(b"x")
        mount_by(stack, [args.weightfs, "mount", "--writable", f"--pack={args.level}", "--pack-after=1", source, point], point)
        found = {(name, when): [] for name in ("archive", "plain") for when in ("alone", "while")} | {"packing": []}
        load = [os.getloadavg()[0]]
        for number in range(args.rounds):
            say(f"round {number + 1} of {args.rounds}")
            measure_round(args, point, found, number)
        load.append(os.getloadavg()[0])
    size = args.model.stat().st_size
    print(f"{size} bytes; GB/s, medians; load before and after: {', '.join(f'{one:.1f}' for one in load)}; a copy was packed "
          f"in {digits(statistics.median(found['packing']), 1)} s beside readers")
    rows = []
    for name in ("archive", "plain"):
        alone, beside = (size / 1e9 / statistics.median(found[name, when] or [float("inf")]) for when in ("alone", "while"))
        rows.append([name, digits(alone), digits(beside), digits(beside / alone, 2), len(found[name, "while"])])
    table(["", "alone", "while packing", "ratio", "times while"], rows)


if __name__ == "__main__":
    main()
