"""Does it work here: labelled X-rays of a visitor are answered and measured."""

import contextlib
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from sklearn.metrics import roc_auc_score

from pneumonia import LABELS, examples
from pneumonia.__main__ import main
from pneumonia.web import words
from pneumonia.web.yours import trial
from pneumonia.web.yours.trial import Case


def drawn(n: int, apart: float, seed: int = 0) -> list[Case]:
    rng = np.random.default_rng(seed)
    sick = np.arange(n) % 2
    p = np.clip(rng.normal(0.5 + apart * (sick - 0.5), 0.2), 0, 1).round(2)
    return [
        Case(f"{LABELS[ill].upper()}/{i}.png", float(value), distance=0.5)
        for i, (ill, value) in enumerate(zip(sick, p, strict=True))
    ]


def test_figures_are_those_of_the_field(classifier):
    cases = [*drawn(300, 0.4), Case("NORMAL/x", reason="not_image"), Case("y", p=0.3)]
    found = trial.measure(classifier, cases)
    truth = np.arange(300) % 2
    p = np.array([case.p for case in cases[:300]])
    assert found["files"] == 302
    assert found["n"] == dict.fromkeys(LABELS, 150)
    assert found["unlabelled"] == ["y"]
    ((reason, first, count),) = found["why"]
    assert (first, count) == ("y", 1)
    assert found["said"] == ["Folders named the class of 151 Normal, 150 Pneumonia."]
    assert found["refused"] == {("not_image", "Normal"): 1}
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(truth, p))
    low, high = found["auroc"]["ci95"]
    assert low < found["auroc"]["value"] < high
    assert high - low < 0.1
    said = p >= classifier.threshold
    assert found["sensitivity"]["value"] == pytest.approx(said[truth == 1].mean())
    assert found["specificity"]["value"] == pytest.approx(1 - said[truth == 0].mean())
    assert sum(map(sum, found["bands"].values())) == 300
    assert found["far"]["value"] == 0
    assert found["unlike"] == {}
    assert sum(place["n"] for place in found["reliability"]) == 300
    chosen = p >= found["threshold"]
    best = chosen[truth == 1].mean() + 1 - chosen[truth == 0].mean()
    honest = found["cross_validated"]
    assert honest["sensitivity"]["value"] + honest["specificity"]["value"] <= best
    assert best >= found["sensitivity"]["value"] + found["specificity"]["value"]


def test_what_is_wanted_here_is_chosen_here(classifier):
    """Everything is 0.3 too low: the operating point that ships misses the sick."""
    cases = [replace(case, p=max(case.p - 0.3, 0)) for case in drawn(400, 0.6)]
    found = trial.measure(classifier, cases)
    assert found["sensitivity"]["value"] < 0.6
    assert found["threshold"] == pytest.approx(0.2, abs=0.1)
    assert found["cross_validated"]["sensitivity"]["value"] > 0.85


def test_few_are_not_measured(classifier):
    html = trial.render(classifier, drawn(8, 1), left_out=3, stopped=2)
    assert words.YOURS["few"].format(least=trial.LEAST) in html
    assert words.LEFT_OUT.format(count=3, limit=trial.MOST) in html
    assert "\n" not in html


def test_copies_of_an_xray_count_once(classifier):
    """As in the set of Kaggle, which holds every picture twice."""
    cases = [replace(c, digest=c.name.encode()) for c in drawn(20, 0.4)]
    again = [replace(case, name=f"again/{case.name}") for case in cases]
    torn = replace(cases[0], name="PNEUMONIA/again.png")
    found = trial.measure(classifier, [*cases, *again, torn])
    once = trial.measure(classifier, cases[1:])
    assert found["n"] == once["n"]
    assert found["auroc"] == once["auroc"]
    assert found["doubts"] == [
        words.YOURS["torn"].format(
            count=1, one="NORMAL/0.png", two="PNEUMONIA/again.png"
        ),
        words.YOURS["copies"].format(count=21),
    ]


