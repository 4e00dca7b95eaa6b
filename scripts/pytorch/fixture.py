"""What the reference scripts share: reproducible numbers, canonical names, writing a fixture."""

import argparse
import datetime
import json
import platform
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "pytorch"


def arguments(description, file_name):
    """The options common to all scripts: where to write, and the date of the provenance."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=FIXTURES / file_name)
    parser.add_argument(
        "--date", default=datetime.date.today().isoformat(), help="YYYY-MM-DD, for the provenance"
    )
    return parser.parse_args()


def deterministic():
    """One thread and deterministic kernels: the same machine gives the same bytes again."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def weights_command(description, makers, option, instead):
    """The command of a script of weights: writes what each maker makes of numbers of its own to a file of its name; with `option FOLDER`
    does something else with that folder."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES / "weights")
    parser.add_argument(option, dest="instead", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    deterministic()
    torch.set_grad_enabled(False)
    if options.instead:
        instead(options.instead)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for seed, make in enumerate(makers):
        path = options.out / f"{make.__name__.replace('_', '-')}.pth"
        torch.save(make(Numbers(seed)), path)
        path.chmod(0o644)
        print(f"{path}: {path.stat().st_size:,} bytes")


def provenance(script, date, seed):
    """Where the numbers come from."""
    return {
        "script": f"scripts/pytorch/{script}",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": "cpu",
        "computedIn": "float64",
        "seed": seed,
        "date": date,
    }


class Numbers:
    """Seeded numbers that float32 holds exactly. NumPy's RandomState is frozen: its stream never changes."""

    def __init__(self, seed):
        self.state = np.random.RandomState(seed)

    def normal(self, shape, scale=1.0, mean=0.0):
        return exact(mean + scale * self.state.standard_normal(shape))

    def uniform(self, shape, low, high):
        return exact(self.state.uniform(low, high, shape))

    def integers(self, shape, high):
        return torch.from_numpy(self.state.randint(0, high, shape).astype(np.int64))

    def distinct(self, shape, step):
        """A shuffled arithmetic sequence around zero: any two values differ by at least `step`."""
        count = int(np.prod(shape))
        values = (self.state.permutation(count) - (count - 1) / 2) * step
        return exact(values.reshape(shape))

    def permutation(self, count):
        return self.state.permutation(count).astype(np.int64)


def exact(array):
    """Rounds to float32 and returns the rounded values as a float64 tensor."""
    return torch.from_numpy(np.asarray(array, dtype=np.float64).astype(np.float32).astype(np.float64))


def camel(name):
    """`layer1.0.running_mean` -> `layer1.0.runningMean`."""
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def float32(tensor):
    return np.array(tensor.detach().to(torch.float32).numpy(), order="C")


def worst(actual, expected):
    """Largest difference relative to the largest magnitude (absolute where that is 0)."""
    difference = (actual.detach().double() - expected.detach().double()).abs().max().item()
    scale = expected.detach().double().abs().max().item()
    return difference / scale if scale > 0 else difference


def write(path, tensors, key, metadata):
    """Writes one safetensors file whose `__metadata__` has the single JSON entry `key`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name}: not finite")
    save_file(tensors, str(path), metadata={key: json.dumps(metadata)})
    path.chmod(0o644)
    print(f"{path}: {len(tensors)} tensors, {path.stat().st_size:,} bytes")
