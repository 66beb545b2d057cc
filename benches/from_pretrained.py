#!/usr/bin/env python3
"""How long transformers takes to load a model: from its directory, and from a mount of its packed twin.

    weightfs pack model -o packed
    sudo venv/bin/python benches/from_pretrained.py model packed --rounds 5

RAW is the directory of the model; PACKED one of its archives, which is mounted here (a new mount before each cold
load), or one inside a mount that is there already (then blocks that its server keeps decoded are not dropped, and a
line says so). Needs torch and transformers: the versions in tests/frameworks/requirements.txt, such as
the tests of frameworks install them. Root is needed for the mount's readahead; without, it is 128K, and a line says so.

* Each load is a process of its own. It imports everything, loads a tiny model of the same kind from its own
  directory, so that nothing is left to be imported, and then takes the time of
  AutoModelForCausalLM.from_pretrained(DIR, dtype=torch.bfloat16) alone ("load"). Then it sums all bytes of all
  parameters, 8 at a time, which fetches what was only mapped, and takes the time of that ("touch"). Sums must
  be equal.
* "cold": the model's files are dropped from the page cache, those of the directory and those in the mount;
  archives stay in it. So the raw model comes from the disk and the packed one out of the decoder.
* "warm": the model's files are in the page cache.
* "storage" (--storage, in place of the other two): archives are dropped as well; both come from the disk.
* The kernel is asked whether dropped files are gone; a load that would not be cold ends the run.
* Raw and packed take turns, the first of a round changing from round to round; medians.

A model to try it with, without a tokenizer, from tensors that have the names and shapes of Qwen2-0.5B:

    python3 benches/from_pretrained.py --make-model model --tensors qwen2-0.5b.safetensors

writes config.json (which it derives from the shapes, and from those of Qwen2-0.5B where shapes do not tell),
generation_config.json and model.safetensors, a hard link where that is possible. Any number of layers will do.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAD = 64  # elements in a head of Qwen2-0.5B
END = 151643  # its token for the end of a text
TARGETS = ("raw", "packed")


def fail(why):
    sys.exit(f"{Path(sys.argv[0]).name}: {why}")


# A model.


def qwen2_config(tensors):
    """The config.json of a Qwen2 with these tensors, if they are one: {name: shape}."""
    layers = 1 + max((int(m[1]) for name in tensors if (m := re.match(r"model\.layers\.(\d+)\.", name))), default=-1)
    try:
        vocab, hidden = tensors["model.embed_tokens.weight"]
        wide, _ = tensors["model.layers.0.mlp.gate_proj.weight"]
        kv, _ = tensors["model.layers.0.self_attn.k_proj.weight"]
    except KeyError as error:
        fail(f"not a Qwen2: there is no tensor {error}")
    end = END if vocab > END else None
    shapes = {"input_layernorm.weight": [hidden], "post_attention_layernorm.weight": [hidden],
              "mlp.gate_proj.weight": [wide, hidden], "mlp.up_proj.weight": [wide, hidden],
              "mlp.down_proj.weight": [hidden, wide], "self_attn.o_proj.weight": [hidden, hidden]}
    for name, rows in (("q", hidden), ("k", kv), ("v", kv)):
        shapes |= {f"self_attn.{name}_proj.weight": [rows, hidden], f"self_attn.{name}_proj.bias": [rows]}
    expected = {f"model.layers.{layer}.{name}": shape for layer in range(layers) for name, shape in shapes.items()}
    expected |= {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    tied = "lm_head.weight" not in tensors
    expected |= {} if tied else {"lm_head.weight": [vocab, hidden]}
    if wrong := sorted(name for name in expected.keys() | tensors.keys() if expected.get(name) != tensors.get(name)):
        fail(f"not a Qwen2: {len(wrong)} tensors are missing, not expected or of another shape: {', '.join(wrong[:5])}")
    return {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "torch_dtype": "bfloat16",
            "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": wide,
            "num_attention_heads": hidden // HEAD, "num_key_value_heads": kv // HEAD, "vocab_size": vocab,
            "tie_word_embeddings": tied, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
            "max_position_embeddings": 131072, "max_window_layers": layers, "use_sliding_window": False,
            "initializer_range": 0.02, "attention_dropout": 0.0, "bos_token_id": end, "eos_token_id": end,
            "use_cache": True}


def make_model(directory, source):
    with open(source, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    config = qwen2_config({name: one["shape"] for name, one in header.items()})
    if wrong := sorted({one["dtype"] for one in header.values()} - {"BF16"}):
        fail(f"{source} holds {', '.join(wrong)}, not BF16 alone")
    directory.mkdir(parents=True)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id")} | {"max_new_tokens": 2048}
    for name, value in (("config", config), ("generation_config", generation)):
        (directory / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")
    try:
        os.link(source, directory / "model.safetensors")
    except OSError:
        try:
            shutil.copyfile(source, directory / "model.safetensors")
        except BaseException:
            shutil.rmtree(directory)
            raise
    print(f"{directory}: {config['num_hidden_layers']} layers, {len(header)} tensors")


# In the workers.


def load(directory):
    """Prints one JSON object: what one load took."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    config = AutoConfig.from_pretrained(directory)
    with tempfile.TemporaryDirectory(prefix="from-pretrained-") as tmp:
        small = dict(config.to_dict(), num_hidden_layers=1, hidden_size=64, intermediate_size=64, vocab_size=64,
                     num_attention_heads=2, num_key_value_heads=2, layer_types=None, head_dim=32,
                     bos_token_id=None, eos_token_id=None, pad_token_id=None)
        model = AutoModelForCausalLM.from_config(type(config).from_dict(small), dtype=torch.bfloat16)
        model.save_pretrained(tmp)
        AutoModelForCausalLM.from_pretrained(tmp, dtype=torch.bfloat16)
        del model
    begin = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    loaded = time.perf_counter()
    total = count = 0
    for parameter in model.parameters():
        data, size = parameter.detach().view(-1), parameter.numel() * parameter.element_size()
        try:
            data = data.view(torch.int64)
        except RuntimeError:  # not whole words, or in the middle of one
            data = data.view(torch.uint8)
        total, count = (total + int(data.sum(dtype=torch.int64))) % (1 << 64), count + size
    print(json.dumps({"load": loaded - begin, "touch": time.perf_counter() - loaded, "bytes": count, "sum": total}))


