"""Checks exported ONNX files with the ONNX project's own checker: structure, types, inferred shapes.

Operators outside the standard domain fail too: an exported file must run everywhere.

Usage: check_onnx.py PATH...   (exit status 0 if every file passes, 1 if one fails, 2 on wrong usage)
"""

import argparse
import sys

import onnx

STANDARD_DOMAINS = {"", "ai.onnx"}


def check(path):
    """Raises if the file is no valid model of standard operators; returns a line about it."""
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    foreign = {opset.domain for opset in model.opset_import} - STANDARD_DOMAINS
    if foreign:
        raise ValueError(f"operator sets outside the standard: {', '.join(sorted(foreign))}")
    opset = next(opset.version for opset in model.opset_import)
    return f"ok: IR {model.ir_version}, opset {opset}, {len(model.graph.node)} nodes"


def main():
    parser = argparse.ArgumentParser(description="Checks exported ONNX files with onnx.checker (full check).")
    parser.add_argument("paths", nargs="+", metavar="PATH")
    failed = 0
    for path in parser.parse_args().paths:
        try:
            print(f"{path}: {check(path)}")
        # The checker reports through several unrelated exception types, some of them bare RuntimeErrors.
        except Exception as error:
            failed += 1
            print(f"{path}: FAILED: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
