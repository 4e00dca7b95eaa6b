"""Reference for training: a small SE-ResNet, trained by PyTorch in float64 on the CPU.

Network (CIFAR layout, images [N,3,16,16]): 3x3 convolution, BN, ReLU; three stages of basic blocks (widths 8, 16,
24; 2, 1, 1 blocks; strides 1, 2, 2), each conv3x3 - BN - ReLU - conv3x3 - BN - SE - add the shortcut - ReLU, the
shortcut a 1x1 convolution and BN where stride or width change; mean over all pixels; Linear. Convolutions have no
bias, except the two 1x1 convolutions of SE (Squeeze-and-Excitation, reduction 4, divisor 4, sigmoid).

Three runs from the same parameters and buffers, over the same batches:
  sgd       momentum 0.9, weight decay 5e-4 on every parameter, lr 0.05, mean cross-entropy, 20 steps
  nesterov  the same with Nesterov momentum, 5 steps
  adamw     lr 1e-3, weight decay 0.05 on every parameter, betas 0.9 and 0.999, eps 1e-8, label smoothing 0.1,
            class weights, gradient norm clipped at 1, 5 steps

Tensors (names in canonical camelCase; float32 unless said; rounding to float32 is the last operation):
  param.* buffer.*                before training (exact in float32)
  batch.x [K,B,3,16,16]           multiples of 1/128, so float32 loses nothing
  batch.y [K,B]                   int64
  batch.order [20]                int64; step s uses batch order[s]
  losses.sgd [20], losses.nesterov [5], losses.adamw [5]
                                  float64; each before that step's update, without weight decay
  gradParam.*                     first step's gradients of sgd and nesterov, without weight decay
  after1.param.* after1.buffer.* after5.param.* after5.buffer.*
                                  of the sgd run
  nesterov.after5.param.* adamw.after5.param.*
  adamw.gradNorm [P]              float64; norms of the first gradients, before clipping, in the order of
                                  case.parameters
  adamw.totalNorm [5]             float64; norm of the whole gradient at each step, before clipping
  adamw.classWeights [classes]

`__metadata__.case` is a JSON object: model, batchSize, variants (options of the runs), parameters and buffers
(names in order), torchNames (canonical name -> state-dict name), fp32Error (how far PyTorch's own float32 runs are
from float64), provenance.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fixture import Numbers, arguments, camel, deterministic, float32, provenance, worst, write

SEED = 19  # keeps the run away from the kinks of ReLU: see README.md
CLASSES, SIZE, BATCH, BATCHES, STEPS, SHORT = 6, 16, 8, 10, 20, 5
WIDTHS, BLOCKS, REDUCTION, DIVISOR = (8, 16, 24), (2, 1, 1), 4, 4
SGD = {"lr": 0.05, "momentum": 0.9, "weightDecay": 5e-4}
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weightDecay": 0.05}
LABEL_SMOOTHING, MAX_NORM = 0.1, 1.0
CLASS_WEIGHTS = [1.0, 0.5, 2.0, 1.5, 0.75, 1.25]


class SqueezeExcitation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        value = channels / REDUCTION
        hidden = max(DIVISOR, int(value + DIVISOR / 2) // DIVISOR * DIVISOR)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        z = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(z))))


class BasicBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = SqueezeExcitation(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.se(self.bn2(self.conv2(y))) + shortcut)


class SeResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs = WIDTHS[0]
        for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS)):
            layer = nn.Sequential()
            for index in range(blocks):
                layer.append(BasicBlock(inputs, width, 2 if stage > 0 and index == 0 else 1))
                inputs = width
            self.add_module(f"layer{stage + 1}", layer)
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def initial_state(numbers):
    """Every tensor differs from a neutral value, so that a swapped or forgotten one shows."""
    state = {}
    for name, tensor in SeResNet().state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        shape = tuple(tensor.shape)
        if name.endswith("running_mean"):
            state[name] = numbers.normal(shape, 0.1)
        elif name.endswith("running_var"):
            state[name] = numbers.uniform(shape, 0.5, 1.5)
        elif len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            state[name] = numbers.normal(shape, (2 / fan_in) ** 0.5)
        elif name.endswith("weight"):
            state[name] = numbers.uniform(shape, 0.8, 1.2)
        elif name.endswith("fc1.bias"):
            state[name] = numbers.uniform(shape, 0.0, 0.3)  # keeps SE's hidden units alive
        else:
            state[name] = numbers.normal(shape, 0.1)
    return state


def make_batches(numbers):
    """A pattern for each class under noise, in multiples of 1/128."""
    patterns = numbers.normal((CLASSES, 3, SIZE, SIZE), 0.6)
    y = numbers.integers((BATCHES, BATCH), CLASSES)
    x = patterns[y] + numbers.normal((BATCHES, BATCH, 3, SIZE, SIZE), 0.8)
    return torch.round(x * 128) / 128, y


def build(state, dtype):
    """The network with these parameters and buffers, in training mode (BN: momentum 0.1, eps 1e-5)."""
    model = SeResNet().to(dtype)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    return model.train()


def snapshot(model):
    return {
        "param": {camel(name): p.detach().clone() for name, p in model.named_parameters()},
        "buffer": {camel(name): b.clone() for name, b in model.named_buffers() if b.is_floating_point()},
    }


def train(variant, state, x, y, order, dtype):
    """Runs one variant: losses, first gradients, gradient norms, states after steps 1 and 5."""
    model = build(state, dtype)
    loss_options = {}
    if variant == "adamw":
        optimizer = torch.optim.AdamW(
            model.parameters(),
            ADAMW["lr"],
            tuple(ADAMW["betas"]),
            ADAMW["eps"],
            ADAMW["weightDecay"],
            foreach=False,
        )
        loss_options = {
            "label_smoothing": LABEL_SMOOTHING,
            "weight": torch.tensor(CLASS_WEIGHTS, dtype=dtype),
        }
    else:
        optimizer = torch.optim.SGD(
            model.parameters(),
            SGD["lr"],
            SGD["momentum"],
            weight_decay=SGD["weightDecay"],
            nesterov=variant == "nesterov",
            foreach=False,
        )
    run = {"losses": [], "totalNorm": [], "after": {}}
    for step in range(STEPS if variant == "sgd" else SHORT):
        batch = order[step]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[batch].to(dtype)), y[batch], **loss_options)
        loss.backward()
        if step == 0:
            run["grad"] = {camel(name): p.grad.clone() for name, p in model.named_parameters()}
        if variant == "adamw":
            run["totalNorm"].append(nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM).item())
        optimizer.step()
        run["losses"].append(loss.item())
        if step + 1 in (1, SHORT):
            run["after"][step + 1] = snapshot(model)
    return run


def deviation(run, reference):
    """How far PyTorch's own float32 run is from float64."""
    losses = [abs(a - b) / abs(b) for a, b in zip(run["losses"], reference["losses"])]
    result = {
        "losses": losses,
        "gradParam": max(worst(g, reference["grad"][n]) for n, g in run["grad"].items()),
    }
    for step, state in run["after"].items():
        for kind, tensors in state.items():
            expected = reference["after"][step][kind]
            result[f"after{step}.{kind}"] = max(worst(t, expected[n]) for n, t in tensors.items())
    return result


