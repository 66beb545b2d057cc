#!/usr/bin/env python3
"""Two builds of weightfs on one model, in turns: what a change did to mounts, decoding and packing.

    cargo build --release
    sudo python3 benches/compare_builds.py OLD/weightfs target/release/weightfs model.safetensors --rounds 7

OLD and NEW are programs; each packs the model (archives must be equal but for where they are), and in each round

* `bench-mount --rounds 1` measures read, mmap, rand-4k and own-4, cold and warm,
* `verify --threads 1` decodes everything on one thread, archive in the page cache,
* `pack --threads 1 --force` packs to a temporary place; its peak memory is the largest resident set.

The first of a round changes from round to round. Medians, and of each round's pair the ratio, new to old, whose
median is the last column: machines that are shared change their speed between rounds more than builds differ.
"""

import argparse
import filecmp
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKLOADS = "read,mmap,rand-4k,own-4"


def run(*command):
    """Runs a program; returns what it printed, the seconds it took, and its peak memory in MiB."""
    start = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"compare_builds.py: {' '.join(map(str, command))}: exit status {process.returncode}")
    return out, time.monotonic() - start, usage.ru_maxrss / 1024


def measure(program, model, archive, scratch, figures):
    gigabytes = model.stat().st_size / 1e9
    found = json.loads(run(program, "bench-mount", archive, "--rounds", 1, "--workloads", WORKLOADS, "--json")[0])
    for result in found["results"]:
        ours = result["targets"]["weightfs"] if "targets" in result else result
        name = f"{result['workload']} {result['cache']}"
        for key, unit in (("gb_per_s", "GB/s"), ("p50_us", "us p50"), ("p99_us", "us p99")):
            if ours.get(key) is not None:
                figures.setdefault(f"{name}, {unit}", []).append(ours[key])
    seconds = run(program, "verify", "--threads", 1, archive)[1]
    figures.setdefault("verify --threads 1, GB/s", []).append(gigabytes / seconds)
    _, seconds, peak = run(program, "pack", "--threads", 1, "--force", model, "-o", scratch / "again.wfz")
    figures.setdefault("pack --threads 1, GB/s", []).append(gigabytes / seconds)
    figures.setdefault("pack --threads 1, peak MiB", []).append(peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    figures = {"old": {}, "new": {}}
    with tempfile.TemporaryDirectory(dir=args.model.parent) as scratch:
        scratch = Path(scratch)
        archives = {}
        for name in figures:
            archives[name] = scratch / f"{name}.{args.model.name}.wfz"
            run(getattr(args, name), "pack", args.model, "-o", archives[name])
        # In pieces: what this process has in memory when it starts another counts for that one's peak.
        same = filecmp.cmp(archives["old"], archives["new"], shallow=False)
        print(f"archives: {archives['new'].stat().st_size} bytes, {'equal' if same else 'DIFFERENT'}", flush=True)
        for number in range(args.rounds):
            for name in ("old", "new") if number % 2 == 0 else ("new", "old"):
                measure(getattr(args, name), args.model, archives[name], scratch, figures[name])
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    print(f"{'':32}{'old':>10}{'new':>10}{'new/old':>10}")
    for what, old in figures["old"].items():
        new = figures["new"][what]
        ratio = statistics.median(b / a for a, b in zip(old, new))
        print(f"{what:32}{statistics.median(old):10.2f}{statistics.median(new):10.2f}{ratio:10.3f}")


main()
