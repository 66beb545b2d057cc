"""The same tensors in files of other kinds, written by the libraries that people write them with, and files that are
no models at all. For benches/breadth.py.

A maker gets an empty folder and tensors, {name: torch tensor}, and writes files into it.
"""

import json
import os
import re
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import Callable, NamedTuple

SEED = 16
PLAIN_BYTES = 20_000_000  # of text and of random bytes


class Kind(NamedTuple):
    make: Callable
    packages: tuple = ()  # besides torch, numpy and safetensors
    tensors: str = "model"  # a name in TENSORS
    note: str = ""
    bf16_as: str = ""  # what a library makes of BF16 that does not know it


# What is written.


def adam(model):
    """The model, and for each of its numbers the two that Adam keeps, in F32 as with mixed precision. Drawn: gradients have
    a scale for each tensor, row and element; exp_avg is a running mean of them, exp_avg_sq one of their squares."""
    import torch
    random = torch.Generator().manual_seed(SEED)

    def scale(shape, spread):
        return torch.exp(spread * torch.randn(shape, generator=random))

    tensors = {f"model.{name}": t for name, t in model.items()}
    for name, t in model.items():
        if t.is_floating_point():
            rows = (*t.shape[:1], *[1] * (t.dim() - 1))
            gradient = 1e-4 * scale((), 1.0) * scale(rows, 0.5) * scale(t.shape, 0.5)
            # A mean with the weight 0.9 has a standard deviation of sqrt(0.1 / 1.9) of that of what it is of.
            tensors[f"exp_avg.{name}"] = 0.23 * gradient * torch.randn(t.shape, generator=random)
            tensors[f"exp_avg_sq.{name}"] = gradient.square() * scale(t.shape, 0.05)
    return tensors


def largest(model):
    name = max(model, key=lambda name: model[name].nbytes)
    return {name: model[name]}


def gptq(_):
    from quantized_safetensors import make
    from safetensors.torch import load_file
    with tempfile.TemporaryDirectory() as tmp:
        make(path := Path(tmp, "gptq.safetensors"), "gptq")
        return load_file(path)


TENSORS = {"model": lambda model: model, "adam": adam, "largest": largest, "gptq": gptq}


def as_bytes(tensor):
    import torch
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy()


def arrays(tensors):
    """NumPy arrays. BF16 are uint16, as most who have to keep them do."""
    import torch
    return {name: (t.view(torch.uint16) if t.dtype == torch.bfloat16 else t).numpy() for name, t in tensors.items()}


def ml_arrays(tensors):
    """NumPy arrays in which BF16 is the type of ml_dtypes, which is JAX's."""
    import ml_dtypes
    import torch
    return {name: array.view(ml_dtypes.bfloat16) if tensors[name].dtype == torch.bfloat16 else array
            for name, array in arrays(tensors).items()}


# How it is written.


def torch_zip(folder, tensors):
    import torch
    torch.save(tensors, folder / "pytorch_model.bin")


def torch_old(folder, tensors):
    import torch
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def lightning(folder, tensors):
    """What Lightning's Trainer hands to torch.save, with the state_dict of an Adam."""
    import torch
    state = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    trained = [name for name in state if f"exp_avg.{name}" in tensors]
    kept = {number: {"step": torch.tensor(1000.0)} | {key: tensors[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq")}
            for number, name in enumerate(trained)}
    group = {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "amsgrad": False,
             "params": list(kept)}
    torch.save({"epoch": 1, "global_step": 1000, "pytorch-lightning_version": "2.5.0", "state_dict": state, "loops": {},
                "callbacks": {}, "optimizer_states": [{"state": kept, "param_groups": [group]}], "lr_schedulers": []},
               folder / "last.ckpt")


def onnx_model(tensors):
    import onnx
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in ml_arrays(tensors).items()]
    return onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], initializers))


def onnx_inside(folder, tensors):
    import onnx
    onnx.save_model(onnx_model(tensors), folder / "model.onnx")


def onnx_external(folder, tensors):
    import onnx
    onnx.save_model(onnx_model(tensors), folder / "model.onnx", save_as_external_data=True, location="model.onnx.data")


def npz(folder, tensors):
    import numpy
    numpy.savez(folder / "model.npz", **arrays(tensors))


def npy(folder, tensors):
    import numpy
    (array,) = arrays(tensors).values()
    numpy.save(folder / "tensor.npy", array)


def hdf5(folder, tensors, chunked=False):
    import h5py
    with h5py.File(folder / "model.h5", "w") as file:
        for name, array in arrays(tensors).items():
            file.create_dataset(name.replace(".", "/"), data=array, chunks=True if chunked and array.size > 1 else None)


