"""The package with the program that is installed with it: python -m unittest discover python/tests

Needs /dev/fuse. No mount can hang the run: all of them end with this process, and it with the watchdog.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import weightfs

_LIMIT_SECONDS = 60.0


def model(seed: int, count: int = 1 << 18) -> bytes:
    """A safetensors file with one tensor of BF16 numbers."""
    draw = random.Random(seed)
    numbers = b"".join(struct.pack("<f", draw.gauss(0, 0.02))[2:] for _ in range(count // 16)) * 16
    header = json.dumps(
        {"w": {"dtype": "BF16", "shape": [count], "data_offsets": [0, len(numbers)]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + numbers


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + _LIMIT_SECONDS
    while not holds():
        if time.monotonic() > limit:
            raise AssertionError("waited in vain")
        time.sleep(0.005)


def mounted_below(directory: Path) -> bool:
    return str(directory) in Path("/proc/self/mountinfo").read_text()


class WithModel(unittest.TestCase):
    def setUp(self) -> None:
        faulthandler.dump_traceback_later(2 * _LIMIT_SECONDS, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name).resolve()
        self.addCleanup(lambda: self.assertFalse(mounted_below(self.root)))
        # Temporary mount points as well.
        patched = mock.patch.object(tempfile, "tempdir", str(self.root))
        patched.start()
        self.addCleanup(patched.stop)
        self.original = model(1)
        self.file = self.root / "m.safetensors"
        self.file.write_bytes(self.original)
        self.packed = self.root / "packed"
        self.packed.mkdir()
        self.archive = self.packed / "m.safetensors.wfz"
        self.done = weightfs.pack(self.file, self.archive, level="fast")

    def damage(self) -> None:
        with self.archive.open("r+b") as archive:
            archive.seek(self.archive.stat().st_size // 2)
            archive.write(b"damage" * 20)


class Commands(WithModel):
    def test_a_file_is_packed_looked_at_and_unpacked(self) -> None:
        self.assertEqual(self.done["original_bytes"], len(self.original))
        self.assertEqual(self.done["stored_bytes"], self.archive.stat().st_size)
        found = weightfs.inspect(self.archive)
        self.assertEqual([tensor["name"] for tensor in found["tensors"]], ["w"])
        weightfs.verify(self.archive, self.packed, deep=True)
        back = self.root / "back"
        weightfs.unpack(str(self.archive), back, threads=1)
        self.assertEqual(back.read_bytes(), self.original)

    def test_an_error_has_the_message_of_the_program(self) -> None:
        with self.assertRaises(weightfs.Error) as caught:
            weightfs.inspect(self.root / "nothing")
        self.assertIn("nothing", str(caught.exception))
        self.assertFalse(str(caught.exception).startswith("weightfs:"))
        self.assertEqual(caught.exception.status, 2)
        with self.assertRaisesRegex(weightfs.Error, "--no-such"):
            weightfs.pack(self.file, no_such=True)
        # A name like an option is a name.
        with self.assertRaisesRegex(weightfs.Error, "--help"):
            weightfs.pack("--help")
        # What the package gives itself, and what no path can hold.
        with self.assertRaisesRegex(weightfs.Error, "leave json out"):
            weightfs.pack(self.file, json=True)
        with self.assertRaisesRegex(weightfs.Error, "cannot run"):
            weightfs.inspect("zero\0byte")

    def test_paths_may_be_bytes(self) -> None:
        back = os.fsencode(self.root / "back\udcff")
        weightfs.unpack(os.fsencode(self.archive), back)
        with open(back, "rb") as file:
            self.assertEqual(file.read(), self.original)
        os.remove(back)
        point = self.root / "point"
        point.mkdir()
        with weightfs.mount(os.fsencode(self.packed), os.fsencode(point)) as path:
            self.assertEqual(path, point)
            self.assertEqual(os.listdir(path), ["m.safetensors"])

    def test_a_dry_run_tells_what_is_expected(self) -> None:
        expected = weightfs.pack(self.file, dry_run=True)
        self.assertEqual(expected["original_bytes"], len(self.original))
        self.assertGreater(expected["expected_bytes"], 0)
        self.assertNotIn("stored_bytes", expected)

    def test_damage_is_an_error_that_lists_it(self) -> None:
        self.damage()
        with self.assertRaises(weightfs.Error) as caught:
            weightfs.verify(self.packed)
        self.assertEqual(caught.exception.status, 1)
        assert caught.exception.result is not None
        self.assertIn("m.safetensors.wfz", json.dumps(caught.exception.result))

    def test_a_program_that_is_nowhere_is_an_error_that_says_so(self) -> None:
        with mock.patch("sysconfig.get_path", return_value=str(self.root)):
            with mock.patch.dict(os.environ, PATH=str(self.root)):
                with self.assertRaisesRegex(weightfs.Error, "PATH"):
                    weightfs.inspect(self.archive)
                with self.assertRaisesRegex(weightfs.Error, "PATH"):
                    with weightfs.mount(self.packed):
                        self.fail("mounted")
            broken = self.root / "weightfs"
            broken.write_text("#!/no/such/interpreter\n")
            broken.chmod(0o755)
            for run in (weightfs.inspect, weightfs.verify):
                with self.assertRaisesRegex(weightfs.Error, "cannot run"):
                    run(self.archive)
            with self.assertRaisesRegex(weightfs.Error, "cannot run"):
                with weightfs.mount(self.packed):
                    self.fail("mounted")


class Mounts(WithModel):
    def nothing_is_left(self) -> None:
        self.assertEqual(sorted(os.listdir(self.root)), ["m.safetensors", "packed"])
        self.assertFalse(mounted_below(self.root))

    def test_files_are_read_and_nothing_is_left(self) -> None:
        with weightfs.mount(self.packed, cache_size="16M", threads=2) as path:
            self.assertEqual(os.listdir(path), ["m.safetensors"])
            self.assertEqual((path / "m.safetensors").read_bytes(), self.original)
        self.nothing_is_left()

    def test_a_mount_point_that_is_given_stays(self) -> None:
        point = self.root / "point"
        point.mkdir()
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.root)
        with weightfs.mount(self.archive, "point") as path:
            os.chdir("/")
            self.assertEqual(path, point)
            self.assertEqual(os.listdir(path), ["m.safetensors"])
        self.assertEqual(os.listdir(point), [])

    def test_a_mount_over_its_own_source_ends(self) -> None:
        with weightfs.mount(self.packed, self.packed) as path:
            self.assertEqual(os.listdir(path), ["m.safetensors"])
        self.assertEqual(os.listdir(self.packed), ["m.safetensors.wfz"])

    def test_an_exception_unmounts(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with weightfs.mount(self.packed):
                raise ZeroDivisionError
        self.nothing_is_left()

    def test_interrupting_the_block_unmounts_behind_it(self) -> None:
        with self.assertRaises(KeyboardInterrupt):
            with weightfs.mount(self.packed) as path:
                try:
                    signal.raise_signal(signal.SIGINT)
                finally:
                    self.assertEqual(os.listdir(path), ["m.safetensors"])
        self.nothing_is_left()

    def test_mounting_that_fails_says_why(self) -> None:
        for source, options, told in (
            (self.root / "nothing", {}, "nothing"),
            (self.packed, {"cache_size": "lots"}, "lots"),
            (self.packed, {"parent": 1}, "leave parent out"),
            ("zero\0byte", {}, "cannot run"),
        ):
            with self.assertRaisesRegex(weightfs.Error, told):
                with weightfs.mount(source, None, **options):
                    self.fail("mounted")
        with self.assertRaisesRegex(weightfs.Error, "does not exist"):
            with weightfs.mount(self.packed, self.root / "point"):
                self.fail("mounted")
        self.nothing_is_left()

    def test_what_is_open_at_the_end_can_be_read_on(self) -> None:
        # The mount says so, which is logged.
        with self.assertLogs("weightfs", logging.WARNING) as logged:
            with weightfs.mount(self.packed) as path:
                file = (path / "m.safetensors").open("rb")
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            self.nothing_is_left()
            with file, mapped:
                self.assertEqual(mapped[:], self.original)
            wait_until(lambda: bool(logged.output))
        self.assertIn("still open", "".join(logged.output))

    def test_a_mount_outlives_the_thread_that_made_it(self) -> None:
        with contextlib.ExitStack() as stack:
            paths: list[Path] = []
            thread = threading.Thread(
                target=lambda: paths.append(stack.enter_context(weightfs.mount(self.packed)))
            )
            thread.start()
            thread.join()
            self.assertEqual((paths[0] / "m.safetensors").read_bytes(), self.original)

    def test_a_forked_child_that_leaves_the_block_leaves_the_mount(self) -> None:
        text = (
            "import os, sys, weightfs\n"
            "with weightfs.mount(sys.argv[1]) as path:\n"
            "    child = os.fork()\n"
            "    if child == 0:\n"
            "        raise SystemExit\n"
            "    os.waitpid(child, 0)\n"
            "    print(os.listdir(path))\n"
        )
        printed = subprocess.check_output([sys.executable, "-c", text, str(self.packed)])
        self.assertEqual(printed, b"['m.safetensors']\n")

    def test_a_process_that_is_killed_takes_its_mount_along(self) -> None:
        text = (
            "import sys, weightfs\n"
            "with weightfs.mount(sys.argv[1], sys.argv[2]):\n"
            "    print('mounted', flush=True)\n"
            "    sys.stdin.read()\n"
        )
        point = self.root / "point"
        point.mkdir()
        for number in (signal.SIGKILL, signal.SIGTERM):
            with subprocess.Popen(
                [sys.executable, "-c", text, str(self.packed), str(point)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                self.assertEqual(process.stdout.readline(), b"mounted\n")
                self.assertTrue(mounted_below(self.root))
                process.send_signal(number)
            wait_until(lambda: not mounted_below(self.root))

    def test_a_mount_whose_process_is_killed_is_cleared_away(self) -> None:
        with weightfs.mount(self.packed) as path:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    words = entry.read_bytes().split(b"\0")
                    if b"mount" in words[1:2] and os.fsencode(path) in words:
                        os.kill(int(entry.parent.name), signal.SIGKILL)
            with self.assertRaises(OSError):
                wait_until(lambda: not os.listdir(path))
        self.nothing_is_left()

    def test_what_the_mount_says_is_logged(self) -> None:
        self.damage()
        with self.assertLogs("weightfs", logging.WARNING) as logged:
            with weightfs.mount(self.packed) as path:
                with self.assertRaises(OSError):
                    (path / "m.safetensors").read_bytes()
                wait_until(lambda: bool(logged.output))
        self.assertIn("m.safetensors", "".join(logged.output))


if __name__ == "__main__":
    unittest.main()
