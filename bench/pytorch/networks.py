"""The networks of bench/suite/networks.ts in PyTorch: timm's and torchvision's where their layout is that of fovea, else written here.
Weights are those that fovea saved under PyTorch's names, loaded strictly."""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

# The U-Net of the tests' fixtures has the names of milesial/Pytorch-UNet.
sys.path.append(str(Path(__file__).parents[2] / "scripts" / "pytorch"))


class SqueezeExcitation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = max(8, int(channels / 16 + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class BasicBlock(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = SqueezeExcitation(planes)
        self.downsample = None
        if stride != 1 or inputs != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class SmallResNet(nn.Module):
    """SE-ResNet-20 for images of 32x32 pixels; He et al. 2016, section 4.2, with projections."""

    def __init__(self, blocks=3, widths=(16, 32, 64), classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        last = widths[0]
        for stage, width in enumerate(widths):
            layers = []
            for block in range(blocks):
                layers.append(BasicBlock(last, width, 2 if stage > 0 and block == 0 else 1))
                last = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(last, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def cbam_resnet_18():
    from timm.models.resnet import BasicBlock as TimmBlock
    from timm.models.resnet import ResNet

    return ResNet(TimmBlock, (2, 2, 2, 2), block_args={"attn_layer": "cbam"})


def mobilenet_v3_small():
    import torchvision

    return torchvision.models.mobilenet_v3_small(dropout=0.0)


def u_net():
    from image_networks import UNet

    return UNet(depth=4, base=64, channels=3, classes=2, bilinear=False)


def timm_model(name, **options):
    def build():
        import timm

        return timm.create_model(name, **options)

    return build


NETWORKS = {
    "se-resnet-20": SmallResNet,
    "cbam-resnet-18": cbam_resnet_18,
    "resnest-14d": timm_model("resnest14d"),
    "mobilenet-v3-small": mobilenet_v3_small,
    "vit-tiny-patch4-32": timm_model("vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10),
    "vit-tiny-patch16-224": timm_model("vit_tiny_patch16_224"),
    "u-net": u_net,
    "se-resnet-50": timm_model("seresnet50"),
}


def network(name, weights):
    """A network with the weights of a file."""
    model = NETWORKS[name]()
    model.load_state_dict(load_file(weights))
    return model
