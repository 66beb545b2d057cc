"""What is compared. `prepare` of each gives what worker.py needs to load it, and its size where that is known here."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from from_pretrained import Packed

from . import fail, gguf_model

BASELINES = ("bnb-int8", "bnb-nf4", "torchao-int8", "torchao-int4")
UNITS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


class Unusable(Exception):
    """Why one variant cannot be had; the others can."""


def tensors_of(path):
    """{name: (dtype, shape, bytes)} of a .safetensors file."""
    try:
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        fail(f"{path} is no .safetensors file: {error}")
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], t["data_offsets"][1] - t["data_offsets"][0]) for name, t in header.items()}


def weight_files(directory):
    return sorted(p for p in directory.iterdir() if p.name.endswith(".safetensors") and p.is_file())


class Original:
    def __init__(self, directory):
        self.name, self.directory = "original", directory
        self.files = weight_files(directory)
        if not self.files:
            fail(f"{directory} has no .safetensors file")
        self.encoder = (directory / "modules.json").exists()
        tensors = [one for file in self.files for one in tensors_of(file).values()]
        self.weights = sum(count(shape) for _, shape, _ in tensors)
        self.matrix_weights = sum(count(shape) for _, shape, _ in tensors if len(shape) > 1)
        largest = max(tensors, key=lambda t: t[2])[0]
        self.plain_bits = 8 * UNITS.get(largest, 4)  # of values that a baseline leaves alone

    def prepare(self, job):
        return {"directory": str(self.directory)} | size_of(self.files)


def count(shape):
    product = 1
    for n in shape:
        product *= n
    return product


def size_of(files):
    return {"bits": 8 * sum(os.path.getsize(f) for f in files),
            "matrix_bits": 8 * sum(size for f in files for _, shape, size in tensors_of(f).values() if len(shape) > 1)}


class Job:
    """One variant's temporary directory, and what is to be ended after its worker."""

    def __init__(self, args, original, tmp):
        self.args, self.original, self.tmp, self.mounted = args, original, tmp, None

    def weightfs(self, *command):
        done = subprocess.run([self.args.weightfs, *map(str, command), "--json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode:
            raise Unusable(f"weightfs {shlex.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def twin(self):
        """A directory with links to all that the original has, less its weights."""
        twin = self.tmp / "model"
        twin.mkdir()
        for path in self.original.directory.iterdir():
            if path not in self.original.files and not path.name.endswith((".gguf", ".index.json")):
                (twin / path.name).symlink_to(path.resolve())
        if len(self.original.files) > 1:
            for index in self.original.directory.glob("*.index.json"):
                (twin / index.name).symlink_to(index.resolve())
        return twin

    def shown(self, twin, archives):
        """The directory that a worker loads: the twin with its archives mounted, or unpacked in place."""
        size = {"bits": 8 * sum(os.path.getsize(a) for a in archives), "matrix_bits": 0}
        for archive in archives:
            for tensor in self.weightfs("inspect", archive).get("tensors", []):
                size["matrix_bits"] += 8 * tensor["stored_bytes"] * (len(tensor["shape"]) > 1)
        if self.args.mount:
            self.mounted = Packed(twin, self.args, self.tmp)
            self.mounted.mount()
            return {"directory": str(self.mounted.directory)} | size
        for archive in archives:
            self.weightfs("unpack", archive, "-o", twin / archive.name.removesuffix(".wfz"), "--force")
            archive.unlink()
        return {"directory": str(twin)} | size

    def close(self):
        if self.mounted:
            self.mounted.unmount()


class Given:
    """NAME=PATH: a .safetensors file, a model directory or an archive; @BITS says what it took to store it."""

    def __init__(self, text):
        self.name, _, path = text.partition("=")
        path, at, bits = path.partition("@")
        self.bits = float(bits) if at and re.fullmatch(r"\d+(\.\d+)?", bits) else None
        self.path = Path(path if self.bits is not None or not at else f"{path}@{bits}")
        if not self.name or not self.path.exists():
            fail(f"--variant {text}: NAME=PATH is needed, and PATH must be there")

    def prepare(self, job):
        size, original = {}, job.original
        if self.path.is_dir():
            archives = sorted(self.path.glob("*.wfz"))
            if archives:
                twin = job.twin()
                for archive in archives:
                    (twin / archive.name).symlink_to(archive.resolve())
                ready = job.shown(twin, [twin / a.name for a in archives])
            else:
                ready = {"directory": str(self.path)} | size_of(weight_files(self.path))
        else:
            if len(original.files) > 1:
                raise Unusable(f"{self.path} is one file, the original has {len(original.files)}: give a directory")
            twin, name = job.twin(), original.files[0].name
            if self.path.suffix == ".wfz":
                (twin / f"{name}.wfz").symlink_to(self.path.resolve())
                ready = job.shown(twin, [twin / f"{name}.wfz"])
            else:
                check_same_tensors(original.files[0], self.path)
                (twin / name).symlink_to(self.path.resolve())
                ready = {"directory": str(twin)} | size_of([self.path])
        if self.bits is not None:
            size = {"bits": self.bits * original.weights, "matrix_bits": self.bits * original.matrix_weights}
        return ready | size


def check_same_tensors(original, path):
    a, b = ({name: shape for name, (_, shape, _) in tensors_of(p).items()} for p in (original, path))
    if a != b:
        raise Unusable(f"{path} has other tensors than {original}")


class PackedHere:
    """"NAME: OPTIONS": the original, packed with these options of `weightfs pack`."""

    def __init__(self, text):
        self.name, _, options = text.partition(":")
        self.name, self.options = self.name.strip(), shlex.split(options)
        if not self.name or not self.options:
            fail(f'--pack {text}: "NAME: OPTIONS" is needed, such as "bound 1e-3: --error-bound 1e-3"')

    def prepare(self, job):
        twin, archives = job.twin(), []
        for file in job.original.files:
            archives.append(twin / f"{file.name}.wfz")
            job.weightfs("pack", file, "-o", archives[-1], "--threads", job.args.threads, *self.options)
        return job.shown(twin, archives)


class Baseline:
    """Another quantizer on the original."""

    def __init__(self, name):
        self.name, self.kind = name, name.removeprefix("gguf:")
        if name not in BASELINES and not name.startswith("gguf:"):
            fail(f"--baseline {name}: there are {', '.join(BASELINES)} and gguf:TYPE")

    def prepare(self, job):
        if self.name in BASELINES:
            return {"directory": str(job.original.directory), "quantize": self.name}
        source, out = job.args.gguf_source or job.original.directory / gguf_model.SOURCE, job.tmp / f"{self.kind}.gguf"
        if job.original.encoder or not source.exists():
            raise Unusable(f"needs the original as a GGUF file, as make-gemma writes it; {source} is not there")
        if why := gguf_model.quantize(source, out, self.kind, job.args.threads):
            raise Unusable(why)
        return {"directory": str(job.tmp), "gguf": out.name} | gguf_model.bits(out)
