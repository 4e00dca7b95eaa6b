"""Golden cases of networks that timm builds and `fovea verify` builds from the same options.

They cover what the other cases of whole networks do not: bottlenecks, averaged shortcuts, selective kernels in a
bottleneck, the adding global context, and cardinal groups with pooling before the split attention.

Each file has the form of a golden case whose weights are not stored: `__metadata__.case` has mechanism "model", the
options, `fill` (formula mulberry32-v1 and its seed), `stateDict` ([key, shape, dtype, L2 norm of the parameter's
gradient or null]) and parameterCount; the tensors are input.x, output.y, cotangent.y, gradInput.x and map.stem,
map.stage1 to map.stage4.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import timm
import torch
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.resnest import ResNestBottleneck
from timm.models.sknet import SelectiveKernelBottleneck

from fixture import Numbers, deterministic, float32, worst, write

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "goldens" / "models"
BATCH, HEIGHT, WIDTH, CLASSES = 2, 40, 48, 7

SHARED = {"numClasses": CLASSES, "inChannels": 3}
DEEP = {"stemType": "deep", "stemWidth": 4}
# Fewer than 32 channels leave the global context less than 4 to normalize, which has nearly no gradient.
CASES = {
    "bottleneck": (
        3001,
        {"block": "bottleneck", "layers": [1, 1, 1, 1], "channels": [8, 8, 12, 16], "avgDown": False, "attnLayer": "se"},
        lambda: {"block": Bottleneck, "block_args": {"attn_layer": "se"}},
    ),
    "bottleneck-d": (
        3002,
        {"block": "bottleneck", "layers": [1, 2, 1, 1], "channels": [8, 8, 12, 16], "avgDown": True, "attnLayer": "eca", **DEEP},
        lambda: {"block": Bottleneck, "block_args": {"attn_layer": "eca"}},
    ),
    "basic-gca": (
        3003,
        {"block": "basic", "layers": [2, 1, 1, 1], "channels": [32, 32, 40, 48], "avgDown": True, "attnLayer": "gca", **DEEP},
        lambda: {"block": BasicBlock, "block_args": {"attn_layer": "gca"}},
    ),
    "sk-bottleneck": (
        3004,
        {"block": "skBottleneck", "layers": [1, 1, 1, 1], "channels": [8, 16, 24, 32], "avgDown": False,
         "skRdRatio": 1 / 16, "skRdDivisor": 8, "skSplitInput": True, **DEEP},
        lambda: {"block": SelectiveKernelBottleneck, "block_args": {"sk_kwargs": {"split_input": True}}},
    ),
    "resnest-groups": (
        3005,
        {"block": "resnest", "layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "avgDown": True, "cardinality": 2,
         "baseWidth": 48, "radix": 2, "avd": True, "avdFirst": True, **DEEP},
        lambda: {"block": ResNestBottleneck, "cardinality": 2, "base_width": 48,
                 "block_args": {"radix": 2, "avd": True, "avd_first": True}},
    ),
}


def fill(key, shape, seed):
    """Values of a state-dict entry by the formula mulberry32-v1, rounded to float32."""
    mask = 0xFFFFFFFF
    state = 0x811C9DC5
    for byte in key.encode():
        state = (state ^ byte) * 0x01000193 & mask
    state = (state + seed * 0x9E3779B9) & mask
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        t = np.uint32(state) + np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5)
        t = (t ^ (t >> np.uint32(15))) * (t | np.uint32(1))
        t = t ^ (t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61)))
        t = t ^ (t >> np.uint32(14))
    u = t.astype(np.float64) / 2**32
    r = 2 * u - 1
    if key.endswith("running_var"):
        values = 0.5 + u
    elif key.endswith("running_mean"):
        values = 0.2 * r
    elif key.endswith("num_batches_tracked"):
        values = 0 * r
    elif len(shape) <= 1:
        values = 0.2 * r + (1 if key.endswith(".weight") else 0)
    else:
        values = r * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def build(options, kind, seed, dtype):
    model = ResNet(
        layers=options["layers"],
        channels=options["channels"],
        stem_type=options.get("stemType", ""),
        stem_width=options.get("stemWidth", 64),
        avg_down=options["avgDown"],
        num_classes=options["numClasses"],
        **kind(),
    )
    state = {key: fill(key, tuple(value.shape), seed).to(value.dtype) for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return model.to(dtype).eval()


def evaluate(model, x, cotangent):
    """Output, gradients and intermediate features."""
    maps = {}
    for name, module in [("stem", model.maxpool)] + [(f"stage{s}", getattr(model, f"layer{s}")) for s in (1, 2, 3, 4)]:
        module.register_forward_hook(lambda _m, _i, output, name=name: maps.update({name: output.detach()}))
    x = x.clone().requires_grad_()
    y = model(x)
    (y * cotangent).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return y.detach(), x.grad, gradients, maps


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    folder = parser.parse_args().out
    deterministic()
    for name, (seed, given, kind) in CASES.items():
        options = {"model": f"tiny-{name}", **given, **SHARED}
        numbers = Numbers(seed)
        x = numbers.normal((BATCH, 3, HEIGHT, WIDTH))
        cotangent = numbers.normal((BATCH, CLASSES))
        model = build(options, kind, seed, torch.float64)
        y, slope, gradients, maps = evaluate(model, x, cotangent)
        single = evaluate(build(options, kind, seed, torch.float32), x.float(), cotangent.float())
        scale = max(gradient.abs().max().item() for gradient in gradients.values())
        zero = [key for key, gradient in gradients.items() if gradient.abs().max().item() < 1e-12 * scale]
        error = max(worst(single[2][key], gradients[key]) for key in gradients if key not in zero)
        case = {
            "mechanism": "model",
            "options": options,
            "mode": "eval",
            "inputs": ["x"],
            "outputs": ["y"],
            "source": f"timm {timm.__version__}, torch {torch.__version__}, scripts/pytorch/networks.py",
            "fp32Error": {"output": worst(single[0], y), "gradInput": worst(single[1], slope), "gradParam": error},
            "zeroGrads": zero,
            "fill": {"algorithm": "mulberry32-v1", "seed": seed},
            "parameterCount": sum(parameter.numel() for parameter in model.parameters()),
            "stateDict": [
                [key, list(value.shape), str(value.dtype).replace("torch.", "").replace("float64", "float32"),
                 gradients[key].norm().item() if key in gradients else None]
                for key, value in model.state_dict().items()
            ],
        }
        tensors = {
            "input.x": x, "output.y": y, "cotangent.y": cotangent, "gradInput.x": slope,
            **{f"map.{key}": value for key, value in maps.items()},
        }
        write(folder / f"timm-{name}.safetensors", {key: float32(value) for key, value in tensors.items()}, "case", case)


main()
