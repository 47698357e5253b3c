"""ONNX graphs written by hand: only operators that every runtime has, weights in int8 with one scale for each row."""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper


class Graph:
    def __init__(self, int8):
        self.int8, self.nodes, self.constants, self.count = int8, [], [], 0

    def constant(self, value, dtype=np.float32):
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"v{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, matrix):
        """[out, in] as it multiplies a row of numbers from the right: [in, out]."""
        matrix = np.asarray(matrix, np.float32).T
        if not self.int8:
            return self.constant(matrix)
        scale = np.abs(matrix).max(0) / 127
        scale[scale == 0] = 1
        whole = self.op("Cast", self.constant(np.rint(matrix / scale), np.int8), to=TensorProto.FLOAT)
        return self.op("Mul", whole, self.constant(scale))

    def linear(self, x, weight, bias):
        return self.op("Add", self.op("MatMul", x, self.weight(weight)), self.constant(bias))

    def rows(self, table, ids):
        """Rows of a table. They become floats after they were picked, so the table stays small in memory, too."""
        table = np.asarray(table, np.float32)
        if not self.int8:
            return self.op("Gather", self.constant(table), ids, axis=0)
        scale = np.abs(table).max(1, keepdims=True) / 127
        scale[scale == 0] = 1
        whole = self.op("Gather", self.constant(np.rint(table / scale), np.int8), ids, axis=0)
        whole = self.op("Cast", whole, to=TensorProto.FLOAT)
        return self.op("Mul", whole, self.op("Gather", self.constant(scale), ids, axis=0))

    def beginning(self, table, ids):
        """As many rows of a table as there are tokens, for tables that say where a token stands."""
        tokens = self.op("Slice", self.op("Shape", ids), *(self.constant([n], np.int64) for n in (1, 2)))
        first, axis = self.constant([0], np.int64), self.constant([1], np.int64)
        return self.op("Slice", self.constant(np.asarray(table)[None]), first, tokens, axis)

    def norm(self, x, gain, bias, epsilon):
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1], keepdims=1))
        variance = self.op("ReduceMean", self.op("Mul", centred, centred), axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", variance, self.constant(epsilon)))
        return self.op("Add", self.op("Mul", self.op("Div", centred, root), self.constant(gain)), self.constant(bias))

    def attention(self, x, layer, heads, width, hidden):
        """`hidden` is added to every score: 0 for what is there, very negative for padding."""
        size = width // heads
        shape = self.constant([0, 0, heads, size], np.int64)
        part = lambda p, perm: self.op("Transpose", self.op("Reshape", self.linear(x, p.weight, p.bias), shape), perm=perm)
        q, k, v = part(layer.q, [0, 2, 1, 3]), part(layer.k, [0, 2, 3, 1]), part(layer.v, [0, 2, 1, 3])
        scores = self.op("Add", self.op("Mul", self.op("MatMul", q, k), self.constant(size**-0.5)), hidden)
        seen = self.op("Transpose", self.op("MatMul", self.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        seen = self.op("Reshape", seen, self.constant([0, 0, width], np.int64))
        return self.linear(seen, layer.o.weight, layer.o.bias)

    def gelu(self, x):
        half = self.op("Mul", x, self.constant(0.5))
        return self.op("Mul", half, self.op("Add", self.op("Erf", self.op("Mul", x, self.constant(0.5**0.5))), self.constant(1.0)))

    def padding(self, mask):
        """From a mask of ones and zeros [rows, tokens]: what attention adds, and the mask as [rows, tokens, 1]."""
        mask = self.op("Cast", mask, to=TensorProto.FLOAT)
        absent = self.op("Mul", self.op("Sub", self.constant(1.0), mask), self.constant(-1e4))
        hidden = self.op("Unsqueeze", absent, self.constant([1, 2], np.int64))
        return hidden, self.op("Unsqueeze", mask, self.constant([2], np.int64))

    def pooled(self, x, shown):
        total = self.op("ReduceSum", self.op("Mul", x, shown), self.constant([1], np.int64), keepdims=0)
        mean = self.op("Div", total, self.op("ReduceSum", shown, self.constant([1], np.int64), keepdims=0))
        lowered = self.op("Mul", self.op("Sub", self.constant(1.0), shown), self.constant(-1e4))
        peak = self.op("ReduceMax", self.op("Add", x, lowered), axes=[1], keepdims=0)
        return self.op("Concat", mean, peak, axis=-1)

    def save(self, path, result, length="tokens"):
        self.nodes.append(helper.make_node("Identity", [result], ["logits"]))
        ints = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", length])
        graph = helper.make_graph(
            self.nodes, "sentinel", [ints("ids"), ints("mask")],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 4])], self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return path
