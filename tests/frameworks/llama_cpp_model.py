"""Runs a GGUF model in llama.cpp from a disk and from a mount and compares what it says.

python llama_cpp_model.py compare RAW MOUNTED   both must give the same tokens and the same perplexity,
                                                through a map of the file and read into memory
"""

import os
import sys

import numpy as np
from llama_cpp import Llama

PROMPT = "A file system is"
TOKENS = 32
TEXT = """\
The old lighthouse stood at the end of a long spit of sand, and in winter nobody went there. Its keeper
had left when the lamp was changed for one that needed no hands, and since then the door had been locked
and the windows boarded up. But on clear nights the people of the village still saw the light go round,
and some of them said that it was slower than it had been, as if it were tired. The mayor wrote a letter
to the ministry. The ministry replied that the lamp turned once in ten seconds, that it had always done
so, and that it was not able to be tired. A boy of twelve, who had a watch, went out to the end of the
spit to count. He counted eleven seconds, and then twelve, and then he stopped counting and looked up.
"""


def is_mapped(path):
    with open("/proc/self/maps") as maps:
        return any(line.rstrip().endswith(" " + os.path.realpath(path)) for line in maps)


def run(path, use_mmap):
    """The tokens that follow the prompt at temperature 0, and the perplexity of the text."""
    # As many threads everywhere: sums are made in the same order then.
    model = Llama(path, n_ctx=256, n_threads=2, n_threads_batch=2, seed=1, use_mmap=use_mmap,
                  logits_all=True, verbose=False)
    if is_mapped(path) != use_mmap:
        sys.exit(f"{path}: {'not ' * use_mmap}mapped with use_mmap={use_mmap}")
    prompt = model.tokenize(PROMPT.encode())
    tokens = [token for token, _ in zip(model.generate(prompt, temp=0.0), range(TOKENS))]
    text = model.tokenize(TEXT.encode())
    model.reset()
    model.eval(text)
    logits = model.scores[: len(text) - 1].astype(np.float64)
    if not np.isfinite(logits).all():
        sys.exit(f"{path}: these are no logits: {logits}")
    logits -= logits.max(axis=1, keepdims=True)
    right = np.take_along_axis(logits, np.array(text[1:])[:, None], axis=1)[:, 0]
    perplexity = float(np.exp(np.mean(np.log(np.exp(logits).sum(axis=1)) - right)))
    said = model.detokenize(tokens)
    model.close()
    return tokens, perplexity, said


def compare(raw, mounted):
    for use_mmap in [True, False]:
        a, b = run(raw, use_mmap), run(mounted, use_mmap)
        if a != b:
            sys.exit(f"use_mmap={use_mmap}: {a} and {b}")
        tokens, perplexity, said = a
        # A model of nonsense would be equal to itself too.
        if len(tokens) != TOKENS or len(set(tokens)) < 8 or not 1 < perplexity < 100:
            sys.exit(f"this is no language: {a}")
        print(f"use_mmap={use_mmap}: {len(tokens)} tokens and a perplexity of {perplexity!r} equal: {said}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["compare", raw, mounted]:
            compare(raw, mounted)
        case _:
            sys.exit(__doc__)
