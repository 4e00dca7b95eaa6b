"""Reference for operators: outputs and gradients by PyTorch in float64 on the CPU, for small shapes.

Tensors of a case (float32 unless said; inputs and cotangents are exact in float32, the rest is rounded once):
  <case>.input.<i>       inputs in the order that the metadata names them; integer inputs are int64
  <case>.output          the output
  <case>.cotangent       dL/d output, where L = sum(cotangent * output)
  <case>.gradInput.<i>   dL/d input i; absent where none is defined or wanted (indices, targets, class weights)
  <case>.buffer.<name>, <case>.bufferAfter.<name>   running statistics of batch normalisation, before and after

`__metadata__.operators` is a JSON object { cases, provenance }; cases maps a case's name to
{ operator, inputs: [names], options, fp32Error: { output, gradInput } }. fp32Error is what PyTorch's own float32
run deviates: max|a-b| / max|b| of the worst tensor.
"""

import math

import torch
import torch.nn.functional as F

from fixture import Numbers, arguments, camel, deterministic, float32, provenance, worst, write

SEED = 7
CASES = {}


def case(name, operator, options, inputs, function, buffers=None, constant=()):
    """Declares a case. `inputs` maps name -> tensor (or None); inputs named in `constant` get no gradient."""
    if name in CASES:
        raise ValueError(f"{name}: declared twice")
    CASES[name] = (operator, options, inputs, function, buffers or {}, constant)


def evaluate(inputs, function, buffers, cotangent, constant, dtype):
    def cast(t):
        return t.to(dtype).clone() if t.is_floating_point() else t

    values = {
        name: cast(t).requires_grad_(t.is_floating_point() and name not in constant)
        for name, t in inputs.items()
    }
    state = {name: cast(t) for name, t in buffers.items()}
    output = function(*values.values(), **state)
    if cotangent is not None:
        output.backward(cotangent.to(dtype))
    return output.detach(), {i: t.grad for i, t in enumerate(values.values()) if t.requires_grad}, state


