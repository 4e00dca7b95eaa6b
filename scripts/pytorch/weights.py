"""Weights as timm, torchvision and torch.nn name them, with an input and what the network makes of it in float64, for the
tests of loading: dictionaries of a state dict and tensors, written by `torch.save` in float32.

se-resnet.pth  timm's SE-ResNet-18 with few channels: `state_dict`, `input`, `logits`
vit.pth        torchvision's vision transformer, tiny: `state_dict`, `input`, `logits`
layers.pth     `mha`, `mha_cross` (separate widths, extra rows), `encoder`, `decoder`: state dicts of torch.nn's layers; `cbam`: that
               of a module with the names, the linear layers and the order of planes of the authors' CBAM
               (Jongchan/attention-module); beside each, its inputs and its output `y` (`mha_case.query` ...)

With `--check FOLDER` nothing is made: files `NAME.safetensors`, saved by fovea with PyTorch's names, must load strictly into timm's
network of that name.
"""

import collections

import timm
import torch
import torchvision
from fixture import weights_command
from safetensors.torch import load_file
from torch import nn


def filled(module, numbers):
    """Values of every tensor drawn anew, so that none is at a value that hides a mistake, such as 0 or 1."""
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            value.fill_(7)
        elif name.endswith("running_var"):
            value.copy_(numbers.uniform(value.shape, 0.5, 1.5))
        elif value.ndim > 1:
            value.copy_(numbers.normal(value.shape, value[0].numel() ** -0.5))
        else:
            value.copy_(numbers.normal(value.shape, 0.2, 1.0 if name.endswith("weight") else 0.0))
    return module.double().eval()


def saved(module):
    return {
        name: value.float() if value.is_floating_point() else value.clone()
        for name, value in module.state_dict().items()
    }


def classifier(module, numbers, shape):
    network = filled(module, numbers)
    x = numbers.normal(shape)
    return {"state_dict": saved(network), "input": x.float(), "logits": network(x).float()}


def se_resnet(numbers):
    network = timm.models.ResNet(
        timm.models.resnet.BasicBlock,
        layers=(2, 2, 2, 2),
        channels=(8, 8, 8, 16),
        num_classes=5,
        block_args={"attn_layer": "se"},
    )
    return classifier(network, numbers, (1, 3, 40, 48))


def vit(numbers):
    network = torchvision.models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3
    )
    return classifier(network, numbers, (2, 3, 8, 8))


class ChannelGate(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, x):
        attention = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        return x * attention.sigmoid()[:, :, None, None]


class SpatialGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.spatial = nn.ModuleDict(
            {"conv": nn.Conv2d(2, 1, 7, padding=3, bias=False), "bn": nn.BatchNorm2d(1)}
        )

    def forward(self, x):
        planes = torch.stack((x.amax(1), x.mean(1)), 1)
        return x * self.spatial["bn"](self.spatial["conv"](planes)).sigmoid()


def cbam(channels, hidden):
    return nn.Sequential(
        collections.OrderedDict(ChannelGate=ChannelGate(channels, hidden), SpatialGate=SpatialGate())
    )


def layers(numbers):
    out = {}

    def add(name, layer, **inputs):
        given = {key: numbers.normal(shape) for key, shape in inputs.items()}
        y = filled(layer, numbers)(*given.values())
        out[name] = saved(layer)
        y = y[0] if isinstance(y, tuple) else y
        out[f"{name}_case"] = {key: value.float() for key, value in {**given, "y": y}.items()}

    attention = {"embed_dim": 6, "num_heads": 3, "batch_first": True}
    same = (2, 4, 6)
    add("mha", nn.MultiheadAttention(**attention), query=same, key=same, value=same)
    add(
        "mha_cross",
        nn.MultiheadAttention(**attention, kdim=4, vdim=5, add_bias_kv=True, add_zero_attn=True),
        query=same,
        key=(2, 3, 4),
        value=(2, 3, 5),
    )
    layer = {"d_model": 6, "nhead": 2, "dim_feedforward": 5, "batch_first": True}
    add("encoder", nn.TransformerEncoderLayer(**layer), x=same)
    add("decoder", nn.TransformerDecoderLayer(**layer), x=same, memory=(2, 3, 6))
    add("cbam", cbam(8, 2), x=(2, 8, 5, 6))
    return out


def check(folder):
    for path in sorted(folder.glob("*.safetensors")):
        timm.create_model(path.stem).load_state_dict(load_file(path), strict=True)
        print(f"{path}: loads strictly")


if __name__ == "__main__":
    weights_command(__doc__, (se_resnet, vit, layers), "--check", check)
