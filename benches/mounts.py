#!/usr/bin/env python3
"""The same model from weightfs, btrfs and squashfs, all compressed, read in one run of `weightfs bench-mount`.

    cargo build --release
    sudo python3 benches/mounts.py model.safetensors model.safetensors.wfz --rounds 5

* Needs root, for loop devices and mounts, and the tools mkfs.btrfs, mksquashfs and squashfuse_ll (Debian:
  btrfs-progs, squashfs-tools, squashfuse).
* btrfs: an image on a loop device, mounted with compress-force=zstd:3. squashfs: zstd at its level of
  mksquashfs (15), blocks of 128 KiB, mounted by the kernel. squashfuse_ll: the same image, through FUSE.
  Each copy is compared with MODEL, byte for byte.
* In all three the kernel is told to read 16 MiB ahead; weightfs has its own --readahead, 4M unless given.
* The comparison leaves what it read of the images in the page cache, where the archive is as well: "cold"
  is decoding. At the end the kernel is asked whether it is still there.
* Sizes: archive and squashfs image as files; of btrfs, the used bytes as df tells them, less those of the
  same file system when it was empty.
* --throttle limits how fast the disk below MODEL and ARCHIVE may be read, and everything comes from it
  (bench-mount --storage): weightfs against the raw file. It is a limit of a cgroup (v2 io.max, or v1
  blkio.throttle.read_bps_device) made for this run. dd reads MODEL with and without it first; where the
  limit does not hold, nothing is measured.
* Everything that is made is removed at the end, also after Ctrl-C, SIGTERM, SIGHUP and errors.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

WORKLOADS = "read,mmap,mmap-willneed,rand-4k,rand-64k"
READAHEAD_KIB = 16 << 10
BLOCK_BYTES = 128 << 10
TOOLS = {"mkfs.btrfs": "btrfs-progs", "mksquashfs": "squashfs-tools", "squashfuse_ll": "squashfuse"}
SPARE_BYTES = 256 << 20  # mkfs.btrfs wants about 110 MiB, however small the model is
TOLERANCE = 1.25  # of the limit; the kernel lets the first tenth of a second through unasked


def fail(why):
    sys.exit(f"{Path(sys.argv[0]).name}: {why}")


def run(*command):
    """Runs a tool; returns what it printed."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        fail(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def say(text):
    print(text, file=sys.stderr, flush=True)


def resident(path):
    """Bytes of a file that are in the page cache."""
    return int(run("fincore", "--bytes", "--noheadings", "--output", "RES", path))


def drop(path):
    with open(path, "rb") as file:
        with contextlib.suppress(OSError):  # squashfs has none, and nothing to write
            os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(stack, command, **options):
    """A process that outlives Ctrl-C until the stack ends it: it is in a session of its own, and is told once."""
    process = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)

    def end():
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()

    stack.callback(end)
    return process


# Mounts.


def unmount(point):
    for attempt in range(50):
        if not os.path.ismount(point):
            return
        # The last one only takes it out of sight, and the kernel ends it with its last user.
        words = ["umount", "--lazy"] if attempt == 49 else ["umount"]
        if subprocess.run([*words, point], stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.1)


def mount_loop(stack, image, point, kind, options):
    """Mounts an image; its loop device goes with the mount."""
    point.mkdir()
    stack.callback(unmount, point)
    run("mount", "-t", kind, "-o", f"loop,{options}", image, point)
    device = run("findmnt", "-n", "-o", "SOURCE", "-M", point).strip()
    direct = Path("/sys/block", os.path.basename(device), "loop/dio")
    if direct.exists() and direct.read_text().strip() != "0":
        fail(f"{device} reads its image past the page cache: cold would not compare")


def read_ahead(control):
    """Sets and tells how far the kernel reads ahead, in bytes."""
    try:
        control.write_text(str(READAHEAD_KIB))
        return int(control.read_text()) << 10
    except OSError as error:
        fail(f"cannot set the readahead: {error}")


