"""PyTorch as a contestant of `npm run bench`: reads a request a line from standard input, answers a line on standard output; the
protocol is in bench/suite/protocol.ts. The argument says how it computes: `eager`, `channels-last` (eager, with the memory format that
its convolutions like) or `compile` (torch.compile)."""

import importlib
import importlib.util
import json
import os
import sys
import tempfile
import time
import traceback

MARK = "@answer "

# Loaded before the greeting, so that they count as what the process holds anyway.
LIBRARIES = ("torch", "torch._dynamo", "safetensors.torch", "timm", "torchvision")


def open_channel():
    """What libraries print must not be taken for answers."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def milliseconds_since(start):
    return (time.perf_counter() - start) * 1000


class Work:
    """A network's forward pass or training step."""

    def __init__(self, mode, request):
        import torch
        from networks import network
        from safetensors.torch import load_file

        torch.set_num_threads(request["threads"])
        work, files = request["work"], request["files"]
        self.torch = torch
        self.training = work["pass"] == "training"
        model = network(work["network"], files["weights"]).train(self.training)
        inputs = load_file(files["inputs"])
        self.x, self.y = inputs["x"], inputs["y"]
        if mode == "channels-last":
            model = model.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.parameters = list(model.parameters())
        start = time.perf_counter()
        self.model = torch.compile(model) if mode == "compile" else model
        if self.training:
            options = request["optimizer"]
            # The fused form is PyTorch's fastest on the CPU.
            self.optimizer = torch.optim.SGD(
                self.parameters,
                lr=options["learningRate"],
                momentum=options["momentum"],
                weight_decay=options["weightDecay"],
                fused=True,
            )
        self.facts = self.first(files["results"])
        self.facts["first"] = milliseconds_since(start)

    def first(self, results):
        """Does it once and keeps what the contestants are compared by."""
        torch = self.torch
        if self.training:
            loss = self.step()
            norms = [parameter.grad.double().norm() for parameter in self.parameters]
            return {"loss": loss, "gradientNorm": torch.stack(norms).norm().item()}
        from safetensors.torch import save_file

        save_file({"y": self.predict().float().contiguous()}, results)
        return {}

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self):
        with self.torch.inference_mode():
            return self.model(self.x)

    def run(self, calls):
        call = self.step if self.training else self.predict
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return {"milliseconds": milliseconds_since(start) / calls}


def carry_out(mode, request, ready):
    if request["do"] == "prepare":
        if request["work"]["kind"] != "network":
            raise ValueError(f"PyTorch does no {request['work']['kind']} here")
        ready[request["id"]] = Work(mode, request)
        return ready[request["id"]].facts
    if request["do"] == "run":
        return ready[request["id"]].run(request["calls"])
    del ready[request["id"]]
    return {}


def main():
    with tempfile.TemporaryDirectory() as folder:
        # Of its own, so that what an earlier run has compiled, or was stopped at, does not matter.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        serve(sys.argv[1], open_channel())


def serve(mode, channel):

    def answer(value):
        channel.write(f"{MARK}{json.dumps(value)}\n")
        channel.flush()

    for library in LIBRARIES:
        if importlib.util.find_spec(library):
            importlib.import_module(library)
    import torch

    answer({"versions": {"torch": torch.__version__, "python": sys.version.split()[0]}})
    ready = {}
    for line in sys.stdin:
        try:
            answer(carry_out(mode, json.loads(line), ready))
        except Exception as error:  # noqa: BLE001: whatever went wrong is an answer
            traceback.print_exc()
            lines = str(error).strip().splitlines()
            answer({"error": ": ".join([type(error).__name__, *lines[:1]])})


if __name__ == "__main__":
    main()
