"""Rows that are easy to get wrong, each named for the fact it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from zoo_cli.catalog.compat import (
    FrameworkRelease,
    Matrix,
    OpsWheels,
    TorchBuild,
    project,
    projects_providing,
    providers,
    torch_sha256,
)

Matrices = dict[str, Matrix]


def torch(matrices: Matrices, version: str, variant: str, platform: str = "linux_x86_64") -> TorchBuild:
    (found,) = [b for b in matrices[platform].torch if (b.version, b.variant) == (version, variant)]
    return found


def wheels(matrices: Matrices, platform: str = "linux_x86_64", **wanted: str) -> list[OpsWheels]:
    return [row for row in matrices[platform].ops if all(getattr(row, key) == value for key, value in wanted.items())]


def one(matrices: Matrices, platform: str = "linux_x86_64", **wanted: str) -> OpsWheels:
    (found,) = wheels(matrices, platform, **wanted)
    return found


def release(matrices: Matrices, name: str, version: str) -> FrameworkRelease:
    (found,) = [each for each in matrices["linux_x86_64"].frameworks[name] if each.version == version]
    return found


class TestTorch:
    def test_the_default_cuda_wheel_had_no_local_version_before_1_11(self, matrices: Matrices) -> None:
        assert torch(matrices, "1.10.2", "cu102").local == ""
        assert torch(matrices, "1.10.2", "cu113").local == "+cu113"
        assert torch(matrices, "1.11.0", "cu102").local == "+cu102"

    def test_macos_wheels_have_none(self, matrices: Matrices) -> None:
        build = torch(matrices, "2.2.2", "cpu", "macos_arm64")
        assert (build.local, build.glibc, build.on_pypi) == ("", None, True)
        assert build.url("cp310") == "https://download.pytorch.org/whl/cpu/torch-2.2.2-cp310-none-macosx_11_0_arm64.whl"

    def test_macos_on_intel_ends_with_2_2_2(self, matrices: Matrices) -> None:
        assert matrices["macos_x86_64"].torch[-1].version == "2.2.2"

    def test_old_releases_stand_on_a_find_links_page(self, matrices: Matrices) -> None:
        old, new = torch(matrices, "1.10.2", "cu113"), torch(matrices, "1.11.0", "cu113")
        assert (old.index_url, old.index_kind) == ("https://download.pytorch.org/whl/torch_stable.html", "find-links")
        assert (new.index_url, new.index_kind) == ("https://download.pytorch.org/whl/cu113", "simple")

    def test_long_term_support_release(self, matrices: Matrices) -> None:
        build = torch(matrices, "1.8.2", "cu111")
        assert build.index_url == "https://download.pytorch.org/whl/lts/1.8/cu111"
        assert not build.on_pypi
        assert build.targets is None
        assert build.origin.evidence == "inferred"

    @pytest.mark.parametrize(
        ("version", "variant"),
        [("1.12.1", "cu102"), ("2.1.2", "cu121"), ("2.10.0", "cu128"), ("2.11.0", "cu130"), ("2.15.0", "cu132")],
    )
    def test_what_pypi_serves_on_linux(self, matrices: Matrices, version: str, variant: str) -> None:
        builds = [build for build in matrices["linux_x86_64"].torch if build.version == version]
        assert [build.variant for build in builds if build.on_pypi] == [variant]

    def test_pypi_serves_cpu_builds_on_windows(self, matrices: Matrices) -> None:
        assert {build.variant for build in matrices["win_amd64"].torch if build.on_pypi} == {"cpu"}

    def test_glibc_and_platform_tag_by_era(self, matrices: Matrices) -> None:
        facts = [
            (build.glibc, build.platform_tag)
            for build in (
                torch(matrices, "2.5.1", "cu124"),
                torch(matrices, "2.6.0", "cu124"),
                torch(matrices, "2.6.0", "cu126"),
                torch(matrices, "2.7.0", "cu118"),
            )
        ]
        assert facts == [
            ("2.17", "linux_x86_64"),
            ("2.17", "linux_x86_64"),
            ("2.28", "manylinux_2_28_x86_64"),
            ("2.28", "manylinux_2_28_x86_64"),
        ]

    def test_code_targets_are_those_of_the_platform(self, matrices: Matrices) -> None:
        linux, windows = torch(matrices, "1.13.1", "cu117"), torch(matrices, "1.13.1", "cu117", "win_amd64")
        assert linux.targets == ("3.7", "5.0", "6.0", "7.0", "7.5", "8.0", "8.6")
        assert linux.targets_origin is not None
        assert linux.targets_origin.evidence == "seen"
        assert windows.targets == ("3.7+PTX", "5.0", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6")

    def test_cu128_lost_volta_at_2_11(self, matrices: Matrices) -> None:
        assert "7.0" in (torch(matrices, "2.10.0", "cu128").targets or ())
        assert "7.0" not in (torch(matrices, "2.11.0", "cu128").targets or ())

    def test_blackwell_starts_with_2_7_and_cu128(self, matrices: Matrices) -> None:
        having = [b for b in matrices["linux_x86_64"].torch if any(t.startswith("12.0") for t in b.targets or ())]
        assert (having[0].version, having[0].variant) == ("2.7.0", "cu128")

    def test_cpu_builds_have_no_targets(self, matrices: Matrices) -> None:
        assert {b.targets for matrix in matrices.values() for b in matrix.torch if b.variant == "cpu"} == {()}

    def test_windows_tags_of_releases_that_are_not_on_pypi_are_inferred(self, matrices: Matrices) -> None:
        assert torch(matrices, "1.6.0", "cu101", "win_amd64").origin.evidence == "inferred"
        assert torch(matrices, "1.6.0", "cu101").origin.evidence == "listed"

    def test_what_pypi_serves_was_seen_even_where_the_rest_is_inferred(self, matrices: Matrices) -> None:
        assert torch(matrices, "2.15.0", "cu132").origin.source == "https://pypi.org/simple/torch/"
        assert torch(matrices, "2.15.0", "cu132").origin.evidence == "seen"
        assert torch(matrices, "2.15.0", "cu132", "win_amd64").origin.evidence == "inferred"

    def test_companions(self, matrices: Matrices) -> None:
        build = torch(matrices, "2.1.2", "cu121")
        assert (build.torchvision, build.torchaudio) == ("0.16.2", "2.1.2")
        assert torch(matrices, "1.10.0", "cu113").torchvision == "0.11.1"
        assert torch(matrices, "2.15.0", "cu132").torchaudio is None


class TestHashes:
    def test_addresses_of_builds_are_those_the_digests_were_published_for(
        self, matrices: Matrices, catalog: sqlite3.Connection
    ) -> None:
        """Every torch wheel of download.pytorch.org whose digest is known has the address its row gives."""
        published = {
            url
            for (url,) in catalog.execute("SELECT address FROM wheel_hash WHERE address LIKE 'https:%'")
            if "/torch-" in url
        }
        given = {b.url(tag) for matrix in matrices.values() for b in matrix.torch for tag in b.python_tags}
        assert len(published) == 80
        assert published <= given

    def test_by_address_with_either_spelling_of_the_plus(self, catalog: sqlite3.Connection) -> None:
        digest = "676b99efd763abd76cc4b3f70711ee2a0b85bdeafb656d4365740c807abbba69"
        address = "https://download.pytorch.org/whl/cu118/torch-2.2.2{}cu118-cp310-cp310-linux_x86_64.whl"
        assert torch_sha256(catalog, address.format("+")) == digest
        assert torch_sha256(catalog, address.format("%2B") + "#sha256=other") == digest

    def test_one_name_with_other_bytes_on_pypi(self, catalog: sqlite3.Connection) -> None:
        name = "torch-2.2.2-cp310-none-macosx_11_0_arm64.whl"
        index = torch_sha256(catalog, f"https://download.pytorch.org/whl/cpu/{name}")
        pypi = torch_sha256(catalog, name)
        assert None not in (index, pypi)
        assert index != pypi
        assert torch_sha256(catalog, f"https://files.pythonhosted.org/packages/ab/cd/{name}") == pypi

    def test_a_name_of_pypi_says_nothing_about_another_host(self, catalog: sqlite3.Connection) -> None:
        assert torch_sha256(catalog, "torch-2.15.0-cp312-cp312-manylinux_2_28_x86_64.whl") is not None
        assert torch_sha256(catalog, "https://a.example/torch-2.15.0-cp312-cp312-manylinux_2_28_x86_64.whl") is None


class TestOps:
    def test_evidence_is_told_for_each_interpreter(self, matrices: Matrices) -> None:
        row = one(matrices, project="mmcv", provider="openmmlab", version="2.1.0", torch="2.1", variant="cu121")
        assert dict(row.python_tags) == {"cp38": "seen", "cp39": "inferred", "cp310": "seen", "cp311": "seen"}
        assert row.origin.evidence == "listed"
        assert row.origin_of("cp310").source == "addresses used in public repositories"
        assert row.origin_of("cp39").evidence == "inferred"
        assert row.targets is None
        assert row.page_url == "https://download.openmmlab.com/mmcv/dist/cu121/torch2.1.0/index.html"
        assert row.url("cp310") == (
            "https://download.openmmlab.com/mmcv/dist/cu121/torch2.1.0/mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl"
        )

    def test_a_file_seen_under_the_old_layout_keeps_it(self, matrices: Matrices) -> None:
        row = one(matrices, project="mmcv-full", version="1.2.5", torch="1.6", variant="cu101")
        assert row.url("cp37") == (
            "https://download.openmmlab.com/mmcv/dist/1.2.5/torch1.6.0/cu101/"
            "mmcv_full-1.2.5%2Btorch1.6.0%2Bcu101-cp37-cp37m-manylinux1_x86_64.whl"
        )

    def test_1_7_2_is_in_no_table_but_files_of_it_were_seen(self, matrices: Matrices) -> None:
        row = one(matrices, project="mmcv-full", provider="openmmlab", version="1.7.2", torch="2.1", variant="cu121")
        assert row.origin.evidence == "inferred"
        assert dict(row.python_tags) == {"cp38": "seen", "cp39": "inferred", "cp310": "seen"}

    def test_the_end_of_the_official_line(self, matrices: Matrices) -> None:
        official = wheels(matrices, project="mmcv", provider="openmmlab")
        assert {row.version for row in official if row.torch in ("2.2", "2.3", "2.4")} == {"2.2.0"}
        assert not [row for row in official if row.torch == "2.5"]
        windows = wheels(matrices, "win_amd64", project="mmcv", provider="openmmlab")
        assert not [row for row in windows if row.torch == "2.4"]

    def test_no_cp312_before_torch_2_2_and_none_on_windows(self, matrices: Matrices) -> None:
        having = [row for row in wheels(matrices, provider="openmmlab") if "cp312" in row.python_tags]
        assert {row.torch for row in having} == {"2.2", "2.3", "2.4"}
        windows = wheels(matrices, "win_amd64", provider="openmmlab")
        assert not [row for row in windows if "cp312" in row.python_tags]

    def test_official_cpu_wheels_need_no_code_targets(self, matrices: Matrices) -> None:
        assert {row.targets for row in wheels(matrices, provider="openmmlab", variant="cpu")} == {()}

    def test_the_fork_has_no_code_for_the_a100_in_its_newer_builds(self, matrices: Matrices) -> None:
        row = one(matrices, project="onedl-mmcv", version="2.3.6", torch="2.8", variant="cu128")
        assert row.targets == ("7.5", "8.6", "8.9", "9.0", "12.0")
        assert row.import_name == "mmcv"
        assert dict(row.python_tags) == {"cp310": "listed"}

    def test_comfy_forge_has_1_x_with_ops_under_the_name_mmcv(self, matrices: Matrices) -> None:
        row = one(matrices, project="mmcv", provider="comfy-forge")
        assert (row.version, row.torch, row.variant, list(row.python_tags)) == ("1.7.2", "2.8", "cu128", ["cp312"])
        assert row.sha256 == "59bf9f8e87ee467793379822024901546a2390aa1678e193691030942472eaff"
        assert row.url("cp312") == (
            "https://github.com/Comfy-Forge/cuda-wheels/releases/download/mmcv-latest/"
            "mmcv-1.7.2%2Bcu128torch2.8-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
        )

    def test_plans_are_inferred_and_files_of_them_seen(self, matrices: Matrices) -> None:
        row = one(matrices, project="mmcv", provider="biubushy", torch="2.6.0", variant="cu124")
        assert dict(row.python_tags) == {"cp39": "inferred", "cp310": "inferred", "cp311": "inferred", "cp312": "seen"}
        assert "cxx11abiFALSE" in (row.file_url or "")
        assert "cxx11abiTRUE" in (one(matrices, provider="biubushy", torch="2.6.0", variant="cu126").file_url or "")

    def test_astral_is_hearsay_until_its_index_is_read(self, matrices: Matrices) -> None:
        rows = wheels(matrices, provider="astral", project="mmcv")
        assert {row.version for row in rows} == {"2.2.0"}
        assert {row.origin.evidence for row in rows} == {"reported"}
        assert (rows[0].torch, rows[-1].torch) == ("2.4", "2.12")

    def test_free_threaded_interpreters_have_an_abi_tag_of_their_own(self, matrices: Matrices) -> None:
        row = one(matrices, project="mmcv", provider="miropsota", torch="2.11.0", variant="cpu")
        assert (row.url("cp314t") or "").endswith("pt2.11.0cpu-cp314-cp314t-linux_x86_64.whl")

    def test_no_address_has_a_place_left_open(self, matrices: Matrices) -> None:
        for row in all_ops(matrices):
            assert "{" not in row.page_url
            for tag in row.python_tags:
                assert "{" not in (row.url(tag) or "")

    def test_each_row_stands_once(self, matrices: Matrices) -> None:
        official = [row for row in all_ops(matrices) if row.provider == "openmmlab"]
        keys = {(row.project, row.version, row.torch, row.variant, row.platform) for row in official}
        assert len(keys) == len(official)


def all_ops(matrices: Matrices) -> Iterator[OpsWheels]:
    for matrix in matrices.values():
        yield from matrix.ops


class TestFrameworks:
    def test_declared_open_but_asserted_closed(self, matrices: Matrices) -> None:
        mmdet = release(matrices, "mmdet", "2.28.2")
        assert mmdet.declared == {"mmcv-full": ">=1.3.17"}
        assert mmdet.asserted == {"mmcv": ">=1.3.17,<=1.8.0"}
        assert mmdet.declared_in == "extra mim"

    def test_mmdet_3_refuses_mmcv_2_2(self, matrices: Matrices) -> None:
        mmdet = release(matrices, "mmdet", "3.3.0")
        assert mmdet.asserted == {"mmcv": ">=2.0.0rc4,<2.2.0", "mmengine": ">=0.7.1,<1.0.0"}

    def test_asserted_modules_are_named_by_project(self, matrices: Matrices) -> None:
        names = {name for group in matrices["linux_x86_64"].frameworks.values() for r in group for name in r.asserted}
        assert names == {"mmcv", "mmengine", "mmdet", "mmsegmentation", "mmcls"}

    def test_releases_ascend_and_prereleases_stand_in_their_place(self, matrices: Matrices) -> None:
        versions = [each.version for each in matrices["linux_x86_64"].frameworks["mmengine"]]
        assert versions[-4:] == ["0.10.7", "0.11.0rc0", "0.11.0rc2", "0.11.0rc3"]
        assert versions.index("0.9.1") < versions.index("0.10.0")

    def test_yanked_releases(self, matrices: Matrices) -> None:
        assert release(matrices, "mmdet", "1.0rc3").is_yanked
        assert release(matrices, "onedl-mmengine", "0.10.11").is_yanked

    def test_each_release_names_its_own_page(self, matrices: Matrices) -> None:
        assert release(matrices, "mmdet", "3.3.0").origin.source == "https://pypi.org/project/mmdet/3.3.0/"


class TestWalls:
    def test_pkg_resources_breaks_and_weights_only_hurts_some(self, matrices: Matrices) -> None:
        walls = {wall.id: wall for wall in matrices["linux_x86_64"].walls}
        pkg_resources, weights_only = walls["mmengine-pkg-resources"], walls["mmengine-weights-only"]
        assert (pkg_resources.severity, dict(pkg_resources.needs)) == ("breaks", {"setuptools": "<82"})
        assert (weights_only.severity, dict(weights_only.needs)) == ("some", {"torch": "<2.6"})

    def test_numpy_2_is_a_wall_for_old_torch(self, matrices: Matrices) -> None:
        walls = {wall.id: wall for wall in matrices["linux_x86_64"].walls}
        assert (dict(walls["torch-numpy-2"].affects), walls["torch-numpy-2"].platforms) == ({"torch": "<2.3.0"}, ())
        assert walls["torch-numpy-2-windows"].platforms == ("win_amd64",)
        assert walls["torch1-numpy-windows-cp310"].python == "==3.10.*"


class TestCuda:
    def test_floor_and_native_driver(self, matrices: Matrices) -> None:
        toolkits = {toolkit.cuda: toolkit for toolkit in matrices["linux_x86_64"].toolkits}
        assert (toolkits["12.1"].floor_linux, toolkits["12.1"].native_linux) == ("525.60.13", "530.30.02")
        assert (toolkits["11.8"].floor_windows, toolkits["11.8"].native_windows) == ("452.39", "520.06")
        assert (toolkits["13.0"].floor_linux, toolkits["13.0"].native_windows) == ("580", None)

    def test_before_cuda_11_the_floor_is_the_toolkits_own_driver(self, matrices: Matrices) -> None:
        toolkit = next(each for each in matrices["linux_x86_64"].toolkits if each.cuda == "10.2")
        assert toolkit.floor_linux == toolkit.native_linux == "440.33"

    def test_every_variant_has_its_toolkit(self, matrices: Matrices) -> None:
        known = {toolkit.cuda.replace(".", "") for toolkit in matrices["linux_x86_64"].toolkits}
        variants = {build.variant for matrix in matrices.values() for build in matrix.torch} - {"cpu"}
        assert {variant[2:] for variant in variants} <= known

    def test_the_h100_report(self, matrices: Matrices) -> None:
        report = next(each for each in matrices["linux_x86_64"].gpu_reports if each.torch == "2.0")
        assert (report.gpu, report.capability, report.variant, report.works) == ("H100", "9.0", "cu118", False)
        assert report.cure == "build from source with sm_90"


class TestProjects:
    def test_one_import_package_many_owners(self, catalog: sqlite3.Connection) -> None:
        assert [each.name for each in projects_providing(catalog, "mmcv")] == [
            "mmcv", "mmcv-full", "mmcv-lite", "onedl-mmcv",
        ]  # fmt: skip
        mmcv = project(catalog, "mmcv")
        assert mmcv is not None
        assert mmcv.conflicts == ("mmcv-full", "mmcv-lite", "onedl-mmcv")

    def test_what_people_type(self, catalog: sqlite3.Connection) -> None:
        found = dict(catalog.execute("SELECT alias, name FROM project_alias"))
        assert found["mmdetection"] == "mmdet"
        assert found["mmseg"] == "mmsegmentation"
        assert project(catalog, "mmdetection") is None

    def test_a_project_comes_from_its_own_source_only(self, catalog: sqlite3.Connection) -> None:
        mmcv, mmdet = project(catalog, "mmcv"), project(catalog, "mmdet")
        assert mmcv is not None
        assert mmdet is not None
        assert mmcv.urls == ("https://download.openmmlab.com/mmcv/dist/",)
        assert mmcv.sdist_url == "https://pypi.org/simple/"
        assert mmdet.urls == ("https://pypi.org/simple/",)

    def test_every_provider_of_wheels_is_described(self, matrices: Matrices, catalog: sqlite3.Connection) -> None:
        known = providers(catalog)
        assert {row.provider for row in all_ops(matrices)} <= set(known)
        for row in all_ops(matrices):
            for address in (row.page_url, row.url("cp310")):
                assert address is None or address.startswith(known[row.provider].urls)
