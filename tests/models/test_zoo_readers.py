"""torchvision's enums and timm's tables, read by the syntax tree: small modules written here, and the real wheels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support import pypi
from zoo_cli.models.records import ReleaseRecords, plain
from zoo_cli.models.zoos import READERS
from zoo_cli.models.zoos.literals import OPAQUE, Module, Symbol, Unreadable


class Modules:
    """An archive of text."""

    def __init__(self, **modules: str) -> None:
        self._modules = {name.replace("__", "/") + ".py": text for name, text in modules.items()}
        self.paths = tuple(sorted(self._modules))

    def read(self, path: str) -> bytes:
        return self._modules[path].encode()


class Wheel:
    """The modules of a real wheel."""

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        self.paths = tuple(sorted(self._file.namelist()))

    def read(self, path: str) -> bytes:
        return self._file.read(path)


TORCHVISION = '''
from ._meta import _CLASSES
_COMMON_META = {"min_size": (1, 1), "categories": _CLASSES}

class Net_Weights(WeightsEnum):
    """Text."""

    V1 = Weights(
        url="https://download.pytorch.org/models/net-f37072fd.pth",
        transforms=partial(ImageClassification, crop_size=224),
        meta={
            **_COMMON_META,
            "num_params": 11689512,
            "recipe": "https://github.com/pytorch/vision#net",
            "license": "BSD",
            "_metrics": {"ImageNet-1K": {"acc@1": 69.758, "acc@5": 89.078}},
            "_ops": 1.814,
            "_file_size": 44.661,
        },
    )
    V2 = Weights(url="https://download.pytorch.org/models/net_11ad3fa6.pth", transforms=None, meta={
        **_COMMON_META, "unquantized": Net_Weights.V1, "_metrics": {"Kitti-Train": {"per_image_epe": 5.0}}})
    DEFAULT = V2

@register_model(name="little_net")
@handle_legacy_interface(weights=("pretrained", Net_Weights.V1))
def net(*, weights: Optional[Net_Weights] = None, progress: bool = True, **kwargs) -> Net:
    """A net from `Nets of
    Layers <https://arxiv.org/abs/1512.03385>`__ by people."""
'''

TIMM = """
import copy
from ._registry import generate_default_cfgs

def _cfg(url: str = '', **kwargs) -> dict:
    '''Make one.'''
    return {'url': url, 'num_classes': 1000, 'mean': MEAN, 'license': 'apache-2.0', **kwargs}

def _big(url='', **kwargs):
    return _cfg(url=url, **dict({'input_size': (3, 288, 288)}, **kwargs))

default_cfgs = {
    'net.a1': _cfg(hf_hub_id='timm/', url='https://x.example/net_a1-0676ba61.pth', paper_ids='arXiv:1512.03385'),
    'net.b2': _big(hf_hub_id='timm/', license='mit', notes=('quickgelu',)),
    'star.a': _cfg(hf_hub_id='timm/'),
    'star.b*': _cfg(hf_hub_id='timm/'),
    'net.c3': _cfg(hf_hub_id='other/Net', hf_hub_filename='weights.bin'),
    'bare': _cfg(url='https://x.example/bare.npz'),
    'empty.x': _cfg(),
}
for n in [n for n, c in default_cfgs.items() if c.get('notes', ())]:
    c = copy.deepcopy(default_cfgs[n])
    c['hf_hub_id'] = 'timm/' + n
    default_cfgs[n.replace('net', 'net_quick')] = c