def declare(n):
    def convolution(name, operator, function, x, weight, bias, **options):
        torch_options = {k: options[camel(k)] for k in ("output_padding",) if camel(k) in options}
        torch_options.update({k: v for k, v in options.items() if k != "outputPadding"})
        inputs = {"x": n.normal(x), "weight": n.normal(weight, 0.5)}
        if bias:
            inputs["bias"] = n.normal((bias,))
        case(name, operator, options, inputs, lambda *t: function(*t, **torch_options))

    convolution(
        "conv2d", "conv2d", F.conv2d, (2, 4, 9, 8), (6, 2, 3, 2), 6, stride=2, padding=1, dilation=2, groups=2
    )
    convolution(
        "conv2dAsymmetric", "conv2d", F.conv2d, (2, 3, 7, 6), (4, 3, 3, 2), 4, stride=[2, 1], padding=[1, 0]
    )
    convolution(
        "conv2dDepthwise", "conv2d", F.conv2d, (2, 6, 7, 6), (6, 1, 3, 3), 6, stride=1, padding=1, groups=6
    )
    convolution(
        "conv2dDepthwiseStride",
        "conv2d",
        F.conv2d,
        (2, 3, 8, 7),
        (6, 1, 3, 3),
        0,
        stride=2,
        padding=1,
        groups=3,
    )
    convolution("conv1d", "conv1d", F.conv1d, (2, 3, 11), (4, 3, 3), 4, stride=2, padding=2, dilation=2)
    convolution(
        "convTranspose2d",
        "convTranspose2d",
        F.conv_transpose2d,
        (2, 4, 4, 5),
        (4, 3, 3, 3),
        6,
        stride=2,
        padding=1,
        outputPadding=1,
        groups=2,
    )

    for training in (True, False):
        case(
            "batchNormTrain" if training else "batchNormEval",
            "batchNorm",
            {"training": training, "momentum": 0.1, "eps": 1e-5},
            {
                "x": n.normal((3, 4, 3, 2), 1.5, 0.5),
                "weight": n.uniform((4,), 0.5, 1.5),
                "bias": n.normal((4,)),
            },
            lambda x, w, b, runningMean, runningVar, training=training: F.batch_norm(
                x, runningMean, runningVar, w, b, training, 0.1, 1e-5
            ),
            {"runningMean": n.normal((4,), 0.5), "runningVar": n.uniform((4,), 0.5, 2.0)},
        )
    case(
        "layerNorm",
        "layerNorm",
        {"normalizedShape": [3, 4], "eps": 1e-5},
        {
            "x": n.normal((2, 5, 3, 4), 2.0, 1.0),
            "weight": n.uniform((3, 4), 0.5, 1.5),
            "bias": n.normal((3, 4)),
        },
        lambda x, w, b: F.layer_norm(x, (3, 4), w, b, 1e-5),
    )

    case(
        "maxPool2d",
        "maxPool2d",
        {"kernelSize": 3, "stride": 2, "padding": 1, "ceilMode": False},
        {"x": n.distinct((2, 3, 8, 7), 1 / 64)},
        lambda x: F.max_pool2d(x, 3, 2, 1),
    )
    case(
        "maxPool2dCeil",
        "maxPool2d",
        {"kernelSize": 3, "stride": 2, "padding": 0, "ceilMode": True},
        {"x": n.distinct((2, 3, 8, 7), 1 / 64)},
        lambda x: F.max_pool2d(x, 3, 2, 0, ceil_mode=True),
    )
    for ceil in (False, True):
        for include in (True, False):
            case(
                f"avgPool2d{'Ceil' if ceil else ''}{'Include' if include else 'Exclude'}Pad",
                "avgPool2d",
                {
                    "kernelSize": [3, 2],
                    "stride": 2,
                    "padding": 1,
                    "ceilMode": ceil,
                    "countIncludePad": include,
                },
                {"x": n.normal((2, 2, 6, 7))},
                lambda x, ceil=ceil, include=include: F.avg_pool2d(x, (3, 2), 2, 1, ceil, include),
            )
    case(
        "adaptiveAvgPool1d",
        "adaptiveAvgPool1d",
        {"outputSize": [3]},
        {"x": n.normal((2, 3, 5))},
        lambda x: F.adaptive_avg_pool1d(x, 3),
    )
    case(
        "adaptiveAvgPool2d",
        "adaptiveAvgPool2d",
        {"outputSize": [3, 8]},
        {"x": n.normal((2, 2, 7, 9))},
        lambda x: F.adaptive_avg_pool2d(x, (3, 8)),
    )

    case("softmax", "softmax", {"axis": 1}, {"x": n.normal((2, 5, 4), 2.0)}, lambda x: F.softmax(x, 1))
    case(
        "logSoftmax",
        "logSoftmax",
        {"axis": 1},
        {"x": n.normal((2, 5, 4), 2.0)},
        lambda x: F.log_softmax(x, 1),
    )
    case("gelu", "gelu", {"approximate": "none"}, {"x": n.normal((4, 10), 2.0)}, F.gelu)
    # 0.25 apart and off the kinks at -3 and 3; both flat sides are reached.
    case("hardSigmoid", "hardSigmoid", {}, {"x": n.distinct((4, 10), 0.25)}, F.hardsigmoid)
    case("silu", "silu", {}, {"x": n.normal((4, 10), 3.0)}, F.silu)
    case("softplus", "softplus", {"beta": 1, "threshold": 20}, {"x": n.distinct((4, 10), 1.25)}, F.softplus)

    # Whole numbers from 0 to 2: most maxima are shared, and amax shares the gradient equally.
    case(
        "amaxTies",
        "amax",
        {"axes": [1, 2], "keepDims": False},
        {"x": n.integers((3, 4, 3, 2), 3).double()},
        lambda x: torch.amax(x, (1, 2)),
    )
    case(
        "aminTies",
        "amin",
        {"axes": [1], "keepDims": True},
        {"x": n.integers((3, 4, 5), 3).double()},
        lambda x: torch.amin(x, 1, True),
    )

    weights = n.uniform((5,), 0.5, 2.0)
    for name, x, target, reduction in (
        ("crossEntropy", (6, 5), (6,), "mean"),
        ("crossEntropySpatial", (2, 5, 2, 3), (2, 2, 3), "mean"),
        ("crossEntropyNone", (6, 5), (6,), "none"),
    ):
        case(
            name,
            "crossEntropy",
            {"labelSmoothing": 0.1, "reduction": reduction},
            {"x": n.normal(x, 2.0), "target": n.integers(target, 5), "classWeights": weights},
            lambda x, y, w, reduction=reduction: F.cross_entropy(
                x, y, w, label_smoothing=0.1, reduction=reduction
            ),
            constant=("classWeights",),
        )
    case(
        "crossEntropyPlain",
        "crossEntropy",
        {"labelSmoothing": 0, "reduction": "mean"},
        {"x": n.normal((6, 5), 2.0), "target": n.integers((6,), 5)},
        F.cross_entropy,
    )
    case(
        "bceWithLogits",
        "binaryCrossEntropyWithLogits",
        {"reduction": "mean"},
        {
            "x": n.normal((6, 4), 3.0),
            "target": n.integers((6, 4), 2).double(),
            "posWeight": n.uniform((4,), 0.5, 3.0),
        },
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y, pos_weight=w),
        constant=("target", "posWeight"),
    )
    case(
        "bceWithLogitsLarge",
        "binaryCrossEntropyWithLogits",
        {"reduction": "none"},
        {"x": n.distinct((4, 5), 10.0), "target": n.uniform((4, 5), 0.0, 1.0)},
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none"),
        constant=("target",),
    )
    case("mse", "mse", {"reduction": "mean"}, {"x": n.normal((4, 5)), "target": n.normal((4, 5))}, F.mse_loss)

    case(
        "linear",
        "linear",
        {},
        {"x": n.normal((2, 3, 5)), "weight": n.normal((4, 5)), "bias": n.normal((4,))},
        F.linear,
    )
    # Seven rows out of four: rows repeat, so their gradients add up.
    case(
        "embedding",
        "embedding",
        {},
        {"indices": n.integers((7,), 4), "weight": n.normal((4, 3))},
        F.embedding,
    )
    case(
        "indexSelect",
        "indexSelect",
        {"axis": 1},
        {"x": n.normal((2, 4, 3)), "indices": n.integers((6,), 4)},
        lambda x, i: torch.index_select(x, 1, i),
    )
    case(
        "gatherElements",
        "gatherElements",
        {"axis": 1},
        {"x": n.normal((2, 4, 3)), "indices": n.integers((2, 6, 3), 4)},
        lambda x, i: torch.gather(x, 1, i),
    )
    case("cumSum", "cumSum", {"axis": 1}, {"x": n.normal((2, 6, 3))}, lambda x: torch.cumsum(x, 1))
    for correction, name in ((0, "varBiased"), (1, "varUnbiased")):
        case(
            name,
            "var",
            {"axes": [0, 2], "correction": correction, "keepDims": True},
            {"x": n.normal((3, 4, 5), 1.5, 2.0)},
            lambda x, correction=correction: torch.var(x, (0, 2), correction=correction, keepdim=True),
        )
    for suffix, x, size in (("Up", (2, 2, 3, 4), [5, 9]), ("Down", (2, 2, 8, 7), [3, 4])):
        for align in (True, False):
            case(
                f"interpolate{suffix}{'Aligned' if align else ''}",
                "interpolate",
                {"size": size, "mode": "bilinear", "alignCorners": align},
                {"x": n.normal(x)},
                lambda x, size=size, align=align: F.interpolate(
                    x, size=size, mode="bilinear", align_corners=align
                ),
            )


