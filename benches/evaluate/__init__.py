"""What benches/evaluate_models.py is made of.

texts       what models are asked: text, prompts, labelled sentences, all out of one package
worker      one model in a process of its own: loads it, asks it, compares with what the original said
variants    what is compared: the original, files, archives, archives packed here, other quantizers
gguf_model  gemma-3-270m from its GGUF file, and what llama.cpp's quantizer makes of it
results     the table and the plot
"""

import sys
from pathlib import Path


def fail(why):
    sys.exit(f"{Path(sys.argv[0]).name}: {why}")
