"""One model in a process of its own: `python worker.py TASK.json` writes the task's "out" as JSON.

The original also writes the reference: what goes into its output head at every position of the text, and the head.
From those two every variant computes the original's distributions again, which would not fit on a disk. So all
models compute in the same type, float32, with the same operations, and the original differs from itself by nothing.
"""

import json
import sys
import time
from pathlib import Path

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluate import texts

CHUNK = 128  # positions whose distributions are compared at a time


def quantization(kind):
    """What transformers takes as quantization_config."""
    from transformers import BitsAndBytesConfig, GgufConfig, TorchAoConfig
    if kind == "gguf":
        return GgufConfig(dequantize=True)
    if kind == "bnb-int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if kind == "bnb-nf4":
        import torch
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig
    if kind == "torchao-int8":
        return TorchAoConfig(Int8WeightOnlyConfig())
    import torch
    from torchao.quantization.granularity import PerGroup
    return TorchAoConfig(IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(128)))


def stored_bits(model, plain):
    """Bits of all parameters and of the matrices among them; those not quantized have `plain` bits a value."""
    total = matrices = 0
    for p in model.parameters():
        kind = type(p).__name__
        if kind == "Int8Params":  # a float32 scale for each row
            bits = 8 * p.numel() + 32 * p.shape[0]
        elif kind == "Params4bit":  # packed; a float32 scale for each 64
            bits = 8 * p.numel() + 32 * p.quant_state.absmax.numel()
        elif kind == "Int8Tensor":
            bits = 8 * p.numel() + 32 * p.scale.numel()
        elif kind == "IntxUnpackedToInt8Tensor":  # counted as if it were packed, with 16 bits a scale
            bits = 4 * p.numel() + 16 * p.scale.numel()
        else:
            bits = plain * p.numel()
        total, matrices = total + bits, matrices + bits * (p.dim() > 1)
    return {"bits": total, "matrix_bits": matrices}