default_cfgs = generate_default_cfgs(default_cfgs)
"""

MADE = """
_SOURCES = {'v_1.one': dict(hf_hub_id='a/b', out=3), 'v_1.two': dict(hf_hub_id='c/d')}
default_cfgs = generate_default_cfgs({
    f'{name.split(".", 1)[0]}{suffix}.{name.split(".", 1)[1]}': dict(
        ((k, v) for k, v in cfg.items() if k != 'out'), hf_hub_id='timm/')
    for name, cfg in _SOURCES.items()
    for suffix in ('', '_enc')
})
"""


def torchvision(text: str = TORCHVISION) -> ReleaseRecords:
    meta = '_CLASSES = ["a", "b", "c"]\n'
    return READERS["torchvision"](Modules(torchvision__models__net=text, torchvision__models___meta=meta))


def timm(text: str = TIMM) -> ReleaseRecords:
    return READERS["timm"](Modules(timm__models__net=text, timm__data__constants="MEAN = (0.5, 0.5, 0.5)"))


def test_torchvision_entry() -> None:
    records = torchvision()
    assert not records.issues
    first, second = records.models
    assert plain(first) == {
        "name": "Net_Weights.V1",
        "at": "torchvision/models/net.py:8",
        "collection": "net",
        "config_state": "none",
        "weights": [
            {
                "url": "https://download.pytorch.org/models/net-f37072fd.pth",
                "name": "net-f37072fd.pth",
                "prefix": "f37072fd",
            }
        ],
        "results": [
            {
                "task": "Image Classification",
                "dataset": "ImageNet-1K",
                "metrics": [
                    {"name": "acc@1", "value": 69.758, "unit": "percent"},
                    {"name": "acc@5", "value": 89.078, "unit": "percent"},
                ],
            }
        ],
        "training": {
            "params": 11689512,
            "flops": 1814000000,
            "extra": {
                "builder": "little_net",
                "categories": 3,
                "file size (MiB)": 44.661,
                "recipe": "https://github.com/pytorch/vision#net",
                "smallest input": [1, 1],
            },
        },
        "paper": {"title": "Nets of Layers", "url": "https://arxiv.org/abs/1512.03385"},
        "license": "BSD",
    }
    assert second.aliases == ("Net_Weights.DEFAULT", "little_net")
    assert second.converted_from == "Net_Weights.V1"
    assert second.weights[0].prefix is None, "torch.hub reads no digest after an underscore"
    assert second.results[0].metrics[0].unit == "none"


def test_timm_entries() -> None:
    records = timm()
    assert not records.issues
    models = {each.name: each for each in records.models}
    assert list(models) == ["bare", "net.a1", "net.b2", "net.c3", "net_quick.b2", "star.a", "star.b"], (
        "an entry without weights is none"
    )
    a1, b2, c3, quick = (models[name] for name in ("net.a1", "net.b2", "net.c3", "net_quick.b2"))
    assert (a1.weights[0].name, a1.weights[0].prefix) == ("net_a1-0676ba61.pth", "0676ba61")
    assert a1.training.extra["hub"] == "timm/net.a1"
    assert a1.paper is not None and a1.paper.url == "https://arxiv.org/abs/1512.03385"
    assert b2.weights[0].url == "https://huggingface.co/timm/net.b2/resolve/main/model.safetensors"
    assert b2.weights[0].name == "net.b2.safetensors"
    assert (b2.license, b2.training.extra["input size"], b2.training.extra["mean"]) == (
        "mit",
        [3, 288, 288],
        [0.5, 0.5, 0.5],
    )
    assert a1.aliases == ("net",), "the first one with weights"
    assert not b2.aliases
    assert models["star.b"].aliases == ("star",), "a star marks the default"
    assert c3.weights[0].url == "https://huggingface.co/other/Net/resolve/main/weights.bin"
    assert quick.training.extra["hub"] == "timm/net.b2"
    assert all(not each.results for each in records.models), "the wheel states no metrics"


def test_timm_table_made_by_a_comprehension() -> None:
    assert [each.name for each in timm(MADE).models] == ["v_1.one", "v_1.two", "v_1_enc.one", "v_1_enc.two"]


@pytest.mark.parametrize("project", ["timm", "torchvision"])
def test_a_release_without_weights_is_an_issue(project: str) -> None:
    records = READERS[project](Modules())
    assert not records.models
    assert [(each.kind, each.blocks) for each in records.issues] == [("no-weights", True)]


def test_a_broken_module_does_not_take_the_others_with_it() -> None:
    archive = Modules(timm__models__net=TIMM, timm__models__odd="def (", timm__models__deep="x = " + "-" * 90_000 + "1")
    records = READERS["timm"](archive)
    assert len(records.models) == 7
    assert [(each.kind, each.at) for each in records.issues] == [
        ("unreadable-module", "timm/models/deep.py:1"),
        ("unreadable-module", "timm/models/odd.py:1"),
    ]


def test_literals() -> None:
    text = (
        b"A = {'x': 1, **B}\nB = {'y': (1, *C), 'z': -2.5 + 1}\nC = [3]\nD = D\nE = foo.bar\nF = 'a' + 'b'\nG = foo()\n"
    )
    module = Module(text)
    assert module.name("A") == {"x": 1, "y": (1, 3), "z": -1.5}
    assert module.name("D") is OPAQUE
    assert module.name("E") == Symbol("foo.bar")
    assert (module.name("F"), module.name("G")) == ("ab", OPAQUE)


@pytest.mark.parametrize(
    "text",
    [
        "A = [*B, *B]\nB = [*C, *C]\nC = [" + "0," * 60_000 + "]\n",
        "A = " + "[" * 80 + "]" * 80,
        "def f(**k):\n    return f(**k)\nA = f(x=1)\n",
        "A0 = 'x' * 2\nA = " + "+".join(["'" + "x" * 50_000 + "'"] * 5),
    ],
)
def test_literals_are_bounded(text: str) -> None:
    with pytest.raises(Unreadable):
        Module(text.encode()).name("A")


@pytest.mark.slow
@pytest.mark.network
def test_real_timm() -> None:
    """Counted from timm 1.0.31 imported with torch: 1,826, and one of an architecture it no longer registers."""
    records = READERS["timm"](Wheel(pypi.wheel("timm", "1.0.31")))
    assert not records.issues
    assert len(records.models) == 1827
    aliases = {name: each.name for each in records.models for name in each.aliases}
    assert aliases["resnet50"] == "resnet50.a1_in1k"
