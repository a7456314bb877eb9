"""The allow list of the checkpoint scanner: exact names, and what each may be used for.

Pure data. A pickle names functions and classes to be called; all that a checkpoint needs stands here, everything else
is unknown or dangerous. Sources: `torch._weights_only_unpickler` of torch 2.13, what torch.save writes, and the forms
that OpenMMLab, Detectron2, torchvision and timm publish. Never here: anything by prefix, and whatever unpickles,
imports, formats or reads files by itself (`torch.load`, `torch.storage._load_from_bytes`, `numpy.f2py`, ...).
"""

from __future__ import annotations

from typing import Literal

REVISION = "2026-11"

Role = Literal["function", "type", "object", "mapping", "storage", "dtype", "module"]
"""What a name is used for.

function: is only called, with arguments that `calls` checks. type: stands as a value, or is called so.
object: an instance gets attributes. mapping: an instance has items, too. storage: names the kind of a storage.
dtype: a value of torch. module: a part of a neural network, told as a warning.
"""

Level = Literal["allowed", "known", "unknown", "dangerous"]

STORAGE_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2,
    "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "BFloat16Storage": 2, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "QUInt8Storage": 1, "QInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1, "UntypedStorage": 1,
}  # fmt: skip
"""Bytes of one element of a storage."""

DTYPE_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex32": 4, "complex64": 8, "complex128": 16,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1,
    "float8_e4m3fn": 1, "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1, "qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1, "bits8": 1,
    "bits16": 2, "bits1x8": 1, "bits2x4": 1, "bits4x2": 1,
}  # fmt: skip
"""Bytes of one element of a tensor, by torch's name of its type."""

