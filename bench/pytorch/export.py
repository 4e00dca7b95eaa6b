"""Exports a network of the benchmark with PyTorch's own exporter: `export.py NETWORK WEIGHTS INPUTS MODEL.onnx`. The exporter of today
needs the package onnxscript; without it the one of TorchScript is taken."""

import importlib.util
import sys

import torch
from networks import network
from safetensors.torch import load_file


def main():
    name, weights, inputs, path = sys.argv[1:]
    model = network(name, weights).eval()
    today = importlib.util.find_spec("onnxscript") is not None
    options = {"external_data": False} if today else {}
    torch.onnx.export(
        model,
        (load_file(inputs)["x"],),
        path,
        input_names=["x"],
        output_names=["y"],
        dynamo=today,
        **options,
    )


if __name__ == "__main__":
    main()
