"""What models are asked. All of it is test data of the package gensim (gensim==4.4.0, installed with --no-deps; nothing
of it is imported), which is older than this project:

* lee_background.cor: 300 news items of the Australian Broadcasting Corporation from 2000 to 2002, collected by
  Lee, Pincombe and Welsh (2005). The text that is predicted, and the sentences that are embedded.
* lee.cor: 50 more of them. Their beginnings are the prompts.
* pang_lee_polarity.cor: 200 sentences of film reviews, half of them labelled positive (Pang and Lee 2005).
"""

import importlib.util
import re
from pathlib import Path

from . import fail

QUESTION = "Review: {}\nSentiment:"
ANSWERS = (" negative", " positive")


def lines(name):
    spec = importlib.util.find_spec("gensim")
    path = spec and Path(spec.origin).parent / "test" / "test_data" / name
    if not path or not path.is_file():
        fail(f"{name} of gensim is missing; install it with: pip install --no-deps gensim==4.4.0")
    return path.read_text("cp1252").splitlines()


def documents():
    return lines("lee_background.cor")


def prompts():
    return lines("lee.cor")


def sentences(count):
    """That many different sentences of 20 to 400 characters."""
    found = dict.fromkeys(s for d in documents() for s in re.split(r"(?<=[.!?]) +", d) if 20 <= len(s) <= 400)
    return list(found)[:count]


def labelled(count):
    """[(sentence, whether it is positive)], as many of each, taking turns."""
    both = {"__label__neg": [], "__label__pos": []}
    for line in lines("pang_lee_polarity.cor"):
        label, sentence = line.split(" ", 1)
        both[label].append(sentence.strip())
    pairs = zip(both["__label__neg"], both["__label__pos"])
    return [one for n, p in pairs for one in ((n, False), (p, True))][:count]