def peak_bytes():
    """The most memory that this process had, file pages that it mapped included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10


def causal(task, options):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(task["original"])
    begin = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(task["directory"], dtype=torch.float32, **options).eval()
    result = {"load_seconds": time.perf_counter() - begin}
    if "quantize" in task:
        result |= stored_bits(model, task["plain_bits"])
    result |= continuations(model, tokenizer, task) | {"peak_bytes": peak_bytes()}
    return result | answers(model, tokenizer, task) | distributions(model, tokenizer, task)


def continuations(model, tokenizer, task):
    """Prompts of the same number of tokens, so that a batch needs no padding."""
    import torch
    size, new = task["prompt_tokens"], task["new_tokens"]
    ids = [tokenizer(text)["input_ids"][:size] for text in texts.prompts()[:task["prompts"]]]
    ids = torch.tensor([one for one in ids if len(one) == size])
    begin = time.perf_counter()
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, min_new_tokens=new,
                         max_new_tokens=new)
    return {"run_seconds": time.perf_counter() - begin,
            "continuations": tokenizer.batch_decode(out[:, size:], skip_special_tokens=True)}


def answers(model, tokenizer, task):
    """How much more likely "positive" is than "negative" after each sentence, as a difference of logarithms."""
    import torch
    no, yes = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in texts.ANSWERS)
    asked = texts.labelled(task["questions"])
    ids = [tokenizer(texts.QUESTION.format(sentence))["input_ids"] for sentence, _ in asked]
    leaning = [0.0] * len(ids)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for at in range(0, len(order), 16):
        batch = order[at:at + 16]
        longest = max(len(ids[i]) for i in batch)
        # Padding comes last, where a causal model cannot see it.
        padded = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in batch])
        last = torch.tensor([len(ids[i]) - 1 for i in batch])
        keep, where = last.unique(return_inverse=True)
        logits = model(padded, logits_to_keep=keep).logits
        for row, i in enumerate(batch):
            leaning[i] = float(logits[row, where[row], yes] - logits[row, where[row], no])
    return {"leaning": leaning, "positive": [positive for _, positive in asked]}


def distributions(model, tokenizer, task):
    """How likely the text is, and how far the distributions of each next token are from the original's."""
    import numpy as np
    import torch
    folder, first, head = Path(task["reference"]), task["is_original"], model.get_output_embeddings()
    if first:
        hidden = []
        hook = head.register_forward_pre_hook(lambda _, given: hidden.append(given[0][0]))
        weight = head.weight.detach()
        torch.save(weight.bfloat16() if torch.equal(weight.bfloat16().float(), weight) else weight, folder / "head.pt")
    else:
        weight = torch.load(folder / "head.pt", mmap=True).float()
        kept = torch.from_numpy(np.load(folder / "hidden.npy"))
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    loss, kl, same, left, at, begin = 0.0, [], 0, task["tokens"], 0, time.perf_counter()
    for text in texts.documents():
        ids = torch.tensor([tokenizer(text)["input_ids"][:min(task["window"], left + 1)]])
        count = ids.shape[1] - 1  # the last has no next one
        if left <= 0 or count < 1:
            break
        logits, left = model(ids).logits[0, :count].float(), left - count
        source = hidden[-1] if first else kept[at:]
        for i in range(0, count, CHUNK):
            q = torch.log_softmax(logits[i:i + CHUNK], -1)
            p = torch.nn.functional.linear(source[i:min(i + CHUNK, count)], weight)
            p = torch.log_softmax(cap * torch.tanh(p / cap) if cap else p, -1)
            loss -= float(q.gather(1, ids[0, 1 + i:1 + i + len(q), None]).sum(dtype=torch.float64))
            kl.append((p.exp() * (p - q)).sum(-1))
            same += int((p.argmax(-1) == q.argmax(-1)).sum())
        at += count
        if first:
            hidden[-1] = hidden[-1][:count]
        del logits
    if not at:
        raise SystemExit("no text: --tokens and --window are too small")
    if first:
        hook.remove()
        np.save(folder / "hidden.npy", torch.cat(hidden).numpy())
    kl = torch.cat(kl).clamp(min=0)
    return {"text_seconds": time.perf_counter() - begin, "positions": at, "loss": loss / at, "same_top": same / at,
            "kl_mean": float(kl.mean(dtype=torch.float64)), "kl_99": float(kl.quantile(0.99)),
            "kl_error": float(kl.std() / at ** 0.5)}


def encoder(task, options):
    import numpy as np
    from sentence_transformers import SentenceTransformer
    begin = time.perf_counter()
    model = SentenceTransformer(task["directory"], device="cpu", model_kwargs=options)
    result = {"load_seconds": time.perf_counter() - begin}
    if "quantize" in task:
        result |= stored_bits(model, task["plain_bits"])
    begin = time.perf_counter()
    vectors = model.encode(texts.sentences(task["sentences"]), show_progress_bar=False).astype("f8")
    result |= {"run_seconds": time.perf_counter() - begin, "peak_bytes": peak_bytes()}
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reference = Path(task["reference"]) / "embeddings.npy"
    if task["is_original"]:
        np.save(reference, vectors)
    original = np.load(reference)
    cosine = (vectors * original).sum(1)

    def nearest(v):
        return (v @ v.T - 2 * np.eye(len(v))).argmax(1)

    return result | {"cosine_mean": float(cosine.mean()), "cosine_least": float(cosine.min()), "sentences": len(cosine),
                     "same_nearest": float((nearest(vectors) == nearest(original)).mean())}


def main():
    task = json.loads(Path(sys.argv[1]).read_text())
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(task["threads"])
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True, warn_only=True)
    options = {}
    if "quantize" in task:
        options = {"quantization_config": quantization(task["quantize"]), "device_map": "cpu"}
    if "gguf" in task:
        options = {"quantization_config": quantization("gguf"), "gguf_file": task["gguf"]}
    result = (encoder if task["encoder"] else causal)(task, options)
    Path(task["out"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
