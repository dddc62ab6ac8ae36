"""A batch: every file gets its row, whatever it holds, and a zip costs no more."""

import csv
import io
import zipfile

import pytest

from pneumonia import ImageError, phantoms
from pneumonia.reading.image import read_picture
from pneumonia.reading.picture import MAX_BYTES
from pneumonia.web import unpack, words
from pneumonia.web.demo import batch_table

PICTURE = phantoms()[0].read_bytes()


def pack(files: dict[str, bytes], **options) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def contents(data: bytes) -> dict[str, bytes | str]:
    """What a zip holds for us: bytes, or the reason why not."""
    found = {}
    for name, content in unpack.unpack([("x.zip", data)]):
        try:
            found[name] = content()
        except ImageError as error:
            found[name] = error.reason
    return found


def test_files_and_zips_are_listed_in_order():
    data = pack({"a/b.png": b"1", "a/.hidden": b"", "__MACOSX/a/b": b"", "c": b"2"})
    files = [("one.png", PICTURE), ("x.zip", data), ("two", b"3")]
    found = {name: content() for name, content in unpack.unpack(files)}
    expected = {"one.png": PICTURE, "a/b.png": b"1", "c": b"2", "two": b"3"}
    assert found == expected
    assert list(found) == list(expected)


def test_files_of_equal_names_can_be_told_apart():
    data = pack({"a.png": b"1"})
    files = [("x.zip", data), ("x.zip", data), ("y.zip", data), ("a.png", b"2")]
    names = [name for name, _ in unpack.unpack(files)]
    assert names == ["x.zip/a.png", "x.zip/a.png (2)", "y.zip/a.png", "a.png"]


def test_every_file_of_a_zip_gets_a_row():
    data = pack({"../../x.png": b"1", "inner.zip": pack({"y": b""}), ".hidden": b""})
    assert contents(data) == {"../../x.png": b"1", "inner.zip": "archive"}
    assert contents(pack({})) == {"x.zip": "empty"}
    assert contents(pack({".hidden": b""})) == {"x.zip": "empty"}


