"""`iotop-ng simulate`: what it prints, and how a mistake is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iotop_ng.cli import main

SHORT = """
title = "short"
duration = "4s"
[[writer]]
name = "flood"
hog = true
rate = "400MB/s"
"""


@pytest.fixture
def scene(tmp_path: Path) -> str:
    """A scenario that is over at once."""
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return str(path)


def test_the_table_has_a_line_and_a_plot_per_policy(
    scene: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.run(["simulate", scene, "--policy", "none", "--policy", "rules"])
    lines = capsys.readouterr().out.splitlines()

    assert code == 0
    assert lines[0] == "short: short"
    assert lines[3].split()[:3] == ["POLICY", "ISOL", "ISOL-05"]
    assert [line.split()[0] for line in lines[4:6]] == ["none", "rules"]
    assert sum(" p99  " in line for line in lines[6:-5]) == 2


def test_json_is_one_object_and_the_same_for_the_same_seed(
    scene: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for seed in ("7", "7", "8"):
        assert main.run(["simulate", scene, "--policy", "none", "--seed", seed, "--json"]) == 0
        texts.append(capsys.readouterr().out)
    report = json.loads(texts[0])

    assert texts[0] == texts[1] != texts[2]
    assert (report["schema"], report["seed"]) == (1, 7)
    assert report["policies"][0]["score"]["policy"] == "none"
    assert report["policies"][0]["score"]["neighbour_pct"] is None
    assert len(report["policies"][0]["worst_fsync_ns"]) == 4


def test_a_file_of_rules_is_a_policy(
    scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "mine.toml"
    rules.write_text('[[guard]]\nname = "g"\ncap = "10MB/s"\n')
    assert main.run(["simulate", scene, "--policy", str(rules), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["policies"]

    assert run["score"]["writes"] == 1
    assert run["hog_bytes_per_s"][-1] == pytest.approx(10e6, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stedy"], "did you mean 'steady'?"),
        (["--policy", "rulez"], "did you mean 'rules'?"),
        (["--policy", "/nonexistent/r.toml"], "cannot be read"),
        (["--seed", "-1"], "-1"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.run(["simulate", *arguments])
    said = capsys.readouterr()

    assert (code, said.out) == (2, "")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_mistakes_in_rules_are_all_told(
    scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "bad.toml"
    rules.write_text('[[guard]]\nname = "g"\ncp = "10MB/s"\n[[rule]]\n')
    code = main.run(["simulate", scene, "--policy", str(rules)])
    said = capsys.readouterr().err

    assert code == 2
    assert "bad.toml:3: unknown key 'cp' (did you mean 'cap'?)" in said
    assert "bad.toml:4: name is missing" in said