def test_a_folder_becomes_a_page_to_keep(tmp_path, classifier):
    for one in examples():
        folder = tmp_path / "in" / one.truth.upper()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(one.path, folder)
    (tmp_path / "in" / "NORMAL" / "letter.txt").write_text("Dear doctor")
    main(["yours", str(tmp_path / "in"), "--out", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    for text in (words.YOURS["auroc"], *words.YOURS["looks"].values()):
        assert text in page
    assert "1 Normal: <code>not_image</code>" in page
    assert classifier.sha256 in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_command_reads_tables_and_zips_and_says_how(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "ours.zip", "w") as archive:
        for one in examples()[:2]:
            archive.write(one.path, f"set/{one.path.name}")
    table = "".join(f"set\\{one.path.name};{one.truth}\r\n" for one in examples()[:2])
    (tmp_path / "in" / "truth.csv").write_text(table, encoding="utf-16")
    (tmp_path / "in" / "book.xlsx").write_bytes(b"PK\3\4")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nowhere")
    odd = b"<i>-\xff.csv" if os.name == "posix" else b"<i>.csv"
    with contextlib.suppress(OSError):  # a file system may take no such name
        (tmp_path / "in" / os.fsdecode(odd)).write_text("a,b\nc,d\n")
    page = tmp_path / "in" / "page.html"
    main(["yours", str(tmp_path / "in"), "--out", str(page)])
    said = capsys.readouterr().out
    assert "truth.csv: column 1 names the file. In column 2, 'Normal' (1) is" in said
    assert "book.xlsx is a spreadsheet" in said
    assert "not counted: 1, such as gone.png, because no table that was read" in said
    assert "<i>" not in page.read_text()
    assert said.endswith(f" files; the page is written to {page}\n")
    assert "answered and labelled: 1 normal, 1 pneumonia" in page.read_text().lower()


def test_the_command_refuses_before_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "ask", lambda *_: pytest.fail("answered"))
    with pytest.raises(SystemExit, match="error: there is no .*gone. Name a folder"):
        main(["yours", str(tmp_path / "gone"), "--out", str(tmp_path / "page.html")])
    with pytest.raises(SystemExit, match="error: No such file or directory: .*page"):
        main(["yours", str(tmp_path), "--out", str(tmp_path / "gone" / "page.html")])


def test_a_stopped_command_measures_what_it_has(tmp_path, monkeypatch, capsys):
    def ask(classifier, read, name, content, anyway):
        if name == "c.png":
            raise KeyboardInterrupt
        return Case(name, p=0.5)

    monkeypatch.setattr(trial, "ask", ask)
    (tmp_path / "in").mkdir()
    for name in "abcd":
        (tmp_path / "in" / f"{name}.png").touch()
    with pytest.raises(SystemExit) as end:
        main(["yours", str(tmp_path / "in"), "--out", str(tmp_path / "page.html")])
    assert end.value.code == 130
    assert words.STOPPED.format(count=2) in capsys.readouterr().err
    assert words.STOPPED.format(count=2) in (tmp_path / "page.html").read_text()


def test_a_zip_is_measured_in_the_demo(browser, gradio_url, tmp_path):
    with zipfile.ZipFile(tmp_path / "ours.zip", "w") as archive:
        for one in examples():
            archive.write(one.path, f"{one.truth.upper()}/{one.path.name}")
    page = browser.new_page()
    page.goto(gradio_url)
    page.get_by_role("tab", name=words.TAB_YOURS).click()
    panel = page.locator("[role=tabpanel]:visible")
    panel.locator("input[type=file]").set_input_files(tmp_path / "ours.zip")
    expect(panel.get_by_text(words.YOURS["auroc"], exact=True)).to_be_visible(
        timeout=60_000
    )
    with page.expect_download() as download:
        panel.get_by_role("link", name=words.YOURS["keep"]).click()
    kept = Path(download.value.path()).read_text()
    assert kept.startswith("<!doctype html>")
    assert words.YOURS["auroc"] in kept
    page.close()
