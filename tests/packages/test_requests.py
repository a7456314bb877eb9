"""What is asked for: extras, requirements files, installed projects that stay, relaxed bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.solving import CATALOG_PROJECTS, OFFICIAL_PROVIDERS, described, matrix_of
from zoo_cli.packages.decide import decide, make_problem
from zoo_cli.packages.offers import Offers
from zoo_cli.packages.plan import Plan
from zoo_cli.packages.request import BadRequirement, Request, UnknownChoice, keep_installed, parse_want, parse_wants
from zoo_cli.packages.requirements import UnreadableRequirements, read_requirements

A100 = "gpu=A100,driver=535.183.01,python=3.10"


def plan_of(request: Request, machine: str = A100) -> Plan:
    target = described(machine)
    problem = make_problem(
        request, target, matrix_of(target), CATALOG_PROJECTS, Offers(), OFFICIAL_PROVIDERS, frozenset()
    )
    return decide(problem, lambda _url: None, Offers())


def wants(*words: str) -> Request:
    return Request(parse_wants(words, CATALOG_PROJECTS))


class TestExtras:
    def test_go_to_the_installer_with_the_pin(self) -> None:
        plan = plan_of(wants("mmdet[tracking, multimodal]"))
        assert "mmdet[multimodal,tracking]==3.3.0" in plan.requirements()

    def test_of_two_words_are_joined(self) -> None:
        (want,) = parse_wants(["mmdet[tracking]>=3", "mmdet[multimodal]<3.3"], CATALOG_PROJECTS)
        assert str(want) == "mmdet[multimodal,tracking]>=3,<3.3"

    def test_must_be_names(self) -> None:
        with pytest.raises(BadRequirement):
            parse_want("mmdet[a b/c]", CATALOG_PROJECTS)


class TestRequirementsFiles:
    def read(self, tmp_path: Path, text: str) -> tuple[tuple[str, ...], ...]:
        path = tmp_path / "requirements.txt"
        path.write_text(text, encoding="utf-8")
        return tuple(read_requirements((str(path),), CATALOG_PROJECTS))

    def test_what_zoo_chooses_and_what_it_does_not(self, tmp_path: Path) -> None:
        text = "# ours\nmmdet >= 3 \\\n  , < 3.3  # detector\n\ntqdm>=4\npycocotools; python_version < '3.12'\n"
        words, others, places, left_out = self.read(tmp_path, text)
        assert [str(want) for want in parse_wants(words, CATALOG_PROJECTS)] == ["mmdet>=3,<3.3"]
        assert others == ("tqdm>=4", "pycocotools; python_version < '3.12'")
        assert (places, left_out) == ((), ())

    def test_files_name_files_beside_them(self, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        (tmp_path / "more/base.txt").write_text("mmpose\n-r ../last.txt\n", encoding="utf-8")
        (tmp_path / "last.txt").write_text("scipy\n", encoding="utf-8")
        words, others, _places, _left_out = self.read(tmp_path, "-r more/base.txt\nmmdet\n")
        assert (words, others) == (("mmpose", "mmdet"), ("scipy",))

    def test_pages_are_taken_and_indexes_left_out_aloud(self, tmp_path: Path) -> None:
        text = "--extra-index-url https://download.pytorch.org/whl/cu118\n-f https://example.org/wheels/\ntorch\n"
        words, _others, places, left_out = self.read(tmp_path, text)
        assert (words, places) == (("torch",), ("https://example.org/wheels/",))
        assert left_out == (f"{tmp_path / 'requirements.txt'}:1: --extra-index-url",)

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("-e .", "does not take -e"),
            ("-c constraints.txt", "does not take -c"),
            ("tqdm==4.1 --hash=sha256:abc", "options of a single requirement"),
            ("mmdet; python_version < '3.9'", "no marker"),
            ("torch @ https://example.org/torch.whl", "no address"),
            ("not a requirement!", ""),
        ],
    )
    def test_what_cannot_be_kept_is_an_error_with_its_place(self, tmp_path: Path, line: str, reason: str) -> None:
        with pytest.raises(BadRequirement) as caught:
            self.read(tmp_path, f"scipy\n{line}\n")
        assert "requirements.txt:2: " in caught.value.reason
        assert reason in caught.value.reason

    def test_a_file_that_names_itself_ends(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableRequirements, match="deep"):
            self.read(tmp_path, "-r requirements.txt\n")

    @pytest.mark.parametrize("body", [b"\xff\xfe\x00mmdet", b"#" * ((1 << 20) + 1)])
    def test_no_text_and_no_end(self, tmp_path: Path, body: bytes) -> None:
        path = tmp_path / "requirements.txt"
        path.write_bytes(body)
        with pytest.raises(UnreadableRequirements):
            read_requirements((str(path),), CATALOG_PROJECTS)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableRequirements, match="No such file"):
            read_requirements((str(tmp_path / "none.txt"),), CATALOG_PROJECTS)

    def test_others_reach_the_installer(self) -> None:
        request = Request(parse_wants(["mmdet"], CATALOG_PROJECTS), others=("tqdm>=4",))
        assert plan_of(request).requirements()[-1] == "tqdm>=4"


class TestKeeping:
    machine = described(f"{A100},torch=2.1.0+cu121")

    def test_torch_stays(self) -> None:
        request = Request(parse_wants(["mmdet"], CATALOG_PROJECTS), replace=frozenset({"torch", "mmdet"}))
        kept = keep_installed(request, ["torch"], self.machine, CATALOG_PROJECTS)
        assert (kept.replace, kept.wants) == (frozenset({"mmdet"}), request.wants)

    def test_what_is_not_installed_cannot_stay(self) -> None:
        with pytest.raises(UnknownChoice, match="mmcv"):
            keep_installed(wants("mmdet"), ["mmcv"], self.machine, CATALOG_PROJECTS)


class TestRelaxedBounds:
    def test_only_the_upper_bound_goes_and_the_plan_says_what_it_means(self) -> None:
        request = Request(parse_wants(["mmdet"], CATALOG_PROJECTS), relax_asserts=frozenset({"mmdet"}))
        plan = plan_of(request, "gpu=A100,driver=535.183.01,python=3.12")
        (caution,) = [each for each in plan.cautions if each.code == "relaxed-assert"]
        assert dict(caution.values) == {
            "project": "mmdet 3.3.0", "package": "mmdet", "range": ">=2.0.0rc4,<2.2.0", "chosen": "mmcv 2.2.0",
            "needed": "mmcv", "raised": "2.2.1",
        }  # fmt: skip

    def test_nothing_is_said_where_the_bound_holds(self) -> None:
        request = Request(parse_wants(["mmdet", "mmcv==2.1.0"], CATALOG_PROJECTS), relax_asserts=frozenset({"mmdet"}))
        assert "relaxed-assert" not in {caution.code for caution in plan_of(request).cautions}