def main():
    options = arguments("Writes the training reference.", "se-resnet-training.safetensors")
    deterministic()
    numbers = Numbers(SEED)
    state = initial_state(numbers)
    x, y = make_batches(numbers)
    order = np.concatenate([np.arange(BATCHES), numbers.permutation(BATCHES)]).astype(np.int64)

    runs = {v: train(v, state, x, y, order, torch.float64) for v in ("sgd", "nesterov", "adamw")}
    fp32 = {v: deviation(train(v, state, x, y, order, torch.float32), run) for v, run in runs.items()}

    tensors = {"batch.x": float32(x), "batch.y": y.numpy(), "batch.order": order}

    def add(prefix, named):
        tensors.update({f"{prefix}.{name}": float32(tensor) for name, tensor in named.items()})

    initial = snapshot(build(state, torch.float64))
    add("param", initial["param"])
    add("buffer", initial["buffer"])
    sgd, nesterov, adamw = runs["sgd"], runs["nesterov"], runs["adamw"]
    add("gradParam", sgd["grad"])
    for step, after in sgd["after"].items():
        for kind, named in after.items():
            add(f"after{step}.{kind}", named)
    add("nesterov.after5.param", nesterov["after"][SHORT]["param"])
    add("adamw.after5.param", adamw["after"][SHORT]["param"])
    for variant, run in runs.items():
        tensors[f"losses.{variant}"] = np.array(run["losses"])
    tensors["adamw.gradNorm"] = np.array([g.norm().item() for g in adamw["grad"].values()])
    tensors["adamw.totalNorm"] = np.array(adamw["totalNorm"])
    tensors["adamw.classWeights"] = np.array(CLASS_WEIGHTS, dtype=np.float32)

    torch_names = {camel(name): name for name in state}
    metadata = {
        "model": {
            "name": "se-resnet",
            "stem": "3x3",
            "inputSize": [3, SIZE, SIZE],
            "widths": WIDTHS,
            "blocks": BLOCKS,
            "strides": [1, 2, 2],
            "classes": CLASSES,
            "se": {"reduction": REDUCTION, "reductionDivisor": DIVISOR},
            "batchNorm": {"momentum": 0.1, "eps": 1e-5},
        },
        "batchSize": BATCH,
        "variants": {
            "sgd": {"steps": STEPS, **SGD, "nesterov": False, "dampening": 0, "loss": "crossEntropy"},
            "nesterov": {"steps": SHORT, **SGD, "nesterov": True, "dampening": 0, "loss": "crossEntropy"},
            "adamw": {
                "steps": SHORT,
                **ADAMW,
                "loss": "crossEntropy",
                "labelSmoothing": LABEL_SMOOTHING,
                "classWeights": CLASS_WEIGHTS,
                "clipGradNorm": MAX_NORM,
                "clipGradNormEps": 1e-6,
            },
        },
        "parameters": list(initial["param"]),
        "buffers": list(initial["buffer"]),
        "torchNames": torch_names,
        "fp32Error": fp32,
        "provenance": provenance("se_resnet_training.py", options.date, SEED),
    }
    write(options.out, tensors, "case", metadata)

    for variant, run in runs.items():
        print(variant, "losses", " ".join(f"{loss:.6f}" for loss in run["losses"]))
        print("  float32 error, losses", " ".join(f"{e:.1e}" for e in fp32[variant]["losses"]))
        print("  ", {k: f"{e:.1e}" for k, e in fp32[variant].items() if k != "losses"})
    print("adamw total norm", adamw["totalNorm"])


if __name__ == "__main__":
    main()
