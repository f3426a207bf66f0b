"""Which TensorFlow operators an Ascend 910 runs, and where: data for the graph lint.

From the operator tables of a CANN 8.1 release: the operators the adapter accepts, and the kernels
of the first-generation 910. The class of an operator is that of the kernel behind it. What stands
in no table counts as not accepted: one such operator splits a step into several device graphs.
"""

from __future__ import annotations

import re

FLOAT32, FLOAT16, ENGINE = "ai_core_float32", "ai_core_float16", "graph_engine"
SLOW, REFUSED = "slow_path", "not_accepted"

CLASSES = {
    FLOAT32: "AI Core, float32",
    FLOAT16: "AI Core, float16",
    ENGINE: "graph engine, control",
    SLOW: "slow path",
    REFUSED: "not accepted",
}

_AI_CORE_FLOAT32 = """
    Abs AddN AddV2 All Any ArgMax AssignAddVariableOp AssignSubVariableOp AssignVariableOp
    BatchMatMulV2 BiasAdd BiasAddGrad BroadcastTo Cast ClipByValue ConcatV2 Cumsum DepthToSpace
    DivNoNan DropOutDoMask Elu EluGrad Equal Erf Exp Expm1 FastGelu FastGeluGrad Fill Floor FloorDiv
    FloorMod FusedBatchNormGradV3 FusedBatchNormV3 GatherNd GatherV2 Greater GreaterEqual L2Loss LRN
    LeakyRelu LeakyReluGrad Less LessEqual LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot
    LogicalOr MatMul Max Maximum Mean Min Minimum MirrorPad Mul Neg NotEqual OneHot OnesLike Pack
    Pad PadV2 Pow Prod Range RealDiv Reciprocal ReciprocalGrad Relu Relu6 Relu6Grad ReluGrad
    ResizeBilinear ResizeNearestNeighbor ResourceApplyAdam ResourceApplyGradientDescent
    ResourceApplyKerasMomentum ResourceApplyRMSProp ReverseV2 Roll Round Rsqrt RsqrtGrad ScatterNd
    SegmentSum Select SelectV2 Selu SeluGrad Sigmoid SigmoidGrad Sign Slice Softmax
    SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad SpaceToDepth Split SplitV Sqrt SqrtGrad
    Square SquaredDifference StridedSlice StridedSliceGrad Sub Sum Tanh TanhGrad Tile Transpose
    Unpack UnsortedSegmentSum Xdivy Xlogy ZerosLike
"""
_AI_CORE_FLOAT16 = """
    AvgPool AvgPoolGrad Conv2D Conv2DBackpropFilter Conv2DBackpropInput DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput MaxPool MaxPoolGrad
    MaxPoolGradGrad MaxPoolGradWithArgmax MaxPoolWithArgmax TopKV2
"""
_GRAPH_ENGINE = """
    Assert BroadcastGradientArgs Case Const ExpandDims HcomAllReduce HcomBroadcast Identity
    IdentityN If IteratorGetNext IteratorV2 NoOp NpuClearFloatStatusV2 NpuGetFloatStatusV2
    PartitionedCall PreventGradient ReadVariableOp Reshape Shape ShapeN Size Squeeze
    StatefulPartitionedCall StatelessIf StatelessWhile StopGradient VarHandleOp While
    Placeholder _Arg _Retval
"""  # the last line is the form in which a function has its arguments and results
_SLOW_PATH = """
    ArgMin Betainc Bincount BroadcastArgs CheckNumerics CropAndResize Digamma DropOutGenMask
    DynamicPartition DynamicStitch Einsum EnsureShape IsFinite IsNan Lgamma MatrixBandPart
    MatrixDiagV3 MatrixInverse MirrorPadGrad Multinomial PrintV2 Qr RandomGamma RandomShuffle
    RandomStandardNormal RandomUniform RandomUniformInt ResizeBilinearGrad ResizeNearestNeighborGrad
    ResourceApplyMomentum ResourceGather RngReadAndSkip SelfAdjointEigV2
    SparseSoftmaxCrossEntropyWithLogits StatefulStandardNormalV2 StatefulUniform
    StatelessMultinomial StatelessRandomGammaV2 StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomNormalV2 StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormalV2 StringFormat Svd TensorScatterAdd TensorScatterUpdate TruncatedNormal
    Unique Where
"""
_REFUSED = """
    DisableCopyOnRead EagerPyFunc PyFunc PyFuncStateless RandomIndexShuffle RestoreV2 SaveV2
    SegmentMean StatelessRandomNormal StatelessRandomUniform StatelessShuffle
"""

TABLE = {
    name: kind
    for kind, names in (
        (FLOAT32, _AI_CORE_FLOAT32),
        (FLOAT16, _AI_CORE_FLOAT16),
        (ENGINE, _GRAPH_ENGINE),
        (SLOW, _SLOW_PATH),
        (REFUSED, _REFUSED),
    )
    for name in names.split()
}

WHILE_LOOPS = frozenset({"While", "StatelessWhile", "LoopCond", "NextIteration"})
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# Arithmetic on shapes that gradients bring along. The adapter has TensorFlow fold constants before
# it looks at a graph, so of constants these never reach it.
SHAPE_ARITHMETIC = frozenset({"BroadcastGradientArgs", "ConcatOffset"})

_RANDOM = re.compile(
    r"Random|Multinomial|TruncatedNormal|^Stateful(Uniform|StandardNormal)|^Rng|^NonDeterministic"
    r"|^StatelessShuffle|^Stateless.*(Binomial|Poisson)|^.*SampleDistortedBoundingBox"
)


def class_of(op_type: str) -> str:
    """The class of an operator, one of :data:`CLASSES`."""
    if op_type.startswith("TensorList"):
        return SLOW
    return TABLE.get(op_type, REFUSED)


def is_random(op_type: str) -> bool:
    """Whether an operator draws random numbers, or serves those that do."""
    return bool(_RANDOM.search(op_type))
