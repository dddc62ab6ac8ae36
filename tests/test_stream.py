"""Lines of JSON, lists of paths and closed pipes: what a pipeline needs."""

import csv
import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import datetime

import pytest

from pneumonia import phantoms
from pneumonia.__main__ import main
from pneumonia.reading.files import ListError, find_files, read_list, walk
from pneumonia.serving import rows
from pneumonia.serving.zones import ZONES

PICTURE = phantoms()[0].read_bytes()
COMMAND = [sys.executable, "-m", "pneumonia", "predict"]
COLUMNS = "path,status,label,p_pneumonia,certain,reason,place,partly_outside,"
COLUMNS += "sides_known,valid"  # whatever comes later comes behind these


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "folder"
    place.mkdir()
    for name in ("a", "b", "c d"):
        (place / f"{name}.png").write_bytes(PICTURE)
    (place / "no\npicture.png").write_bytes(b"none")
    return place


def lines(text: str) -> list[dict]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_json_says_all_that_csv_says_and_more(folder, tmp_path, capsys, classifier):
    table = tmp_path / "rows.csv"
    main(["predict", str(folder), "--csv", str(table), "--jsonl"])
    found = lines(capsys.readouterr().out)
    with table.open(newline="") as file:
        cells = [*csv.DictReader(file)]
    assert ",".join(cells[0]).startswith(COLUMNS)
    assert [row["path"] for row in found] == [row["path"] for row in cells]
    for row, of_csv in zip(found, cells, strict=True):
        for name, cell in of_csv.items():
            value = row[name]
            text = "" if value is None else str(value)
            if name == "p_pneumonia" and cell:
                assert value == float(cell)
            elif isinstance(value, bool):
                assert cell == text.lower()
            else:
                assert cell == text
    refused, answered = found[-1], found[0]
    assert (refused["status"], refused["reason"]) == ("error", "not_image")
    assert refused["message"]
    assert answered["zone"] in ZONES
    top, bottom, left, right = answered["box"]
    assert 0 <= top < bottom <= 1
    assert 0 <= left < right <= 1
    assert answered["band"] == list(classifier.uncertain_band)
    assert answered["checksum"] == classifier.sha256
    assert len(answered["file_checksum"]) == 64
    assert datetime.fromisoformat(answered["time"]).tzinfo


@pytest.mark.parametrize("option", ["--csv", "--jsonl"])
def test_a_table_that_was_cut_anywhere_is_gone_on_with(folder, tmp_path, option):
    table = tmp_path / "rows"
    command = ["predict", str(folder), option, str(table)]
    main(command)
    whole = table.read_bytes()
    form = {"--csv": rows.Table, "--jsonl": rows.Lines}[option]
    for length in [*range(0, len(whole), 97), len(whole)]:
        table.write_bytes(whole[:length])
        with closing(form(table, go_on=True)) as opened:
            count = len(opened)
        left = table.read_bytes()
        assert whole.startswith(left)
        assert left in (b"", whole) or left.endswith(b"\n")
        assert count <= 4
    table.write_bytes(whole[: len(whole) // 2])
    main([*command, "--resume"])
    with closing(form(table, go_on=True)) as opened:
        assert len(opened) == 4
        assert all(path in opened for path in folder.iterdir())
        assert folder / "new.png" not in opened


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--csv", COLUMNS.replace("label", "name") + "\nx\n", "no table of answers"),
        ("--csv", COLUMNS + ',colour\nx\n', "no table of answers"),
        ("--csv", '{"path": "x"}\n', "no table of answers"),
        ("--csv", f'{COLUMNS}\nx{",ok" * 9}\n"{"x" * 200_000}', "is damaged: what"),
        ("--jsonl", COLUMNS + "\n", "no table of answers"),
        ("--jsonl", '{"name": "x"}\n', "no table of answers"),
        ("--jsonl", '{"path": "x"}\nno line\n{"path": "y"}\n', "is damaged: what"),
    ],
)  # fmt: skip
def test_another_table_is_refused_and_left_alone(
    folder, tmp_path, option, content, said
):
    table = tmp_path / "rows"
    table.write_text(content)
    with pytest.raises(SystemExit, match=said) as end:
        main(["predict", str(folder), option, str(table), "--resume"])
    assert str(end.value).count("\n") == 0
    assert table.read_text() == content