_QSCHEMES = (
    "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)  # fmt: skip
_NUMPY_SCALARS = (
    "bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 longdouble complex64 "
    "complex128 intc uintc longlong ulonglong str_ bytes_ datetime64 timedelta64"
)
_BY_ROLE: dict[Role, dict[str, str]] = {
    "function": {
        "builtins": "getattr bytearray complex range slice",
        "_codecs": "encode",
        "copyreg": "_reconstructor",
        "torch": "Size device",
        "torch._utils": "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
        "_rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage",
        "torch._tensor": "_rebuild_from_type_v2",
        "torch.serialization": "_get_layout",
        "numpy.core.multiarray": "_reconstruct scalar",
        "numpy._core.multiarray": "_reconstruct scalar",
        "numpy.core.numeric": "_frombuffer",
        "numpy._core.numeric": "_frombuffer",
        "datetime": "datetime date timedelta",
        "pathlib": "PosixPath WindowsPath PurePosixPath PureWindowsPath Path PurePath",
        "pathlib._local": "PosixPath WindowsPath PurePosixPath PureWindowsPath Path PurePath",
    },
    "type": {
        "builtins": "set frozenset list dict tuple int float str bool bytes object",
        "numpy": f"ndarray dtype {_NUMPY_SCALARS}",
        "torch": "Tensor",
        "torch.nn.parameter": "Parameter Buffer",
        "typing": "Any",
    },
    "object": {
        "argparse": "Namespace",
        "mmengine.logging.history_buffer": "HistoryBuffer",
    },
    "mapping": {
        "collections": "OrderedDict defaultdict Counter",
        "mmengine.config.config": "ConfigDict",
        "mmcv.utils.config": "ConfigDict",
        "addict.addict": "Dict",
        "addict": "Dict",
        "easydict": "EasyDict",
    },
    "storage": {
        "torch": " ".join(name for name in STORAGE_BYTES if name != "UntypedStorage"),
        "torch.storage": "UntypedStorage",
    },
    "dtype": {"torch": " ".join((*DTYPE_BYTES, *_QSCHEMES))},
    # Classes of torch.nn.modules in torch 2.13, and configuration objects of training frameworks.
    "module": {
        "torch.nn.modules.activation": "Threshold ReLU RReLU Hardtanh ReLU6 Sigmoid Hardsigmoid Tanh SiLU Mish "
        "Hardswish ELU CELU SELU GLU GELU Hardshrink LeakyReLU LogSigmoid Softplus Softshrink MultiheadAttention PReLU "
        "Softsign Tanhshrink Softmin Softmax Softmax2d LogSoftmax",
        "torch.nn.modules.adaptive": "AdaptiveLogSoftmaxWithLoss",
        "torch.nn.modules.batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm",
        "torch.nn.modules.channelshuffle": "ChannelShuffle",
        "torch.nn.modules.container": "Sequential ModuleList ModuleDict ParameterList ParameterDict",
        "torch.nn.modules.conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
        "torch.nn.modules.distance": "PairwiseDistance CosineSimilarity",
        "torch.nn.modules.dropout": "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout",
        "torch.nn.modules.flatten": "Flatten Unflatten",
        "torch.nn.modules.fold": "Fold Unfold",
        "torch.nn.modules.instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
        "torch.nn.modules.linear": "Identity Linear NonDynamicallyQuantizableLinear Bilinear",
        "torch.nn.modules.loss": "L1Loss NLLLoss NLLLoss2d PoissonNLLLoss GaussianNLLLoss KLDivLoss MSELoss BCELoss "
        "BCEWithLogitsLoss HingeEmbeddingLoss MultiLabelMarginLoss SmoothL1Loss HuberLoss SoftMarginLoss "
        "CrossEntropyLoss MultiLabelSoftMarginLoss CosineEmbeddingLoss MarginRankingLoss MultiMarginLoss "
        "TripletMarginLoss TripletMarginWithDistanceLoss CTCLoss",
        "torch.nn.modules.module": "Module",
        "torch.nn.modules.normalization": "LocalResponseNorm CrossMapLRN2d LayerNorm GroupNorm RMSNorm",
        "torch.nn.modules.padding": "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d "
        "ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d "
        "ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d",
        "torch.nn.modules.pixelshuffle": "PixelShuffle PixelUnshuffle",
        "torch.nn.modules.pooling": "MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d AvgPool1d "
        "AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d AdaptiveMaxPool1d "
        "AdaptiveMaxPool2d AdaptiveMaxPool3d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d",
        "torch.nn.modules.rnn": "RNNBase RNN LSTM GRU RNNCellBase RNNCell LSTMCell GRUCell",
        "torch.nn.modules.sparse": "Embedding EmbeddingBag",
        "torch.nn.modules.transformer": "Transformer TransformerEncoder TransformerDecoder TransformerEncoderLayer "
        "TransformerDecoderLayer",
        "torch.nn.modules.upsampling": "Upsample UpsamplingNearest2d UpsamplingBilinear2d",
        "omegaconf.dictconfig": "DictConfig",
        "omegaconf.listconfig": "ListConfig",
        "omegaconf.base": "ContainerMetadata Metadata",
        "omegaconf.nodes": "AnyNode StringNode IntegerNode FloatNode BooleanNode",
    },
}
ALLOWED: dict[tuple[str, str], Role] = {
    (module, name): role
    for role, modules in _BY_ROLE.items()
    for module, names in modules.items()
    for name in names.split()
}
"""(module, name) -> role, for every name that may stand in a checkpoint."""

# Modules whose functions run commands, import, evaluate, unpickle, or reach the network or files when called.
_DANGEROUS = """
os posix nt subprocess sys runpy pty commands popen2 importlib imp pkgutil pickle _pickle cPickle dill cloudpickle
joblib marshal shelve code codeop bdb pdb profile cProfile timeit trace doctest pydoc webbrowser socket socketserver
ssl http httplib urllib urllib2 requests aiohttp ftplib smtplib telnetlib xmlrpc asyncio multiprocessing threading
_thread ctypes _ctypes cffi mmap shutil tempfile glob fileinput zipfile tarfile sqlite3 operator _operator functools
_functools types inspect ast builtins signal resource platform distutils setuptools pip ensurepip venv idlelib
lib2to3 test unittest atexit gc weakref linecache logging site antigravity this turtle tkinter nturl2path ntpath
posixpath codecs _codecs copyreg io _io
"""
_DANGEROUS_MODULES = frozenset(_DANGEROUS.split())
_DANGEROUS_PACKAGES = (
    "torch.hub", "torch.jit", "torch.package", "torch.fx", "torch.utils", "torch._dynamo", "torch._inductor",
    "torch.distributed.rpc", "torch.multiprocessing", "numpy.f2py", "numpy.testing", "numpy.distutils",
)  # fmt: skip
_DANGEROUS_NAMES = frozenset({
    ("torch", "load"), ("torch.serialization", "load"), ("torch.storage", "_load_from_bytes"), ("torch.hub", "load"),
    ("numpy", "load"), ("numpy", "loadtxt"), ("numpy", "fromfile"),
})  # fmt: skip


def level_of(module: str, name: str) -> Level:
    """How far a name is known; `known` are parts of models that are told and pass."""
    role = ALLOWED.get((module, name))
    if role is not None:
        return "known" if role == "module" else "allowed"
    if module.partition(".")[0] in _DANGEROUS_MODULES or (module, name) in _DANGEROUS_NAMES or "." in name:
        return "dangerous"
    is_gate = any(module == package or module.startswith(f"{package}.") for package in _DANGEROUS_PACKAGES)
    return "dangerous" if is_gate else "unknown"
