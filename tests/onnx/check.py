"""Holds exported models to the program that trained them: python check.py MODEL.onnx ...

Each model's examples, <name>.examples.safetensors beside it, have inputs and the logits that the program computes of them. Says the
largest difference of a logit that onnxruntime computes, and ends with 1 where one is above 1e-5. The program computes in 32-bit floats, as
onnxruntime does, and adds them up in another order.
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

BOUND = 1e-5
# Refusals that are asked for are no news.
onnxruntime.set_default_logger_severity(4)


def read(path):
    """The tensors of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, kinds = json.loads(data[8 : 8 + length]), {"F32": np.float32, "I32": np.int32}
    tensors = {name: about for name, about in header.items() if name != "__metadata__"}
    part = lambda about: data[8 + length :][slice(*about["data_offsets"])]
    return {name: np.frombuffer(part(about), kinds[about["dtype"]]).reshape(about["shape"]) for name, about in tensors.items()}


def check(model):
    session = onnxruntime.InferenceSession(model)
    examples = read(model.with_suffix(".examples.safetensors"))
    inputs = {port.name: examples[port.name].astype(np.int64) for port in session.get_inputs()}
    outputs = [port.name for port in session.get_outputs()]
    assert outputs == ["logit_a", "logit_b"], outputs

    def scored(feed):
        return np.stack(session.run(outputs, feed))

    expected = np.stack([examples[name] for name in outputs])
    found = scored(inputs)
    assert found.shape == expected.shape and np.isfinite(found).all()
    worst = np.abs(found - expected).max()
    print(f"{model.name}: {expected[0].size} rows, largest difference {worst:.2e}, logits from {expected.min():.2f} to {expected.max():.2f}")
    # The same whatever stands around a request: alone, with its last candidate alone, and with one candidate many times.
    some = {name: values[7:8] for name, values in inputs.items()}
    cut = {name: values[:, -1:] if name in ("item", "item_count") else values for name, values in some.items()}
    many = {name: np.repeat(values, 50, 1) if name in ("item", "item_count") else values for name, values in cut.items()}
    for feed, rows in [(some, found[:, 7:8]), (cut, found[:, 7:8, -1:]), (many, np.repeat(found[:, 7:8, -1:], 50, 2))]:
        worst = max(worst, np.abs(scored(feed) - rows).max())
    # An id that the run does not know is refused, and is not taken for another.
    for name, wrong in [("user", -1), ("user", 1 << 40), ("item", -1), ("item", 1 << 40)]:
        feed = {other: values.copy() for other, values in some.items()}
        feed[name][:] = wrong
        try:
            scored(feed)
        except Exception:
            continue
        sys.exit(f"{model.name}: {name} {wrong} was scored")
    return worst <= BOUND


sys.exit(0 if all([check(Path(model)) for model in sys.argv[1:]]) else 1)
