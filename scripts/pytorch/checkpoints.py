"""Checkpoints as PyTorch writes them, for the tests of the reader: `OBJECT.pth`, other forms as `OBJECT-FORM.pth`, and
what both hold as `OBJECT.safetensors` (every tensor, dense, under its path: keys and indices joined by dots).

network    the state dict of a small network with BatchNorm; also legacy, under pickle protocols 3 to 5, and in a zip
           without checksums (`set_crc32_options(False)`)
nested     a training checkpoint: epoch, state dict, optimizer with momentum, schedule, plain values
views      transposed, sliced, expanded, overlapping, shared, empty and scalar tensors, parameters; also legacy
dtypes     every dtype with extreme values; also legacy
malicious  a state dict beside an object that calls `os.system` when unpickled; also legacy, no safetensors

Legacy files name storages by their address in memory: the bytes differ from run to run, what they hold does not.
"""

import argparse
import collections
import io
import os
from pathlib import Path

import torch
from fixture import FIXTURES, Numbers, deterministic
from safetensors.torch import save_file
from torch import nn


class Network(nn.Module):
    """Names of several words, nested modules and buffers."""

    def __init__(self, numbers):
        super().__init__()
        self.conv_stem = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 3)
        for value in self.state_dict().values():
            if value.is_floating_point():
                value.copy_(numbers.normal(value.shape))

    def forward(self, x):
        x = self.layer1(self.bn1(self.conv_stem(x)).relu())
        return self.fc(x.mean((2, 3)))


def training_checkpoint(numbers):
    """What a training script keeps, after one step."""
    network = Network(numbers)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    network(numbers.normal((2, 3, 5, 5)).float()).square().sum().backward()
    optimizer.step()
    schedule.step()
    return {
        "epoch": 3,
        "arch": "résnet",
        "best_acc": 0.1,
        "seed": 2**70,
        "digest": b"\x00\xff\x7f",
        "classes": ("cat", "dog"),
        "done": False,
        "note": None,
        "milestones": {3, 5},
        "size": torch.Size([3, 5, 5]),
        "dtype": torch.float32,
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }


def views(numbers):
    base = numbers.normal((4, 6)).float()
    line = torch.arange(10, dtype=torch.int32)
    annotated = nn.Parameter(numbers.normal((2, 2)).float())
    annotated.no_decay = True
    return {
        "base": base,
        "transposed": base.t(),
        "rows": base[1:3],
        "columns": base[:, 2:5],
        "every_other": base[::2, 1::2],
        "element": base[3, 5],
        "expanded": base[:1].expand(5, 6),
        "constant": torch.tensor(7.5).expand(2, 3),
        "overlapping": line.as_strided((4, 3), (2, 1), 1),
        "windows": line.unfold(0, 4, 2),
        "channels_last": numbers.normal((2, 3, 2, 2)).float().to(memory_format=torch.channels_last),
        "empty": torch.empty(0, 3),
        "empty_slice": base[4:],
        "scalar": torch.tensor(True),
        "parameter": nn.Parameter(numbers.normal((2,)).float()),
        "annotated": annotated,
        "again": annotated.detach(),
    }


def dtypes():
    def limits(dtype):
        info = torch.iinfo(dtype)
        return torch.tensor([info.min, 0, 1, info.max], dtype=dtype)

    floats = [0.0, -0.0, 1 / 3, -65504.0, 6e-8, float("inf"), float("nan")]
    integers = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
    unsigned = [torch.uint16, torch.uint32, torch.uint64]
    tensors = [torch.tensor(floats, dtype=d) for d in [torch.float64, torch.float32, torch.float16, torch.bfloat16]]
    tensors += [limits(dtype) for dtype in integers + unsigned] + [torch.tensor([True, False, True])]
    return {str(tensor.dtype).removeprefix("torch."): tensor for tensor in tensors}


class Malicious:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


def flat(value, path=""):
    """The tensors in `value` by path, each dense and with memory of its own."""
    if isinstance(value, torch.Tensor):
        return {path: value.detach().clone(memory_format=torch.contiguous_format)}
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {}
    return {
        name: tensor
        for key, item in items
        for name, tensor in flat(item, f"{path}.{key}" if path else str(key)).items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES / "checkpoints", help="the folder")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    deterministic()
    legacy = {"_use_new_zipfile_serialization": False}

    def write(name, value, **options):
        # Through memory: a zip written to a file has the file's name inside.
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        (folder / f"{name}.pth").write_bytes(buffer.getvalue())
        print(f"{name}.pth: {len(buffer.getvalue()):,} bytes")

    def expect(name, value):
        path = folder / f"{name}.safetensors"
        save_file(flat(value), str(path))
        path.chmod(0o644)

    network = Network(Numbers(31)).state_dict()
    write("network", network)
    write("network-legacy", network, **legacy)
    for protocol in (3, 4, 5):
        write(f"network-protocol{protocol}", network, pickle_protocol=protocol)
    torch.serialization.set_crc32_options(False)
    write("network-no-crc", network)
    torch.serialization.set_crc32_options(True)
    expect("network", network)

    checkpoint = training_checkpoint(Numbers(37))
    write("nested", checkpoint)
    expect("nested", checkpoint)
    for name, value in (("views", views(Numbers(41))), ("dtypes", dtypes())):
        write(name, value)
        write(f"{name}-legacy", value, **legacy)
        expect(name, value)
    malicious = collections.OrderedDict(w=torch.ones(2), evil=Malicious())
    write("malicious", malicious)
    write("malicious-legacy", malicious, **legacy)


if __name__ == "__main__":
    main()
