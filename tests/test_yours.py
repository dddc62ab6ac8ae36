"""Does it work here: labelled X-rays of a visitor are answered and measured."""

import base64
import contextlib
import csv
import io
import os
import re
import shutil
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import expect
from sklearn.metrics import roc_auc_score

from pneumonia import LABELS, MAX_BYTES, SENTENCES, TOO_LARGE, examples
from pneumonia.__main__ import main
from pneumonia.web import words
from pneumonia.web.demo import ask_many
from pneumonia.web.tab_words import LABELLED
from pneumonia.web.unpack import unpack
from pneumonia.web.yours import trial
from pneumonia.web.yours.figures import inflate
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
    assert "1 Normal: This file is not a picture that can be read here." in page
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


@pytest.fixture
def room(browser, gradio_url):
    """The tab, and a page that keeps what it sends."""
    page = browser.new_page()
    page.sent = []
    page.on("request", lambda r: r.method == "POST" and page.sent.append(r))
    page.goto(gradio_url)
    page.get_by_role("tab", name=words.TAB_YOURS).click()
    page.locator("yours-room input").wait_for(state="attached")
    page.sent.clear()
    yield page
    page.close()


def give(page, *files: Path) -> None:
    page.locator("yours-room input").set_input_files(files)


def asked(page, path: str) -> list:
    return [one for one in page.sent if urlsplit(one.url).path == f"/{path}"]


def decided(page):
    """The choices, once all is measured."""
    choices = page.locator("yours-room .decide")
    expect(choices).to_be_visible(timeout=60_000)
    return choices


def test_a_zip_is_measured_in_the_demo(room, gradio_url, tmp_path):
    with zipfile.ZipFile(tmp_path / "ours.zip", "w") as archive:
        for one in examples():
            archive.write(one.path, f"{one.truth.upper()}/{one.path.name}")
    give(room, tmp_path / "ours.zip")
    choices = decided(room)
    measured = room.locator("yours-room .measured")
    expect(measured.get_by_text(words.YOURS["auroc"], exact=True)).to_be_visible()
    assert measured.locator("svg .ideal").count() == 2
    assert measured.locator("svg text").all_text_contents().count("50%") == 4
    parts = asked(room, "answers")
    assert {urlsplit(one.url).query for one in parts} == {"name=part.zip"}
    assert len(room.sent) == len(parts) + 1  # nothing goes to Gradio's folder

    wrong = measured.locator(".wrong li")
    assert wrong.count() > 0  # wrong ones ship on purpose
    picture = wrong.first.locator("img")
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 30
    with room.expect_download() as download:
        measured.get_by_role("link", name=words.YOURS["table"]).click()
    rows = [*csv.DictReader(Path(download.value.path()).read_text().splitlines())]
    assert len(rows) == len(examples())
    names = {row["file"] for row in rows if row["right"] == "false"}
    assert names == {*wrong.locator("button").all_inner_texts()}
    with room.expect_download() as download:
        choices.get_by_role("button", name=words.YOURS["keep"]).click()
    kept = Path(download.value.path()).read_text()
    assert kept.startswith("<!doctype html>")
    assert words.YOURS["auroc"] in kept
    assert "data:image/jpeg" in kept
    assert "<!--piece-->" not in kept

    name = wrong.first.locator("button").inner_text()
    wrong.first.locator("button").click()  # from the browser's own zip
    opened = room.locator("one-xray answer-card .plate")
    expect(opened).to_have_text(name.rpartition("/")[2])


def inverted(folder: Path, count: int = 12) -> Path:
    """A zip of X-rays that are refused and would be answered all the same."""
    pack = folder / "inverted.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        for one in [e for e in examples() if e.truth == LABELS[0]][: count // 2] + [
            e for e in examples() if e.truth == LABELS[1]
        ][: count // 2]:
            file = io.BytesIO()
            with Image.open(one.path) as picture:
                ImageOps.invert(picture.convert("L")).save(file, "PNG")
            archive.writestr(f"{one.truth}/{one.path.stem}.png", file.getvalue())
    return pack


def test_who_was_refused_is_answered_from_the_browser_s_own_files(room, tmp_path):
    give(room, inverted(tmp_path))
    choices = decided(room)
    measured = room.locator("yours-room .measured")
    expect(measured).to_contain_text(words.YOURS["few"].format(least=trial.LEAST))
    expect(measured).to_contain_text(SENTENCES["negative"])  # and not its code
    assert "negative" not in measured.inner_text().replace(SENTENCES["negative"], "")
    room.sent.clear()
    choices.get_by_role("button", name=words.YOURS["offer"].format(count=12)).click()
    decided(room)
    expect(measured).to_contain_text(words.YOURS["invalid"].format(count=12))
    expect(measured).to_contain_text(words.YOURS["auroc"])
    row = measured.get_by_role("row", name=words.YOURS["far"])
    expect(row).to_contain_text("100.0%")
    assert all("anyway=1" in one.url for one in asked(room, "answers"))
    choices.get_by_role("button", name=words.YOURS["forget"]).click()
    expect(measured).to_be_empty()


def test_a_test_that_is_stopped_goes_on(room, tmp_path):
    count = 20
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(count):
            archive.write(examples()[0].path, f"NORMAL/{number}.jpeg")
    held = []

    def hold(route):
        """Let the first part through; then the server is silent."""
        held.append(route)
        if len(held) == 1:
            route.continue_()

    room.route("**/answers?*", hold)
    give(room, tmp_path / "many.zip")
    progress = room.locator("yours-room .running")
    expect(progress).to_contain_text(re.compile("^ *[1-9]"))
    done = int(progress.inner_text().split()[0])
    progress.get_by_role("button", name=words.STOP).click()
    choices = decided(room)
    expect(room.locator("yours-room .measured")).to_contain_text(
        words.STOPPED.format(count=count - done)
    )
    room.unroute("**/answers?*")
    go_on = words.YOURS["go_on"].format(count=count - done)
    choices.get_by_role("button", name=go_on).click()
    decided(room)
    expect(room.locator("yours-room .measured")).to_contain_text(
        words.YOURS["about"].format(files=count, normal=1, pneumonia=0)
    )  # one: all are copies


def written(**options) -> bytes:
    """A zip with two files of some size."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for number in (1, 2):
            archive.writestr(f"NORMAL/{number}.bin", bytes([number]) * 3000)
    return file.getvalue()


def streamed() -> bytes:
    """As a program writes that can't go back: sizes stand behind the files."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise OSError

    file = Pipe()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 2):
            archive.writestr(f"NORMAL/{number}.bin", bytes([number]) * 3000)
    return file.getvalue()