def read_ahead_of(point):
    device = os.stat(point).st_dev
    return read_ahead(Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"))


def used(point):
    run("sync", "-f", point)
    found = os.statvfs(point)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def make_btrfs(stack, model, tmp):
    image, point, name = tmp / "btrfs.img", tmp / "btrfs", str(uuid.uuid4())
    with open(image, "wb") as file:
        file.truncate((os.path.getsize(model) * 6 // 5 + SPARE_BYTES) >> 20 << 20)
    run("mkfs.btrfs", "-q", "-U", name, image)
    mount_loop(stack, image, point, "btrfs", "noatime,nodiscard,compress-force=zstd:3")
    empty = used(point)
    copy = point / "model.safetensors"
    run("cp", "--sparse=never", "--reflink=never", model, copy)
    stored = used(point) - empty
    # Its files have a device number that no bdi has.
    return image, copy, {"stored_bytes": stored, "empty_bytes": empty,
                         "readahead_bytes": read_ahead(Path(f"/sys/fs/btrfs/{name}/bdi/read_ahead_kb"))}


def make_squashfs(stack, model, tmp):
    source, image, point = tmp / "in", tmp / "squashfs.img", tmp / "squashfs"
    source.mkdir()
    try:
        os.link(model, source / "model.safetensors")
    except OSError:
        shutil.copyfile(model, source / "model.safetensors")
    run("mksquashfs", source, image, "-comp", "zstd", "-b", BLOCK_BYTES, "-no-progress", "-quiet", "-noappend")
    shutil.rmtree(source)
    mount_loop(stack, image, point, "squashfs", "ro")
    return image, point / "model.safetensors", {"stored_bytes": os.path.getsize(image),
                                                "readahead_bytes": read_ahead_of(point)}


def mount_by(stack, command, point):
    """Starts a program that mounts on `point` and ends with the stack, and waits until it is mounted."""
    said = point.with_name(f"{point.name}.log")
    with open(said, "wb") as log:
        process = start(stack, command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    stack.callback(unmount, point)
    until = time.monotonic() + 30
    while not os.path.ismount(point):
        if process.poll() is not None or time.monotonic() > until:
            fail(f"{' '.join(map(str, command))} did not mount: {said.read_text(errors='replace')}")
        time.sleep(0.02)
    return point


def make_squashfuse(stack, image, tmp):
    point = tmp / "squashfuse_ll"
    point.mkdir()
    mount_by(stack, ["squashfuse_ll", "-f", image, point], point)
    return image, point / "model.safetensors", {"stored_bytes": os.path.getsize(image),
                                                "readahead_bytes": read_ahead_of(point)}


def make_mounts(stack, model, tmp):
    """{name: (image, file, what is known of it)}"""
    made = {}
    say("making btrfs")
    made["btrfs"] = make_btrfs(stack, model, tmp)
    say("making squashfs; this takes a while")
    made["squashfs"] = make_squashfs(stack, model, tmp)
    made["squashfuse_ll"] = make_squashfuse(stack, made["squashfs"][0], tmp)
    size, stored = os.path.getsize(model), {name: about["stored_bytes"] for name, (_, _, about) in made.items()}
    for name, (_, file, _) in made.items():
        say(f"{name}: comparing its copy, {size / stored[name]:.3f} times smaller")
        drop(file)  # what is read is then what the images hold, and all of that is in the page cache afterwards
        run("cmp", model, file)
    if stored["btrfs"] > 0.98 * size > stored["squashfs"]:
        fail(f"btrfs holds {stored['btrfs']} bytes for {size}: it did not compress")
    return made


# A limit for the disk.


def disk_of(path):
    """MAJ:MIN of the disk that holds a file."""
    device = os.stat(path).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    place = Path("/sys/dev/block", name)
    if not place.exists():
        fail(f"{path} is on device {name}, which is no disk: its file system cannot be limited")
    if (place / "partition").exists():
        place = place.resolve().parent
    return (place / "dev").read_text().strip()


def io_controller():
    """Where cgroups for disks are made: (directory, is version 2)."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for _, place, kind, *_ in mounts:
        controllers = Path(place, "cgroup.controllers")
        if kind == "cgroup2" and controllers.exists() and "io" in controllers.read_text().split():
            return Path(place), True
    for _, place, kind, options, *_ in mounts:
        if kind == "cgroup" and "blkio" in options.split(","):
            return Path(place), False
    fail("no cgroup controller that limits disks: neither io (v2) nor blkio (v1)")


def make_group(stack, disks, limit):
    """A new cgroup in which these disks are limited."""
    parent, is_v2 = io_controller()
    if is_v2 and "io" not in (parent / "cgroup.subtree_control").read_text().split():
        (parent / "cgroup.subtree_control").write_text("+io")
        stack.callback((parent / "cgroup.subtree_control").write_text, "-io")
    group = parent / f"weightfs-mounts-{os.getpid()}"

    def remove():
        until = time.monotonic() + 10
        while group.exists():
            try:
                group.rmdir()
            except OSError as error:  # busy until the last of its processes is gone
                if time.monotonic() > until:
                    return say(f"cannot remove {group}: {error}")
                time.sleep(0.05)

    stack.callback(remove)
    group.mkdir()
    control, key = ("io.max", "rbps=") if is_v2 else ("blkio.throttle.read_bps_device", "")
    for disk in disks:
        (group / control).write_text(f"{disk} {key}{limit}")
    return group


def joining(group):
    """What a new process does to be in the cgroup from its start."""
    return (lambda: (group / "cgroup.procs").write_text("0")) if group else None


def disk_speed(path, count_bytes, group=None):
    """Bytes a second that dd gets from the start of a dropped file."""
    drop(path)
    if (held := resident(path)) > max(os.path.getsize(path) // 64, 256 << 10):
        fail(f"{held} bytes of {path} cannot be dropped from the page cache: is it mapped elsewhere?")
    begin = time.perf_counter()
    done = subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=64K", f"count={-(-count_bytes // 65536)}"],
                          preexec_fn=joining(group), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.perf_counter() - begin
    if not (copied := re.search(r"^(\d+) bytes", done.stdout, re.M)) or done.returncode:
        fail(f"dd: {done.stdout}")
    return int(copied[1]) / seconds


def limit_disks(stack, args):
    """The cgroup, checked, and what it was found to do."""
    disks = sorted({disk_of(args.model), disk_of(args.archive)})
    group = make_group(stack, disks, args.throttle)
    count = min(os.path.getsize(args.model), 4 * args.throttle)
    free, limited = disk_speed(args.model, count), disk_speed(args.model, count, group)
    print(f"disk {', '.join(disks)}, {group}: dd reads {free / 1e6:.1f} MB/s without limit, {limited / 1e6:.1f} MB/s "
          f"with a limit of {args.throttle / 1e6:.1f}", flush=True)
    if limited > TOLERANCE * args.throttle:
        fail("the limit does not hold")
    if limited < args.throttle / TOLERANCE:
        say("note: the disk is slower than the limit; what is measured is the disk")
    return group, {"bytes_per_second": args.throttle, "disks": disks, "cgroup": str(group),
                   "dd_bytes_per_second_without": free, "dd_bytes_per_second": limited}


# The run.


def bench(stack, args, files, group):
    command = [args.weightfs, "bench-mount", args.archive, "--raw", args.model, "--rounds", args.rounds, "--workloads",
               args.workloads, "--json"]
    command += [word for name, file in files.items() for word in ("--beside", f"{name}={file}")]
    command += ["--readahead", args.readahead] * bool(args.readahead) + ["--storage"] * bool(group)
    say(" ".join(map(str, command)))
    process = start(stack, command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                    preexec_fn=joining(group))
    out, _ = process.communicate()
    if process.returncode:
        fail(f"weightfs bench-mount: exit status {process.returncode}")
    return json.loads(out)


def table(head, rows):
    widths = [max(len(name), 20 if at == 0 else 8) for at, name in enumerate(head)]
    print()
    for row in [head, *rows]:
        cells = [f"{'-' if cell is None else cell:{'<' if at == 0 else '>'}{width}}"
                 for at, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def digits(value, count=3):
    return None if value is None else f"{value:.{count}f}"


def report(found, about, throttle):
    names, machine = [target["name"] for target in found["targets"]], found["machine"]
    load = ", ".join(f"{value:.1f}" for value in about["load"])
    print(f"{found['original_bytes']} bytes; medians of {found['settings']['rounds']} rounds\n{machine['cpu']}, "
          f"{machine['cores']} cores, Linux {machine['kernel']}; load before and after: {load}")
    if throttle:
        print(f"everything from a disk limited to {throttle['bytes_per_second'] / 1e6:.1f} MB/s")
    for cache in ("cold", "warm"):
        rows = [[r["workload"], *(digits((r["targets"][n] or {}).get("gb_per_s")) for n in names), digits(r["of_null"]),
                 digits(r["of_raw"])]
                for r in found["results"] if r["cache"] == cache and not r["workload"].startswith("rand")]
        if rows:
            table([f"GB/s, {cache}", *names, "of null", "of raw"], rows)
    rows = [[f"{r['workload']} {kind}", *(digits((r["targets"][n] or {}).get(f"{kind}_us"), 0) for n in names)]
            for r in found["results"] if r["workload"].startswith("rand") for kind in ("p50", "p99", "max")]
    if rows:
        table(["microseconds, cold", *names], rows)
    rows = [[name, one["stored_bytes"], digits(found["original_bytes"] / one["stored_bytes"], 4),
             (one["readahead_bytes"] or 0) >> 10] for name, one in about["stored"].items()]
    table(["stored", "     bytes", "ratio", "readahead KiB"], rows)
    for note in found["notes"] + about["notes"]:
        print(f"note: {note}")


def sizes(found, made):
    ahead = {target["name"]: target["readahead_bytes"] for target in found["targets"]}
    return {"weightfs": {"stored_bytes": found["stored_bytes"], "readahead_bytes": ahead["weightfs"]}} | {
        name: one for name, (_, _, one) in made.items()} | {
        "raw": {"stored_bytes": found["original_bytes"], "readahead_bytes": ahead["raw"]}}


def built(parser, weightfs):
    """The path of the program to measure."""
    if not (found := shutil.which(weightfs)):
        parser.error(f"{weightfs} is not there: run cargo build --release, or say --weightfs PATH")
    return os.path.abspath(found)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.safetensors", help="the original")
    parser.add_argument("archive", type=Path, metavar="ARCHIVE.wfz", help="what `weightfs pack` made of it")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--workloads", default=WORKLOADS, metavar="LIST", help="of bench-mount [default: %(default)s]")
    parser.add_argument("--readahead", metavar="SIZE", help="of the mount of weightfs [default: bench-mount's, 4M]")
    parser.add_argument("--throttle", type=int, metavar="BYTES_PER_SECOND",
                        help="limit the disk and read all from it; no btrfs and squashfs then")
    parser.add_argument("--tmp", metavar="DIR",
                        help="where images are made; needs twice the size of MODEL [default: the system's]")
    parser.add_argument("--json", type=Path, metavar="OUT",
                        help="keep what bench-mount prints with --json, with sizes and limit added, in this file")
    args = parser.parse_args()
    for file in (args.model, args.archive):
        if not file.is_file():
            parser.error(f"no such file: {file}")
    if args.rounds < 1 or (args.throttle is not None and args.throttle < 1):
        parser.error("--rounds and --throttle: at least 1")
    if os.geteuid():
        parser.error("needs root, for " + ("cgroups" if args.throttle else "loop devices and mounts"))
    weightfs = built(parser, args.weightfs)
    needed = {} if args.throttle else TOOLS
    if missing := [f"{tool} ({package})" for tool, package in needed.items() if not shutil.which(tool)]:
        parser.error(f"not installed: {', '.join(missing)}")
    args.weightfs, args.model, args.archive = weightfs, args.model.resolve(), args.archive.resolve()
    return args


def stop(number, _):
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # so that cleaning up is not stopped too
    sys.exit(128 + number)


def end_on_signals():
    """Has what was made be removed when the run is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def main():
    args = arguments()
    end_on_signals()
    with contextlib.ExitStack() as stack:
        about, made, group, throttle = {"notes": [], "load": [os.getloadavg()[0]]}, {}, None, None
        if args.throttle:
            group, throttle = limit_disks(stack, args)
        else:
            tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mounts-", dir=args.tmp)))
            made = make_mounts(stack, args.model, tmp)
        held = {image: resident(image) for image, _, _ in made.values()}
        found = bench(stack, args, {name: file for name, (_, file, _) in made.items()}, group)
        for image, before in held.items():
            if (after := resident(image)) < 0.99 * before:
                about["notes"].append(f"{image.name} had {before} bytes in the page cache and has {after}: a part of "
                                      "cold may have come from the disk")
        about["load"].append(os.getloadavg()[0])
        about["stored"] = sizes(found, made)
        report(found, about, throttle)
        if args.json:
            args.json.write_text(json.dumps(found | about | {"notes": found["notes"] + about["notes"],
                                                             "throttle": throttle}) + "\n")


if __name__ == "__main__":
    main()
