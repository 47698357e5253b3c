"""Teacher and student as ONNX, held against the networks that they were made from."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from . import minilm, student
from .graph import Graph


def parameters(module):
    for p in module.parameters():
        p.requires_grad_(False)
    return module.eval()


def teacher_graph(model, int8=True):
    m, g = parameters(model), Graph(int8)
    hidden, shown = g.padding("mask")
    x = g.op("Add", g.rows(m.words.weight, "ids"), g.beginning(m.positions.weight[: minilm.WINDOW] + m.segment, "ids"))
    x = g.norm(x, m.norm.weight, m.norm.bias, 1e-12)
    for layer in m.layers:
        x = g.norm(g.op("Add", x, g.attention(x, layer, minilm.HEADS, minilm.WIDTH, hidden)), layer.norm1.weight, layer.norm1.bias, 1e-12)
        inner = g.gelu(g.linear(x, layer.up.weight, layer.up.bias))
        x = g.norm(g.op("Add", x, g.linear(inner, layer.down.weight, layer.down.bias)), layer.norm2.weight, layer.norm2.bias, 1e-12)
    return g, g.linear(g.pooled(x, shown), m.head.weight, m.head.bias)


def student_graph(model, int8=False):
    m, g = parameters(model), Graph(int8)
    hidden, shown = g.padding("mask")
    x = g.op("Add", g.rows(m.embed.weight, "ids"), g.beginning(m.position, "ids"))
    for layer in m.layers:
        a = g.norm(x, layer.norm1.weight, layer.norm1.bias, 1e-5)
        x = g.op("Add", x, g.attention(a, layer, student.HEADS, student.WIDTH, hidden))
        f = g.norm(x, layer.norm2.weight, layer.norm2.bias, 1e-5)
        x = g.op("Add", x, g.linear(g.op("Relu", g.linear(f, layer.up.weight, layer.up.bias)), layer.down.weight, layer.down.bias))
    x = g.norm(x, m.norm.weight, m.norm.bias, 1e-5)
    return g, g.linear(g.pooled(x, shown), m.head.weight, m.head.bias)


def check(path, forward, length, words, rows=8, seed=2):
    """The largest difference of a logit between the file and the network."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, length + 1, rows)
    ids = generator.integers(16, words, (rows, length))
    mask = (np.arange(length)[None] < lengths[:, None]).astype(np.int64)
    ids = ids * mask
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"ids": ids, "mask": mask})[0]
    with torch.no_grad():
        ours = forward(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
    return float(np.abs(theirs - ours).max()), float(np.abs(ours).max())


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--teacher")
    options.add_argument("--student")
    options.add_argument("--out", required=True)
    o = options.parse_args(arguments)
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    if o.teacher:
        from .lessons import load

        model = load(o.teacher)
        for name, int8 in (("teacher.onnx", True), ("teacher-f32.onnx", False)):
            graph, result = teacher_graph(model, int8)
            path = graph.save(out / name, result)
            print(name, f"{path.stat().st_size / 2**20:.1f} MiB", "difference %.4f of %.2f" % check(path, model, minilm.WINDOW, 30000))
    if o.student:
        state = torch.load(o.student, weights_only=True)
        model = student.Student(state["embed.weight"].numpy())
        model.load_state_dict(state)
        graph, result = student_graph(model)
        path = graph.save(out / "student.onnx", result)
        words = state["embed.weight"].shape[0]
        print("student.onnx", f"{path.stat().st_size / 2**20:.1f} MiB", "difference %.5f of %.2f" % check(path, lambda i, l: model(i, l)[0], student.LONGEST, words))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
