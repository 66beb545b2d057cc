#!/usr/bin/env python3
"""Plain files in a writable mount beside the file system below, bindfs and fuse-overlayfs, in one run.

    cargo build --release
    sudo python3 benches/writing.py --tmp /srv --rounds 5

* Needs root, and bindfs, fuse-overlayfs and git (Debian: packages of these names).
* Small files: a tar of 10,000 of up to 8 KiB in 200 directories is extracted, archived again and removed, and
  such a tree is made a repository and asked for its status, once with nothing of it in the kernel's memory
  (drop_caches) and then again. Large ones: dd writes 1 GiB with bs=1M conv=fsync and reads it again, both from
  the page cache and, dropped, from the disk.
* All lie on one ext4 without a journal, mounted with noatime, made for this run in a sparse image in DIR: an ext4 is
  slow to give numbers of inodes again that were removed a while ago. For the same reason nothing is removed until all
  else was measured.
* Each round does all of it in fresh directories, in each place one after the other, the first place of a round being the
  second of the one before.
* All are mounted as they are by default; the overlay's lower directory is empty.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

from mounts import built, digits, end_on_signals, mount_by, mount_loop, run, say, table

FILES, DIRECTORIES, LARGEST = 10_000, 200, 8 << 10
TOOLS = ("bindfs", "fuse-overlayfs", "git", "tar", "dd", "mkfs.ext4")
IMAGE_BYTES = 64 << 30
GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")


def make_tar(path):
    rng = random.Random(1)
    with tarfile.open(path, "w") as tar:
        for at in range(DIRECTORIES):
            entry = tarfile.TarInfo(f"tree/{at}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for at in range(FILES):
            data = rng.randbytes(rng.randrange(LARGEST))
            entry = tarfile.TarInfo(f"tree/{at % DIRECTORIES}/{at}.txt")
            entry.size, entry.mtime = len(data), 1_700_000_000
            tar.addfile(entry, io.BytesIO(data))


def make_ext4(stack, tmp):
    image, point = tmp / "ext4.img", tmp / "ext4"
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-O", "^has_journal", image)
    mount_loop(stack, image, point, "ext4", "noatime")
    return point


def make_places(stack, weightfs, tmp):
    """{name: directory}"""
    def new(*names):
        made = [tmp / name for name in names]
        for path in made:
            path.mkdir()
        return made

    (below,) = new("below")
    source, point = new("weightfs-below", "weightfs")
    bound, bindfs = new("bindfs-below", "bindfs")
    lower, upper, work, overlay = new("lower", "upper", "work", "fuse-overlayfs")
    return {
        "below": below,
        "weightfs": mount_by(stack, [weightfs, "mount", "--writable", source, point], point),
        "bindfs": mount_by(stack, ["bindfs", "-f", bound, bindfs], bindfs),
        "fuse-overlayfs": mount_by(stack, [
            "fuse-overlayfs", "-f", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", overlay], overlay),
    }


def timed(*command):
    begin = time.perf_counter()
    run(*command)
    return time.perf_counter() - begin


def forget():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def small_files(place, tar):
    place.mkdir()
    yield "tar x", timed("tar", "xf", tar, "-C", place)
    yield "tar c", timed("sh", "-c", f"tar cf - -C {place} tree | cat > /dev/null")
    repository = place / "tree"
    run(*GIT, "-C", repository, "init", "-q")
    yield "git add", timed(*GIT, "-C", repository, "add", ".")
    run(*GIT, "-C", repository, "commit", "-qm", "x")
    # What is as young as the index is read again, until it is written anew.
    time.sleep(1.1)
    run(*GIT, "-C", repository, "status")
    forget()
    yield "git status, cold", timed(*GIT, "-C", repository, "status")
    yield "git status", timed(*GIT, "-C", repository, "status")
    yield "git clone", timed(*GIT, "clone", "-q", "--no-hardlinks", repository, place / "clone")


def removal(place, _):
    yield "rm -r", timed("rm", "-r", place / "clone")


def large_file(place, mib):
    file = place / "large"
    yield "dd write", timed("dd", "if=/dev/zero", f"of={file}", "bs=1M", f"count={mib}", "conv=fsync")
    yield "dd read", timed("dd", f"if={file}", "of=/dev/null", "bs=1M")
    forget()
    yield "dd read, cold", timed("dd", f"if={file}", "of=/dev/null", "bs=1M")


def measure(places, tar, args):
    found = {}
    order = list(places)
    for work, about in ((small_files, tar), (large_file, args.mib), (removal, None)):
        for number in range(args.rounds):
            say(f"round {number + 1} of {args.rounds}: {work.__name__}")
            for name in order[number % len(order):] + order[:number % len(order)]:
                for what, seconds in work(places[name] / f"round-{number}", about):
                    found.setdefault(what, {}).setdefault(name, []).append(seconds)
    return found


def report(found, places, load):
    print(f"medians of seconds; load before and after: {', '.join(f'{one:.1f}' for one in load)}")
    rows = []
    for what, of in found.items():
        medians = {name: statistics.median(of[name]) for name in places}
        ours = medians["weightfs"]
        peer = min(medians["bindfs"], medians["fuse-overlayfs"])
        rows.append([what, *(digits(medians[name]) for name in places), digits(medians["below"] / ours, 2), digits(peer / ours, 2)])
    table(["", *places, "of below", "of the best peer"], rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--mib", type=int, default=1024, metavar="N", help="length of the large file [default: %(default)s]")
    parser.add_argument("--tmp", metavar="DIR", help="where the image lies; some GB a round [default: the system's]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="keep all times in this file")
    args = parser.parse_args()
    if args.rounds < 1 or args.mib < 1:
        parser.error("--rounds and --mib: at least 1")
    if os.geteuid():
        parser.error("needs root, for mounts that the kernel serves and to drop caches")
    args.weightfs = built(parser, args.weightfs)
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        parser.error(f"not installed: {', '.join(missing)}")
    return args


def main():
    args = arguments()
    end_on_signals()
    with contextlib.ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="writing-", dir=args.tmp)))
        tar, load = tmp / "tree.tar", [os.getloadavg()[0]]
        make_tar(tar)
        places = make_places(stack, args.weightfs, make_ext4(stack, tmp))
        found = measure(places, tar, args)
        load.append(os.getloadavg()[0])
        report(found, places, load)
        if args.json:
            args.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