def long() -> bytes:
    """With places and sizes of 64 bits, as some programs always write."""
    file = io.BytesIO()
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 100)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in (1, 2):
                archive.writestr(f"NORMAL/{number}.bin", bytes([number]) * 3000)
    return file.getvalue()


ZIPS = {
    "stored": written,
    "deflated": lambda: written(compression=zipfile.ZIP_DEFLATED),
    "streamed": streamed,
    "64 bits": long,
    "behind a program": lambda: b"PK\3\4 is here by chance" * 9 + written(),
    "with a remark": lambda: remarked(b"PK\5\6 is here by chance"),
}


def remarked(remark: bytes) -> bytes:
    file = io.BytesIO(written())
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = remark
    return file.getvalue()


CUT = """async (bytes) => {
  const { body, content, list, parts } = await import(
    `${location.origin}/look/parts.js`);
  const data = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
  const text = async (blob) =>
    btoa(String.fromCharCode(...new Uint8Array(await (await blob).arrayBuffer())));
  const items = await list([new File([data], "x.zip")]);
  const unpacked = items.map((item) => content(item, item.name));
  return {
    whole: await Promise.all([...parts(items)].map(body).map(text)),
    alone: await Promise.all(items.map((item) => text(body([item])))),
    unpacked: await Promise.all(unpacked.map(text)),
  };
}"""


@pytest.mark.parametrize("kind", ZIPS)
def test_a_part_of_a_zip_is_a_zip(room, kind):
    cut = room.evaluate(CUT, base64.b64encode(ZIPS[kind]()).decode())
    files = {f"NORMAL/{number}.bin": bytes([number]) * 3000 for number in (1, 2)}
    for parts, count in ((cut["whole"], 1), (cut["alone"], 2)):
        found = {}
        assert len(parts) == count
        for part in parts:
            read = unpack([("part.zip", base64.b64decode(part))])
            found |= {name: content() for name, content in read}
        assert found == files
    assert [*map(base64.b64decode, cut["unpacked"])] == [*files.values()]


def test_what_is_no_zip_or_holds_nothing_says_so(room, tmp_path):
    (tmp_path / "half.zip").write_bytes(written()[:4000])
    (tmp_path / "empty.zip").write_bytes(b"PK\5\6" + bytes(18))
    with (tmp_path / "large.dcm").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    (tmp_path / "labels.csv").write_text(
        "name,label\nhalf.zip,Normal\nempty.zip,Normal\nlarge.dcm,Normal\n"
    )
    give(room, *sorted(tmp_path.iterdir()))
    decided(room)
    measured = room.locator("yours-room .measured")
    for said in (words.BAD_ZIP, words.EMPTY_ZIP, TOO_LARGE.format(size=33, limit=32)):
        expect(measured).to_contain_text(said)
    assert sum(len(one.post_data_buffer or b"") for one in room.sent) < 2**20


def test_odd_answers_are_not_measured(room, gradio_url):
    for odd in ("", "[]", '{"cases": 1}', '{"cases": [{"p": 2}], "left_out": 0}'):
        answer = room.request.post(f"{gradio_url}measured", data=odd.encode())
        assert answer.status == 422
        assert answer.json()["detail"] == words.YOURS["odd"]


def test_a_table_s_bomb_is_read_no_further_than_a_table(classifier):
    bomb = zlib.compress(bytes(2 * MAX_BYTES), 9)
    assert len(inflate(bomb)) == MAX_BYTES + 1
    case = Case("labels.csv", table=bomb)
    (read,) = ask_many.from_json([ask_many.to_json(case)])
    assert vars(read) == vars(case)  # no distance is NaN, which equals nothing
    said = trial.measure(classifier, [case])["doubts"]
    assert said == [LABELLED["large"].format(table="labels.csv", limit=32)]
