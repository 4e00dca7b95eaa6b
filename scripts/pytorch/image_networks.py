"""Small networks of images with the names and layout of public PyTorch code, with an input and what they make of it in float64, for the
tests of loading: dictionaries of a state dict and tensors, written by `torch.save`. Weights are stored in float16, of which they are.

mobilenet-v2.pth  torchvision's MobileNetV2 with two stages: `state_dict`, `input`, `logits`
mobilenet-v3.pth  torchvision's MobileNetV3 with four blocks: `state_dict`, `input`, `logits`
u-net.pth         U-Nets with the names, the order of channels and the padding of milesial/Pytorch-UNet, of depth 2, with transposed
                  convolutions and bilinear: `transposed`, `bilinear` (state dicts), `input`, `transposed_logits`, `bilinear_logits`

`--full FOLDER` writes the state dicts of torchvision's own three MobileNets there instead, in float32, with input and logits.
"""

from functools import partial

import torch
import torchvision
from fixture import Numbers, weights_command
from torch import nn
from torch.nn import functional
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3


def filled(module, numbers, dtype):
    """Values of every tensor drawn anew, so that none is at a value that hides a mistake, such as 0 or 1."""
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            value.fill_(7)
            continue
        if name.endswith("running_var"):
            drawn = numbers.uniform(value.shape, 0.5, 1.5)
        elif value.ndim > 1:
            drawn = numbers.normal(value.shape, (2 / value[0].numel()) ** 0.5)
        else:
            drawn = numbers.normal(value.shape, 0.2, 1.0 if name.endswith("weight") else 0.0)
        value.copy_(drawn.to(dtype))
    return module.double().eval()


def saved(module, dtype):
    return {
        name: value.to(dtype) if value.is_floating_point() else value.clone()
        for name, value in module.state_dict().items()
    }


def classifier(network, numbers, shape, dtype=torch.float16):
    filled(network, numbers, dtype)
    x = numbers.normal(shape)
    return {"state_dict": saved(network, dtype), "input": x.float(), "logits": network(x).float()}


def mobilenet_v2(numbers):
    stages = [[1, 8, 1, 1], [6, 8, 2, 2]]
    network = torchvision.models.MobileNetV2(
        num_classes=5, width_mult=0.5, inverted_residual_setting=stages
    )
    return classifier(network, numbers, (2, 3, 33, 40))


def mobilenet_v3(numbers):
    block = partial(InvertedResidualConfig, dilation=1, width_mult=1.0)
    blocks = [
        block(8, 3, 8, 8, True, "RE", 2),
        block(8, 3, 24, 16, False, "RE", 2),
        block(16, 5, 72, 16, True, "HS", 1),
        block(16, 5, 40, 16, True, "HS", 1),
    ]
    network = MobileNetV3(inverted_residual_setting=blocks, last_channel=24, num_classes=5)
    return classifier(network, numbers, (2, 3, 33, 40))


def double_conv(inputs, hidden, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 3, padding=1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def named(**modules):
    return nn.ModuleDict(modules)


class UNet(nn.Module):
    def __init__(self, depth, base, channels, classes, bilinear):
        super().__init__()
        self.depth = depth
        factor = 2 if bilinear else 1
        widths = [base * 2**level for level in range(depth + 1)]
        self.inc = named(double_conv=double_conv(channels, base, base))
        for level in range(1, depth + 1):
            width = widths[level] // (factor if level == depth else 1)
            down = named(double_conv=double_conv(widths[level - 1], width, width))
            self.add_module(f"down{level}", named(maxpool_conv=nn.ModuleList([nn.MaxPool2d(2), down])))
        for step in range(1, depth + 1):
            width = widths[depth - step]
            up = (
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
                if bilinear
                else nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            )
            out = width // factor if step < depth else width
            conv = named(double_conv=double_conv(2 * width, width, out))
            self.add_module(f"up{step}", named(up=up, conv=conv))
        self.outc = named(conv=nn.Conv2d(base, classes, 1))

    def forward(self, x):
        levels = [self.inc["double_conv"](x)]
        for level in range(1, self.depth + 1):
            pool, conv = getattr(self, f"down{level}")["maxpool_conv"]
            levels.append(conv["double_conv"](pool(levels[-1])))
        x = levels.pop()
        for step in range(1, self.depth + 1):
            block = getattr(self, f"up{step}")
            skip = levels.pop()
            x = block["up"](x)
            rows, columns = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = functional.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
            x = block["conv"]["double_conv"](torch.cat([skip, x], dim=1))
        return self.outc["conv"](x)


def u_net(numbers):
    x = numbers.normal((1, 2, 14, 19))
    out = {"input": x.float()}
    for name, bilinear in (("transposed", False), ("bilinear", True)):
        network = filled(UNet(2, 4, 2, 3, bilinear), numbers, torch.float16)
        out[name] = saved(network, torch.float16)
        out[f"{name}_logits"] = network(x).float()
    return out


def full(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large")):
        network = torchvision.models.get_model(name)
        count = sum(parameter.numel() for parameter in network.parameters())
        case = classifier(network, Numbers(seed), (1, 3, 128, 128), torch.float32)
        torch.save(case, folder / f"{name}.pth")
        print(f"{name}: {count:,} parameters, logits {case['logits'].std():.3g}")


if __name__ == "__main__":
    weights_command(__doc__, (mobilenet_v2, mobilenet_v3, u_net), "--full", full)