def main():
    options = arguments("Writes the operator reference.", "operators.safetensors")
    deterministic()
    numbers = Numbers(SEED)
    declare(numbers)

    tensors, cases = {}, {}
    for name, (operator, case_options, inputs, function, buffers, constant) in CASES.items():
        shape = tuple(evaluate(inputs, function, buffers, None, constant, torch.float64)[0].shape)
        cotangent = numbers.normal(shape)
        call = (inputs, function, buffers, cotangent, constant)
        output, grads, state = evaluate(*call, torch.float64)
        output32, grads32, _ = evaluate(*call, torch.float32)

        for i, tensor in enumerate(inputs.values()):
            tensors[f"{name}.input.{i}"] = float32(tensor) if tensor.is_floating_point() else tensor.numpy()
        tensors[f"{name}.output"] = float32(output)
        tensors[f"{name}.cotangent"] = float32(cotangent)
        for i, grad in grads.items():
            tensors[f"{name}.gradInput.{i}"] = float32(grad)
        for key, before in buffers.items():
            tensors[f"{name}.buffer.{key}"] = float32(before)
            tensors[f"{name}.bufferAfter.{key}"] = float32(state[key])
        error = {
            "output": worst(output32, output),
            "gradInput": max(worst(grads32[i], g) for i, g in grads.items()),
        }
        cases[name] = {
            "operator": operator,
            "inputs": list(inputs),
            "options": case_options,
            "fp32Error": error,
        }
        if math.isnan(sum(error.values())) or max(error.values()) > 1e-5:
            raise ValueError(f"{name}: float32 deviates by {error}; choose better conditioned inputs")
    metadata = {"cases": cases, "provenance": provenance("operators.py", options.date, SEED)}
    write(options.out, tensors, "operators", metadata)
    for name in CASES:
        error = cases[name]["fp32Error"]
        print(f"{name:28} output {error['output']:.1e}  gradInput {error['gradInput']:.1e}")


if __name__ == "__main__":
    main()