def test_a_file_of_a_zip_is_never_read_beyond_what_could_be_answered():
    bomb = pack({"bomb": bytes(3 * MAX_BYTES)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < MAX_BYTES
    assert len(contents(bomb)["bomb"]) == MAX_BYTES + 1


@pytest.mark.parametrize(
    ("way", "reason", "said"),
    [
        ("cut", "damaged", "damaged"),
        ("changed", "damaged", "damaged"),
        ("encrypted", "unsupported", "password"),
        ("lzma", "unsupported", "lzma"),
        ("bzip2", "unsupported", "bzip2"),
        ("deflate64", "unsupported", "deflate64"),
        ("unknown", "unsupported", "777"),
        ("link", "unsupported", "link"),
        ("too many", "too_large", "more than 0 files"),
    ],
)
def test_a_bad_zip_is_refused_with_a_reason(way, reason, said, monkeypatch):
    data = bytearray(pack({"x": b"abcdefgh" * 9}))
    directory = data.index(b"PK\x01\x02")
    if way == "cut":
        data = data[:90]
    elif way == "changed":
        data[40] ^= 1
    elif way == "encrypted":
        data[directory + 8] |= 1
    elif way in ("lzma", "bzip2"):
        method = {"lzma": zipfile.ZIP_LZMA, "bzip2": zipfile.ZIP_BZIP2}[way]
        data = pack({"x": b"abc"}, compression=method)
    elif way in ("deflate64", "unknown"):
        method = {"deflate64": 9, "unknown": 777}[way].to_bytes(2, "little")
        data[8:10] = data[directory + 10 : directory + 12] = method
    elif way == "link":
        data[directory + 38 : directory + 42] = (0o120777 << 16).to_bytes(4, "little")
    else:
        monkeypatch.setattr(unpack, "_ENTRIES", 0)
    ((_, content),) = unpack.unpack([("x.zip", bytes(data))])
    with pytest.raises(ImageError, match=said) as refusal:
        content()
    assert refusal.value.reason == reason


def test_zips_of_windows_are_read():
    """Backslashes in names, and folders as entries of every kind."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content, attributes in (
            ("set\\", b"", 0),
            ("set\\NORMAL\\", b"", 0),
            ("set\\PNEUMONIA", b"", 0x10),  # the attribute of DOS alone
            ("set\\NORMAL", b"", 0),  # nothing says it but what lies in it
            ("other", b"", 0o40755 << 16),
            ("set\\NORMAL\\a.png", b"1", 0x20),
            ("set\\PNEUMONIA\\a.png", b"2", 0x20),
            ("C:\\pictures\\b.png", b"3", 0x20),
            ("__MACOSX\\set\\._a.png", b"4", 0),
            ("set\\empty.png", b"", 0x20),
        ):
            member = zipfile.ZipInfo("x")
            member.filename = member.orig_filename = name
            member.external_attr = attributes
            archive.writestr(member, content)
    assert contents(file.getvalue()) == {
        "set/NORMAL/a.png": b"1",
        "set/PNEUMONIA/a.png": b"2",
        "C:/pictures/b.png": b"3",
        "set/empty.png": b"",
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Lunge-ä.png".encode(), "Lunge-ä.png"),  # macOS says UTF-8 nowhere
        ("Lunge-ä.png".encode("cp437"), "Lunge-ä.png"),
        ("肺.png".encode(), "肺.png"),
    ],
)
def test_names_in_zips_are_read_in_their_code_page(written, read):
    data = pack({"x" * len(written): b"1"}).replace(b"x" * len(written), written)
    assert contents(data) == {read: b"1"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_one_name_get_a_row_each():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a\\x.png", b"1")
        archive.writestr("a/x.png", b"2")
        archive.writestr("a/x.png", b"3")
        archive.writestr("/abs/x.png", b"4")
    assert [*contents(file.getvalue()).values()] == [b"1", b"2", b"3", b"4"]


def test_a_spreadsheet_is_not_unpacked():
    book = pack({"[Content_Types].xml": b"<a/>", "xl/sheet.xml": b"<a/>"})
    assert [name for name, _ in unpack.unpack([("Labels.XLSX", book)])] == [
        "Labels.XLSX"
    ]


def test_one_bad_file_stops_nothing(classifier):
    data = pack(
        {"<i>good.png": PICTURE, "letter.txt": b"Dear doctor", "cut": PICTURE[:99]}
    )
    answered = [
        batch_table.answer_one(classifier, read_picture, name, content)
        for name, content in unpack.unpack([("x.zip", data)])
    ]
    assert [one.row.status for one in answered] == ["ok", "error", "error"]
    assert [one.row.reason for one in answered[1:]] == ["not_image", "damaged"]
    table = list(csv.DictReader(io.StringIO(batch_table._csv(answered).decode())))
    assert [row["path"] for row in table] == ["<i>good.png", "letter.txt", "cut"]
    with zipfile.ZipFile(io.BytesIO(batch_table._zip(answered))) as archive:
        assert archive.namelist() == ["001-<i>good.jpeg"]
    html = batch_table.render(answered, left_out=3)
    assert "&lt;i&gt;good.png" in html
    assert "<i>" not in html
    assert "\n" not in html
    assert "3 more were left out" in html
    assert html.count("<template>") == 3  # refusals open, too
    assert html.index(f"1 {batch_table.kind(answered[0].row)}") < html.index(
        "2 No answer"
    )


def test_no_name_is_a_formula_to_a_spreadsheet(classifier):
    names = ["=1+1.png", "+1", "-1", "@x", "x=1.png", "a/-1"]
    answered = [
        batch_table.answer_one(classifier, read_picture, name, lambda: b"no picture")
        for name in names
    ]
    table = csv.DictReader(io.StringIO(batch_table._csv(answered).decode()))
    written = [row["path"] for row in table]
    assert written == ["'=1+1.png", "'+1", "'-1", "'@x", "x=1.png", "a/-1"]


def test_a_batch_that_was_stopped_at_once_has_no_table():
    html = batch_table.render([], stopped=4)
    assert words.STOPPED.format(count=4) in html
    assert "<table" not in html
    assert "download" not in html
