"""Mounts for the time of a ``with`` block."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from weightfs._program import (
    Error,
    Option,
    StrPath,
    arguments,
    cannot_start,
    message_of,
    program,
    run,
)

_READY = "ready: "
#: How long unmounting may take until it counts as failed.
_LIMIT_SECONDS = 30.0
#: How often to look whether the mount point is free.
_LOOK_AGAIN_SECONDS = 0.005
#: Room for messages of the mount while this process, which reads them, waits for the mount: Python may
#: hold its lock while it waits for a page.
_PIPE_BYTES = 1 << 20

_log = logging.getLogger("weightfs")


@contextlib.contextmanager
def mount(
    src: StrPath, mountpoint: Optional[StrPath] = None, **options: Option
) -> Iterator[Path]:
    """Show a directory of archives (or one archive) as ordinary files, until the block ends.

    Yields the mount point. Without ``mountpoint`` that is a temporary directory, which is removed at the
    end. The mount ends with the block, however that is left, and with this process, however that ends.
    Files of it that are still open or mapped then can be read on.

    What the mount says while it is there goes to the logger ``weightfs``, as warnings.
    """
    with contextlib.ExitStack() as stack:
        if mountpoint is None:
            path = Path(tempfile.mkdtemp(prefix="weightfs-"))
            stack.callback(_remove, path, os.getpid())
        else:
            path = Path(os.fsdecode(mountpoint)).absolute()
        given = ["mount", f"--parent={os.getpid()}", *arguments(options, own="parent")]
        served = _Mount([program(), *given, "--", os.fsdecode(src), str(path)], path)
        stack.callback(served.end)
        served.wait_until_ready()
        yield path


def _remove(path: Path, owner: int) -> None:
    # A mount that could not be ended, and keeps it, is told of already.
    with contextlib.suppress(OSError):
        if os.getpid() == owner:
            path.rmdir()


class _Mount:
    """A process that serves a mount, and the thread that started it.

    It ends with that thread, by which the kernel tells that its starter has gone; so the thread, which
    reads what the process says, stays until the process has ended.
    """

    def __init__(self, command: list[str], path: Path) -> None:
        self._owner = os.getpid()
        self._path = path
        self._process: Optional[subprocess.Popen[str]] = None
        self._start_error: Optional[Exception] = None
        self._device: Optional[int] = None
        self._said: list[str] = []
        self._started = threading.Event()
        self._is_ready = False
        self._ready_or_ended = threading.Event()
        self._ended = threading.Event()
        threading.Thread(
            target=self._serve, args=(command,), name="weightfs mount", daemon=True
        ).start()

    def _serve(self, command: list[str]) -> None:
        try:
            # In a session of its own: what is typed to interrupt this process is not meant for it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
        # `ValueError`: a path with a zero byte.
        except (OSError, ValueError) as error:
            self._start_error = error
        self._started.set()
        if self._process is not None:
            self._listen(self._process)
        self._ended.set()
        self._ready_or_ended.set()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            # More is a favour: the system may refuse it.
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(lines, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            for line in lines:
                if self._is_ready:
                    _log.warning("%s", line.rstrip())
                elif line.startswith(_READY):
                    self._is_ready = True
                    self._ready_or_ended.set()
                else:
                    self._said.append(line)
        process.wait()

    def wait_until_ready(self) -> None:
        self._ready_or_ended.wait()
        if self._start_error is not None:
            raise cannot_start(self._start_error)
        if not self._is_ready:
            assert self._process is not None
            status = self._process.wait()
            raise Error(message_of(self._said, "mount", status), status)
        for line in self._said:
            _log.warning("%s", line.rstrip())
        with contextlib.suppress(OSError):
            self._device = self._path.stat().st_dev

    def end(self) -> None:
        """Unmounts. Returns once the mount point is free; the process stays while files are open."""
        # A child that was forked in the block leaves the mount to who made it.
        if os.getpid() != self._owner:
            return
        self._started.wait()
        if self._process is None:
            return
        self._process.terminate()
        limit = time.monotonic() + _LIMIT_SECONDS
        while not self._ended.wait(_LOOK_AGAIN_SECONDS) and self._is_there():
            if time.monotonic() > limit:
                raise Error(f"{self._path} could not be unmounted within {_LIMIT_SECONDS:.0f} s")
        if self._ended.is_set() and self._is_ready and self._process.returncode != 0:
            # It was killed, and has left its mount point behind.
            run("umount", ["--abort"], self._path)

    def _is_there(self) -> bool:
        if self._device is None:
            return True
        try:
            return self._path.stat().st_dev == self._device
        except FileNotFoundError:
            return False
        except OSError:
            # It answers no more: its process is about to end.
            return True
