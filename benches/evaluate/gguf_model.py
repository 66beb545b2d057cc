"""gemma-3-270m from its GGUF file, and what llama.cpp's quantizer makes of it."""

import os

from . import fail

SOURCE = "source.gguf"
# Where a record has the low bits of its levels, and a byte that adds one to all levels of a record.
LEVELS = {"Q8_0": (slice(2, 34), 0x01), "Q5_0": (slice(6, 22), 0x11), "Q4_K": (slice(16, 144), 0x11),
          "Q6_K": (slice(0, 128), 0x11)}


def make_gemma(out, source, spread):
    """Writes a model directory with BF16 weights, and the same as a GGUF file for llama.cpp's quantizer.

    The weights of the GGUF file are levels of quantizers of llama.cpp, so llama.cpp finds them again almost exactly:
    that would flatter it. `spread` adds to each weight what rounding to its level may have taken, at random,
    evenly within half a step. Then no quantizer knows the grid.
    """
    import numpy as np
    import torch
    from gguf import GGUFReader, LlamaFileType, get_tensor_name_map
    from gguf.constants import MODEL_ARCH
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    try:
        reader = GGUFReader(source)
        architecture = reader.fields["general.architecture"].contents()
    except (OSError, ValueError, KeyError, IndexError) as error:
        fail(f"{source} is no GGUF file: {error}")
    if architecture != "gemma3":
        fail(f"{source} is a model of architecture {architecture}, not gemma3")
    where = {"pretrained_model_name_or_path": str(source.resolve().parent), "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32,
                                                 quantization_config=GgufConfig(dequantize=True))
    tensors = {t.name: t for t in reader.tensors}
    names = get_tensor_name_map(MODEL_ARCH.GEMMA3, model.config.num_hidden_layers)
    random = np.random.Generator(np.random.PCG64(15))
    matrices = {}
    for name, p in model.named_parameters():
        if p.dim() < 2:
            continue
        ours = names.get_name(name, try_suffixes=(".weight",))
        if spread:
            steps = step_sizes(tensors[ours]).reshape(p.shape)
            p.data += torch.from_numpy(steps * random.uniform(-0.5, 0.5, p.shape).astype("f4"))
        matrices[ours] = p.data.bfloat16()
    out.mkdir(parents=True)
    model.bfloat16().save_pretrained(out)
    AutoTokenizer.from_pretrained(**where).save_pretrained(out)
    write_gguf(out / SOURCE, reader, matrices, int(LlamaFileType.MOSTLY_BF16))
    print(f"{out}: {len(matrices)} matrices, {'spread within their steps' if spread else 'as in ' + str(source)}")


def step_sizes(tensor):
    """How far apart the levels of each value are: what all values are with one more, less what they are."""
    from gguf import dequantize
    if tensor.tensor_type.name not in LEVELS:
        fail(f"{tensor.name} is of type {tensor.tensor_type.name}, whose steps are not known here")
    (low, one), size = LEVELS[tensor.tensor_type.name], {"Q8_0": 34, "Q5_0": 22, "Q4_K": 144, "Q6_K": 210}
    records = tensor.data.reshape(-1, size[tensor.tensor_type.name]).copy()
    sides = []
    for byte in (0, one):
        records[:, low] = byte
        sides.append(dequantize(records, tensor.tensor_type))
    return abs(sides[1] - sides[0])


def write_gguf(path, like, matrices, file_type):
    """A GGUF file with the metadata and the vectors of another one and these matrices in BF16."""
    import torch
    from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
    writer = GGUFWriter(path, like.fields["general.architecture"].contents())
    for field in like.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = file_type if field.name == "general.file_type" else field.contents()
        writer.add_key_value(field.name, value, field.types[0],
                             field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None)
    for tensor in like.tensors:
        if tensor.name in matrices:
            data = matrices[tensor.name].contiguous().view(torch.uint8).numpy()
            writer.add_tensor(tensor.name, data, raw_dtype=GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source, out, kind, threads):
    """Has llama.cpp write `source` as KIND, or with KIND-pure all matrices in that type as far as they can be."""
    import ctypes

    import llama_cpp
    name, _, pure = kind.partition("-")
    file_type = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{name}", None)
    if file_type is None or pure not in ("", "pure"):
        return f"llama.cpp knows no type {kind}"
    said = []  # is told only when it fails
    quiet = llama_cpp.llama_log_callback(lambda _, text, __: said.append(text.decode(errors="replace").strip()))
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype, how.nthread, how.pure = file_type, threads, bool(pure)
    failed = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(out), how)
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))  # `quiet` does not outlive this call
    if failed:
        return f"llama.cpp could not make {kind} of {source}: {' '.join([s for s in said if s][-2:])}"
    return None


def bits(path):
    """Bits of the whole file and of its matrices."""
    from gguf import GGUFReader
    return {"bits": 8 * os.path.getsize(path),
            "matrix_bits": 8 * sum(int(t.n_bytes) for t in GGUFReader(path).tensors if len(t.shape) > 1)}
