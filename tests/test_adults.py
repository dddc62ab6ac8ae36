"""How X-rays of adults are laid out by a table."""

from pathlib import Path

import pytest
from PIL import Image

from pneumonia.__main__ import main
from pneumonia.data.folder import load

HEAD = "file,age,class by RSNA radiologists"
ROWS = (
    "NORMAL/00000001_000.png,40,",
    "NORMAL/00000002_000.png,17,",
    "NORMAL/00000003_000.png,30,Lung Opacity",
    "PNEUMONIA/00000004_000.png,50,Normal",
    "PNEUMONIA/00000004_001.png,50,",
    "PNEUMONIA/00000005_000.png,18,No Lung Opacity / Not Normal",
    "PNEUMONIA/00000006_000.png,60,",
    "PNEUMONIA/00000007_000.png,12,Lung Opacity",
)


def lay_out(tmp_path: Path, rows: tuple[str, ...] = ROWS, head: str = HEAD) -> Path:
    for row in ROWS:
        path = tmp_path / "in" / row.split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").save(path)
    table, out = tmp_path / "labels.csv", tmp_path / "out"
    table.write_text("\n".join([head, *rows]))
    main(["adults", str(tmp_path / "in"), "--labels", str(table), "--out", str(out)])
    return out


def test_radiologists_count_and_children_are_left_out(tmp_path, capsys):
    out = lay_out(tmp_path)
    files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png"))
    assert files == [
        "mined/NORMAL/00000001_000.png",
        "mined/PNEUMONIA/00000006_000.png",
        "read/NORMAL/00000004_000.png",
        "read/PNEUMONIA/00000003_000.png",
    ]
    said = capsys.readouterr().out
    assert "left out, a child: 2" in said
    assert "left out, neither normal nor opaque: 1" in said
    assert len(load(out, progress=False, labelled=False).names) == 4


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        (ROWS, "file,age,view", "whose name begins with class"),
        (("NORMAL/00000001_000.png,old,",), HEAD, "expected years"),
        (("NORMAL/00000001_000.png,40,Ill",), HEAD, "has the class 'Ill'"),
        (("elsewhere.png,40,",), HEAD, "names no picture"),
    ],
)
def test_a_table_that_does_not_fit_says_what_was_expected(tmp_path, rows, head, said):
    with pytest.raises(SystemExit, match=said):
        lay_out(tmp_path, rows, head)


def test_nothing_is_mixed_with_what_is_there(tmp_path):
    lay_out(tmp_path)
    with pytest.raises(SystemExit, match="not empty"):
        lay_out(tmp_path)
