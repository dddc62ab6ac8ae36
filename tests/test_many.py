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


def pack(files, **options) -> bytes:
    """Zip pairs of a name, or of an entry, and what it holds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return file.getvalue()


def listed(*files: tuple[str, bytes]) -> list[tuple[str, bytes | str]]:
    """What files and zips hold for us: bytes each, or the reason why not."""
    found = []
    for name, content in unpack.unpack(files):
        try:
            found.append((name, content()))
        except ImageError as error:
            found.append((name, error.reason))
    return found


NESTED = {"../../x.png": b"1", "in.zip": pack({"y": b""}), ".hidden": b""}
MAC = {"a/b.png": b"1", "a/.hidden": b"", "__MACOSX/a/b": b"", "c": b"2"}
SLASHES = [("a\\x.png", b"1"), ("a/x.png", b"2"), ("a/x.png", b"3"), ("/x.png", b"4")]
SAME = ("x.zip", pack({"a.png": b"1"}))
BOOK = pack({"[Content_Types].xml": b"<a/>", "xl/sheet.xml": b"<a/>"})


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            [("1.png", b"1"), ("x.zip", pack(MAC)), ("two", b"3")],
            {"1.png": b"1", "a/b.png": b"1", "c": b"2", "two": b"3"},
        ),
        ([("x.zip", pack(NESTED))], {"../../x.png": b"1", "in.zip": "archive"}),
        ([("x.zip", pack({}))], {"x.zip": "empty"}),
        ([("x.zip", pack({".hidden": b""}))], {"x.zip": "empty"}),
        ([("Labels.XLSX", BOOK)], {"Labels.XLSX": BOOK}),  # is not unpacked
        (
            [SAME, SAME, ("y.zip", SAME[1]), ("a.png", b"2")],
            dict.fromkeys(["x.zip/a.png", "x.zip/a.png (2)", "y.zip/a.png"], b"1")
            | {"a.png": b"2"},
        ),
    ],
)
def test_files_and_zips_are_listed_in_order(files, expected):
    assert listed(*files) == [*expected.items()]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_one_name_get_a_row_each():
    assert [content for _, content in listed(("x.zip", pack(SLASHES)))] == [
        data for _, data in SLASHES
    ]


def test_a_file_of_a_zip_is_never_read_beyond_what_could_be_answered():
    bomb = pack({"bomb": bytes(3 * MAX_BYTES)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < MAX_BYTES
    ((_, content),) = listed(("x.zip", bomb))
    assert len(content) == MAX_BYTES + 1


PLAIN = pack({"x": b"abcdefgh" * 9})
PLACE = PLAIN.index(b"PK\x01\x02")  # of the directory


def patched(data: bytes, *patches: tuple[int, bytes]) -> bytes:
    for place, written in patches:
        data = data[:place] + written + data[place + len(written) :]
    return data


def of_method(number: int) -> bytes:
    method = number.to_bytes(2, "little")
    return patched(PLAIN, (8, method), (PLACE + 10, method))


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (PLAIN[:90], "damaged", "damaged"),
        (patched(PLAIN, (40, b"!")), "damaged", "damaged"),
        (patched(PLAIN, (PLACE + 8, b"\1")), "unsupported", "password"),
        (pack({"x": b"abc"}, compression=zipfile.ZIP_LZMA), "unsupported", "lzma"),
        (pack({"x": b"abc"}, compression=zipfile.ZIP_BZIP2), "unsupported", "bzip2"),
        (of_method(9), "unsupported", "deflate64"),
        (of_method(777), "unsupported", "777"),
        (patched(PLAIN, (PLACE + 40, b"\xff\xa1")), "unsupported", "link"),
        (pack({"x": b"1", "y": b"2"}), "too_large", "more than 1 files"),
    ],
)
def test_a_bad_zip_is_refused_with_a_reason(data, reason, said, monkeypatch):
    monkeypatch.setattr(unpack, "_ENTRIES", 1)
    ((_, content),) = unpack.unpack([("x.zip", data)])
    with pytest.raises(ImageError, match=said) as refusal:
        content()
    assert refusal.value.reason == reason


def entry(name: str, attributes: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("x")
    made.filename = made.orig_filename = name
    made.external_attr = attributes
    return made


def test_zips_of_windows_are_read():
    folders = (
        ("set\\", 0),
        ("set\\NORMAL\\", 0),
        ("set\\dos", 0x10),  # its attribute alone
        ("set\\NORMAL", 0),  # nothing says it but what lies in it
        ("other", 0o40755 << 16),
    )
    files = {
        "set\\NORMAL\\a.png": b"1",
        "set\\PNEUMONIA\\a.png": b"2",
        "C:\\pictures\\b.png": b"3",
        "set\\empty.png": b"",
    }
    entries = [(entry(*folder), b"") for folder in folders]
    entries += [(entry(name, 0x20), data) for name, data in files.items()]
    entries += [(entry("__MACOSX\\set\\._a.png", 0), b"4")]
    expected = [(name.replace("\\", "/"), data) for name, data in files.items()]
    assert listed(("x.zip", pack(entries))) == expected


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
    assert listed(("x.zip", data)) == [(read, b"1")]


@pytest.fixture
def answer(classifier):
    return lambda files: [
        batch_table.answer_one(classifier, read_picture, name, content)
        for name, content in unpack.unpack(files)
    ]


def rows_of(answered) -> list[dict]:
    return [*csv.DictReader(io.StringIO(batch_table._csv(answered).decode()))]


def test_one_bad_file_stops_nothing(answer):
    files = {"<i>good.png": PICTURE, "letter.txt": b"Dear doctor", "cut": PICTURE[:99]}
    answered = answer([("x.zip", pack(files))])
    told = [(row["path"], row["status"], row["reason"]) for row in rows_of(answered)]
    assert told == [
        ("<i>good.png", "ok", ""),
        ("letter.txt", "error", "not_image"),
        ("cut", "error", "damaged"),
    ]
    with zipfile.ZipFile(io.BytesIO(batch_table._zip(answered))) as archive:
        assert archive.namelist() == ["001-<i>good.jpeg"]
    html = batch_table.render(answered, left_out=3)
    assert "&lt;i&gt;good.png" in html
    assert "<i>" not in html
    assert "\n" not in html
    assert "3 more were left out" in html
    assert html.count("<template>") == 3  # refusals open, too
    kind = batch_table.kind(answered[0].row)
    assert html.index(f"1 {kind}") < html.index("2 No answer")


def test_no_name_is_a_formula_to_a_spreadsheet(answer):
    names = ["=1+1.png", "+1", "-1", "@x", "x=1.png", "a/-1"]
    written = [row["path"] for row in rows_of(answer([(n, b"text") for n in names]))]
    assert written == [f"'{name}" for name in names[:4]] + names[4:]


def test_a_batch_that_was_stopped_at_once_has_no_table():
    html = batch_table.render([], stopped=4)
    assert words.STOPPED.format(count=4) in html
    assert "<table" not in html
    assert "download" not in html