# In the main process.


def weights(directory):
    """What from_pretrained reads most of, links followed."""
    return sorted({path.resolve() for path in Path(directory).rglob("*.safetensors") if path.is_file()})


def drop(files):
    """Drops files from the page cache, as far as nobody else has them mapped."""
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())  # what is not yet on the disk cannot be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        shown = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", path], stdout=subprocess.PIPE,
                               check=True)
        if (held := int(shown.stdout)) > max(os.path.getsize(path) // 64, 256 << 10):
            fail(f"{held} bytes of {path} stay in the page cache: this would not be cold")


def read_all(files):
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


class Packed:
    """The packed model, a directory or one archive, mounted; `mount` makes the mount anew."""

    def __init__(self, source, args, tmp, joins=None):
        self.archives = [source] if source.is_file() else sorted(source.rglob("*.wfz"))
        self.source, self.args, self.tmp, self.server = source, args, tmp, None
        self.joins = joins  # what its server does first
        self.directory = tmp / "mount" if self.archives else source
        if self.archives:
            self.directory.mkdir()

    def mount(self):
        if not self.archives:
            return
        self.unmount()
        command = [self.args.weightfs, "mount", self.source, self.directory]
        command += ["--readahead", self.args.readahead] * bool(self.args.readahead)
        with open(self.tmp / "mount.log", "ab") as log:
            # In a session of its own: Ctrl-C does not reach it, and it is unmounted in order.
            self.server = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=self.joins)
        if not self.server.stdout.readline().startswith("ready: "):
            fail(f"weightfs mount: {(self.tmp / 'mount.log').read_text(errors='replace')}")

    def unmount(self):
        if not self.server:
            return
        self.server.terminate()
        try:
            self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
            subprocess.run(["umount", "--lazy", self.directory])
        self.server.stdout.close()
        self.server = None