def test_two_tables_are_brought_to_one_state(folder, tmp_path):
    table, more = tmp_path / "rows.csv", tmp_path / "rows.jsonl"
    main(["predict", str(folder / "b.png"), "--csv", str(table)])
    command = ["predict", str(folder), "--csv", str(table), "--jsonl", str(more)]
    for _ in range(2):
        main([*command, "--resume"])
        assert len(rows.answered(table)) == len(lines(more.read_text())) == 4
        assert len(table.read_text().splitlines()) == 6  # one name has two lines


@pytest.mark.parametrize(("option", "end"), [("-0", b"\0"), (None, b"\n")])
def test_a_list_of_paths_comes_in(folder, tmp_path, option, end):
    names = [b"folder/a.png", b"folder/c d.png", b"gone.png", b"folder"]
    names += [b"folder/no\npicture.png"] if option else []
    given = end.join([*names, b""] if option else names)
    done = subprocess.run(
        [*COMMAND, "-", "--jsonl", *([option] if option else [])],
        input=given, cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    found = [(row["path"], row["reason"]) for row in lines(done.stdout.decode())]
    whole = [f"folder/{name}.png" for name in ("a", "b", "c d")]
    bad = ("folder/no\npicture.png", "not_image")
    assert found == [
        ("folder/a.png", None),
        ("folder/c d.png", None),
        ("gone.png", "unreadable"),
        *((path, None) for path in whole),
        bad,
        *([bad] if option else []),
    ]


def test_a_row_is_there_before_the_next_path_is(folder):
    process = subprocess.Popen(
        [*COMMAND, "-", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for name in ("a.png", "b.png"):
        process.stdin.write(os.fsencode(folder / name) + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["path"] == str(folder / name)
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(60) == 0


def test_what_reads_no_further_ends_it_quietly(tmp_path):
    for number in range(200):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline().startswith(b"path,")
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait(60) == 141
    assert "Error" not in said
    assert "error" not in said


def test_what_is_no_list_is_refused(tmp_path):
    (tmp_path / "long").write_bytes(b"x" * 2**18)
    (tmp_path / "nul").write_bytes(b"a\0b\0")
    for name in ("long", "nul"):
        with (tmp_path / name).open("rb") as file, pytest.raises(ListError, match="-0"):
            list(read_list(file.fileno()))
    (tmp_path / "windows").write_bytes(b"a.png\r\nb.png\r\n")
    with (tmp_path / "windows").open("rb") as file:
        assert [path for path in read_list(file.fileno()) if path] == ["a.png", "b.png"]


def test_options_that_do_not_go_together_are_said(folder, tmp_path):
    both = ["--csv", str(tmp_path / "x"), "--jsonl", str(tmp_path / "x")]
    with pytest.raises(SystemExit, match="the same file"):
        main(["predict", str(folder), *both])
    with pytest.raises(SystemExit, match="no PATH"):
        main(["predict", "--jsonl"])


def test_the_name_after_jsonl_is_what_is_asked_about_if_it_is_the_only_one(
    folder, capsys
):
    main(["predict", "--jsonl", str(folder / "a.png")])
    assert len(lines(capsys.readouterr().out)) == 1


def test_a_walk_goes_where_os_walk_goes(tmp_path):
    deep = tmp_path / "root"
    names = ["b/x", "a/y", "a-b", "a/.hidden", ".git/z", "b/c/d/e", "ring/here"]
    for name in names:
        (deep / name).parent.mkdir(parents=True, exist_ok=True)
        (deep / name).write_text("")
    (deep / "ring" / "back").symlink_to(deep)
    (deep / "ring" / "self").symlink_to(deep / "ring" / "self")
    there = ["a/y", "a-b", "b/c/d/e", "b/x", "ring/here", "ring/self"]
    assert [name for _, name in walk([deep])] == there
    assert [str(name) for _, name in find_files([deep])] == there
    assert list(walk([tmp_path / "gone"])) == [(str(tmp_path / "gone"), "gone")]
