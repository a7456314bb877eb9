"""A few GPU names with their capabilities, spelled as the index spells them, and machines as hypothesis draws them."""

from __future__ import annotations

from hypothesis import strategies as st

from zoo_cli.machine.facts import (
    BrokenMetadata,
    Capability,
    DirectUrl,
    Distribution,
    DriverProblem,
    Gpu,
    Interpreter,
    Libc,
    Machine,
    TorchFacts,
)
from zoo_cli.machine.gpus import name_to_capability

ROWS = (
    ("GeForce RTX 5090", "12.0"),
    ("RTX PRO 6000 Blackwell Max-Q Workstation Edition", "12.0"),
    ("H100", "9.0"),
    ("H200", "9.0"),
    ("GH200", "9.0"),
    ("RTX 6000 Ada", "8.9"),
    ("GeForce RTX 4090", "8.9"),
    ("L4", "8.9"),
    ("Jetson AGX Orin", "8.7"),
    ("RTX A6000", "8.6"),
    ("A40", "8.6"),
    ("A10G", "8.6"),
    ("GeForce RTX 3090", "8.6"),
    ("GeForce RTX 3080 Ti", "8.6"),
    ("A100", "8.0"),
    ("T4", "7.5"),
    ("T4G", "7.5"),
    ("Quadro RTX 6000", "7.5"),
    ("GeForce GTX 1650", "7.5"),
    ("V100", "7.0"),
    ("Tesla V100", "7.0"),
    ("TITAN X", "6.1"),
    ("TITAN Xp", "6.1"),
    ("GeForce GTX 1080 Ti", "6.1"),
    ("GeForce GTX 1060", "6.1"),
    ("Tesla P100", "6.0"),
    ("GeForce GTX TITAN X", "5.2"),
    ("Tesla K80", "3.7"),
)
GPUS = name_to_capability(ROWS)

texts = st.text(max_size=20)
some_texts = st.lists(texts, max_size=3).map(tuple)
capabilities = st.builds(Capability, st.integers(1, 99), st.integers(0, 9))
gpus = st.builds(
    Gpu,
    name=texts,
    capability=st.none() | capabilities,
    memory_bytes=st.none() | st.integers(0, 2**60),
    vendor=st.sampled_from(["nvidia", "amd"]),
    source=texts,
)
distributions = st.builds(
    Distribution,
    name=texts,
    version=texts,
    location=texts,
    direct_url=st.none() | st.builds(DirectUrl, texts, texts, texts, texts, texts, texts, st.booleans()),
    requires=some_texts,
    files=some_texts,
    wheel_tags=some_texts,
    installer=texts,
)
interpreters = st.builds(
    Interpreter,
    executable=texts,
    version=texts,
    bits=st.sampled_from([32, 64]),
    is_virtual=st.booleans(),
    is_conda=st.booleans(),
    externally_managed=st.none() | texts,
    is_writable=st.booleans(),
    distributions=st.lists(distributions, max_size=2).map(tuple),
    torch=st.none() | st.builds(TorchFacts, texts, st.none() | texts, st.none() | texts, texts),
    site_directories=some_texts,
    problems=st.lists(st.builds(BrokenMetadata, texts, texts), max_size=2).map(tuple),
    origin=texts,
)
machines = st.builds(
    Machine,
    os=texts,
    arch=texts,
    platform=texts,
    libc=st.none() | st.builds(Libc, texts, texts),
    driver=st.none() | texts,
    cuda_user_mode=st.none() | texts,
    gpus=st.lists(gpus, max_size=3).map(tuple),
    python=st.none() | interpreters,
    marks=some_texts,
    is_described=st.booleans(),
    looked_at=some_texts,
    origin=st.dictionaries(texts, texts, max_size=3),
    disk_free_bytes=st.none() | st.integers(0, 2**62),
    problems=st.lists(st.builds(DriverProblem, texts, texts, texts), max_size=2).map(tuple),
    other_gpus=st.lists(gpus, max_size=2).map(tuple),
)