def hdf5_chunked(folder, tensors):
    hdf5(folder, tensors, chunked=True)


def keras(folder, tensors):
    """A model with a layer for each tensor."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.held = []
            for name, tensor in tensors.items():
                layer = keras.layers.Layer(name=re.sub(r"\W", "_", name))
                layer.add_weight(shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."),
                                 trainable=False).assign(tensor)
                layer.built = True
                self.held.append(layer)
            self.built = True

    Model().save_weights(folder / "model.weights.h5")


def flax(folder, tensors):
    from flax.serialization import msgpack_serialize
    (folder / "flax_model.msgpack").write_bytes(msgpack_serialize(ml_arrays(tensors)))


def orbax(folder, tensors):
    import orbax.checkpoint
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "checkpoint", ml_arrays(tensors))


def tensorizer(folder, tensors):
    from tensorizer import TensorSerializer
    serializer = TensorSerializer(str(folder / "model.tensors"))
    serializer.write_state_dict(tensors)
    serializer.close()


def tensorflow(folder, tensors):
    """Tensors end to end in the order of their names, after the graph of objects: a string, so nothing is aligned."""
    with open(folder / "variables.data-00000-of-00001", "wb") as file:
        file.write(bytes(range(251)) * 83)
        for name in sorted(tensors):
            file.write(as_bytes(tensors[name]).data)


KINDS = {
    "torch-zip": Kind(torch_zip, note="torch.save"),
    "torch-old": Kind(torch_old, note="torch.save, before 1.6"),
    "lightning": Kind(lightning, tensors="adam", note=".ckpt with the state of Adam, drawn, F32"),
    "torch-gptq": Kind(torch_zip, tensors="gptq", note="torch.save; made by quantized_safetensors.py, not from the model"),
    "onnx": Kind(onnx_inside, ("onnx", "ml_dtypes"), note="initializers inside"),
    "onnx-external": Kind(onnx_external, ("onnx", "ml_dtypes"), note="external data"),
    "npz": Kind(npz, note="numpy.savez", bf16_as="uint16"),
    "npy": Kind(npy, tensors="largest", note="numpy.save, the largest tensor", bf16_as="uint16"),
    "hdf5": Kind(hdf5, ("h5py",), note="h5py, contiguous", bf16_as="uint16"),
    "hdf5-chunked": Kind(hdf5_chunked, ("h5py",), note="h5py, chunked, its own choice of chunks", bf16_as="uint16"),
    "keras": Kind(keras, ("keras", "h5py"), note=".weights.h5"),
    "flax": Kind(flax, ("flax", "ml_dtypes"), note="msgpack_serialize"),
    "orbax": Kind(orbax, ("orbax-checkpoint", "ml_dtypes"), note="OCDBT, compressed with zstd by Orbax itself"),
    "tensorizer": Kind(tensorizer, ("tensorizer",)),
    "tensorflow": Kind(tensorflow, note="layout of a checkpoint's data file by hand, not written by TensorFlow"),
}


# Files that are no models.


def library_sources():
    """The Python sources of the standard library, some 20 MB of text."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return [path for path in sorted(root.rglob("*.py")) if "site-packages" not in path.parts]


def sources_text():
    return b"".join(path.read_bytes() for path in library_sources())[:PLAIN_BYTES]


def text(folder):
    (folder / "sources.txt").write_bytes(sources_text())


def tar_gz(folder):
    with tarfile.open(folder / "sources.tar.gz", "w:gz", compresslevel=6) as tar:
        for path in library_sources():
            tar.add(path)


def random_bytes(folder):
    import numpy
    (folder / "noise.jpg").write_bytes(numpy.random.Generator(numpy.random.PCG64(SEED)).bytes(PLAIN_BYTES))


def tokenizer_json(folder):
    """The shape of a tokenizer.json: the different words of the text, and their halves as merges."""
    words = list(dict.fromkeys(re.findall(r"\w+", sources_text().decode("utf-8", "replace"))))
    merges = [f"{word[:len(word) // 2]} {word[len(word) // 2:]}" for word in words if len(word) > 1]
    vocabulary = {word: number for number, word in enumerate(words)}
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": model}, indent=2, ensure_ascii=False),
                                           encoding="utf-8")


PLAIN = {
    "tar.gz": (tar_gz, "sources of the standard library"),
    "random": (random_bytes, "in place of JPEG and PNG"),
    "text": (text, "the same sources, end to end"),
    "json": (tokenizer_json, "a tokenizer.json of the words in these sources"),
}
