"""Which operations a frozen graph may hold.

A graph is a program: TensorFlow has operations that read and write files, open connections or call
Python. A model needs none of them. Those listed here compute tensors from tensors and nothing else;
a graph with any other is refused before TensorFlow sees it.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from deepdensity_tf.utils import ops

# What freeze writes for the plug-ins here, and its kin, so that further plug-ins find theirs.
_PURE = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin Assert Atan Atan2 BatchMatMul BatchMatMulV2
    BatchMatMulV3 BiasAdd BiasAddGrad BroadcastArgs BroadcastGradientArgs BroadcastTo Cast Ceil
    ClipByValue Concat ConcatOffset ConcatV2 Const Cos Cosh Cross Cumprod Cumsum DivNoNan
    DynamicPartition DynamicStitch Einsum Elu EluGrad EnsureShape Equal Erf Erfc Exp ExpandDims
    Expm1 Fill Floor FloorDiv FloorMod Gather GatherNd GatherV2 Greater GreaterEqual Identity
    IdentityN Inv InvertPermutation IsFinite IsInf IsNan L2Loss LeakyRelu LeakyReluGrad Less
    LessEqual LinSpace Log Log1p LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart
    MatrixDiagPartV3 MatrixDiagV3 Max Maximum Mean Min Minimum Mod Mul MulNoNan Neg NoOp
    NotEqual OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch Placeholder
    PlaceholderWithDefault Pow PreventGradient Prod Range Rank RealDiv Reciprocal
    ReciprocalGrad Relu Relu6 ReluGrad Reshape ReverseV2 Round Rsqrt RsqrtGrad ScatterNd
    SegmentSum Select SelectV2 Selu SeluGrad Shape ShapeN Sigmoid SigmoidGrad Sign Sin Sinh
    Size Slice Snapshot Softmax Softplus SoftplusGrad Softsign SoftsignGrad Split SplitV Sqrt
    SqrtGrad Square SquaredDifference Squeeze StopGradient StridedSlice StridedSliceGrad Sub
    Sum Tan Tanh TanhGrad TensorScatterUpdate Tile TopKV2 Transpose TruncateDiv Unique Unpack
    UnsortedSegmentSum Where Xdivy Xlog1py Xlogy ZerosLike
"""


@functools.cache
def known_ops() -> frozenset[str]:
    """Names of all operations that a model may hold: pure ones, and those of the op library."""
    return frozenset(_PURE.split()) | ops.native_ops()


def refused_ops(graph: tf.compat.v1.GraphDef) -> list[str]:
    """What a graph holds and a model must not, in words; empty for a model of ours.

    Functions are refused whatever is in them: a frozen graph has none, and one could go by the name
    of a known operation.
    """
    bodies = [function.node_def for function in graph.library.function]
    found = {}
    for node in (node for nodes in (graph.node, *bodies) for node in nodes):
        if node.op not in known_ops():
            found.setdefault(node.op, f"operation {node.op!r} (node {node.name!r})")
    functions = sorted(function.signature.name for function in graph.library.function)
    return [*found.values(), *(f"function {name!r}" for name in functions)]