def measure(args, packed):
    """[{round, cache, target, load, touch}]"""
    states = ["storage"] if args.storage else ["cold", "warm"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
                                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                                "TMPDIR": str(packed.tmp)}  # what a worker that is killed leaves goes with it
    found, sums = [], {}
    for number in range(args.rounds):
        for state in states:
            for target in TARGETS[::1 if number % 2 == 0 else -1]:
                print(f"round {number + 1} of {args.rounds}: {state}, {target}", file=sys.stderr, flush=True)
                # The other's pages are dropped as well, so that both find the same memory.
                packed.mount()
                directory = args.raw if target == "raw" else packed.directory
                drop(weights(args.raw) + weights(packed.directory))
                (drop if state == "storage" else read_all)(packed.archives)
                if state == "warm":
                    read_all(weights(directory))
                done = subprocess.run([sys.executable, "-W", "ignore", __file__, "--worker", directory],
                                      env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
                if done.returncode:
                    fail(f"loading from {directory}: exit status {done.returncode}")
                one = json.loads(done.stdout.splitlines()[-1])
                sums[target] = one["bytes"], one["sum"]
                if len(set(sums.values())) > 1:
                    fail(f"the models differ: bytes and their sum are {sums}")
                found.append({"round": number + 1, "cache": state, "target": target} | one)
    return found


def table(found, by, steps, states, size):
    """Medians of both steps in each state, which `by` tells, and how the packed one does beside the raw one."""
    for state in states:
        both = {}
        for target in TARGETS:
            runs = [one for one in found if (one[by], one["target"]) == (state, target)]
            first_s, second_s, both[target] = (statistics.median(sum(one[step] for step in of) for one in runs)
                                               for of in (steps[:1], steps[1:], steps))
            print(f"{state:<10}{target:<8}{first_s:8.3f}{second_s:8.3f}{both[target]:8.3f}{size / both[target] / 1e9:8.3f}")
        print(f"{'':<10}packed takes {both['packed'] / both['raw']:.2f} of raw's time")


def report(args, about, found):
    print(f"{args.raw.name}: {about['weights_bytes']} bytes in files, {found[0]['bytes']} in parameters; archives "
          f"{about['archive_bytes'] or 'unknown'}\ntorch {about['torch']}, transformers {about['transformers']}; "
          f"{os.cpu_count()} cores; load before and after: {', '.join(f'{v:.1f}' for v in about['load'])}; medians of "
          f"{args.rounds} rounds\n\n{'seconds':<10}{'':<8}{'load':>8}{'touch':>8}{'both':>8}{'GB/s':>8}")
    table(found, "cache", ("load", "touch"), dict.fromkeys(one["cache"] for one in found), about["weights_bytes"])
    for note in about["notes"]:
        print(f"note: {note}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", nargs="?", type=Path, metavar="RAW", help="the directory of a model")
    parser.add_argument("packed", nargs="?", type=Path, metavar="PACKED",
                        help="what `weightfs pack RAW` made of it, or where that is mounted")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PATH", help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[default: %(default)s]")
    parser.add_argument("--storage", action="store_true", help="drop the archives too; cold only, all from the disk")
    parser.add_argument("--readahead", metavar="SIZE", help="of the mount [default: that of weightfs mount, 4M]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="keep every single measurement in this file")
    parser.add_argument("--make-model", type=Path, metavar="DIR", help="make a model directory, and measure nothing")
    parser.add_argument("--tensors", type=Path, metavar="FILE", help="with --make-model: the .safetensors file")
    args = parser.parse_args()
    if args.make_model:
        if not args.tensors or args.raw:
            parser.error("--make-model DIR takes --tensors FILE and nothing else")
        if args.make_model.exists():
            parser.error(f"{args.make_model} exists already")
        return args
    for directory in (args.raw, args.packed):
        if not directory or not directory.is_dir():
            parser.error(f"no such directory: {directory}" if directory else "RAW and PACKED are needed")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    if not (weightfs := shutil.which(args.weightfs)):
        parser.error(f"{args.weightfs} is not there: run cargo build --release, or say --weightfs PATH")
    args.weightfs, args.raw, args.packed = os.path.abspath(weightfs), args.raw.resolve(), args.packed.resolve()
    if not weights(args.raw):
        parser.error(f"{args.raw} holds no .safetensors files")
    if args.storage and not any(args.packed.rglob("*.wfz")):
        parser.error("--storage needs the archives, and PACKED holds none")
    return args


def packages():
    from importlib.metadata import PackageNotFoundError, version
    try:
        return {name: version(name) for name in ("torch", "transformers")}
    except PackageNotFoundError as error:
        fail(f"{error} ({sys.executable}); run this with a Python that has torch and transformers")


def stop(number, _):
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # so that cleaning up is not stopped too
    sys.exit(128 + number)


def main():
    if sys.argv[1:2] == ["--worker"]:
        return load(*sys.argv[2:])
    args = arguments()
    if args.make_model:
        return make_model(args.make_model, args.tensors)
    about = packages() | {"notes": [], "rounds": args.rounds, "load": [os.getloadavg()[0]]}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with contextlib.ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="from-pretrained-")))
        packed = Packed(args.packed, args, tmp)
        stack.callback(packed.unmount)
        if not packed.archives:
            about["notes"].append("the mount was there before: blocks that its server keeps decoded were not dropped")
        if packed.archives and os.geteuid():
            about["notes"].append("not root: the kernel reads 128K ahead in the mount")
        about["weights_bytes"] = sum(path.stat().st_size for path in weights(args.raw))
        about["archive_bytes"] = sum(path.stat().st_size for path in packed.archives)
        found = measure(args, packed)
    about["load"].append(os.getloadavg()[0])
    report(args, about, found)
    if args.json:
        about |= {"raw": str(args.raw), "packed": str(args.packed), "measurements": found}
        args.json.write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    main()
