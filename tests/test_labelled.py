"""Tables of labels as people have them: read, or refused with what stands in them.

No wrong reading becomes a truth: each table here either gives the truth that its maker
meant, or none, with a sentence that says why.
"""

import io
import zipfile

import pytest

from pneumonia import LABELS
from pneumonia.serving.rows import Row, write_rows
from pneumonia.web import unpack
from pneumonia.web.yours import trial, truth

FILES = [f"set/xr{number:02}.png" for number in range(8)]
TRUTH = {name: number % 2 for number, name in enumerate(FILES)}
NAMES = [name.rpartition("/")[2] for name in FILES]
SAID = [LABELS[label] for label in TRUTH.values()]
PAIRS = [*zip(NAMES, SAID, strict=True)]


def find(files, **tables) -> truth.Truths:
    """Tables are named as keywords; `__` stands for a dot."""
    named = [
        (name.replace("__", "."), text.encode() if isinstance(text, str) else text)
        for name, text in tables.items()
    ]
    return truth.find(files, named)


def lines(rows, delimiter=",", head=("name", "label"), end="\n") -> str:
    return "".join(delimiter.join(map(str, row)) + end for row in [head, *rows] if row)


def words(*sick_and_well: str) -> list[tuple[str, str]]:
    """Rows in which the classes have other words, that of Normal first."""
    said = (sick_and_well[label] for label in TRUTH.values())
    return [*zip(NAMES, said, strict=True)]


def flags(*columns: str) -> list[list]:
    """Rows of a name and of columns of 0 and 1, one for each name given."""
    of = {
        "Pneumonia": lambda t: t,
        "Normal": lambda t: 1 - t,
        "No Finding": lambda t: 1 - t,
    }
    return [
        [name, *(of.get(column, lambda t: 0)(TRUTH[file]) for column in columns)]
        for file, name in zip(FILES, NAMES, strict=True)
    ]


CORONA = ("", "X_ray_image_name", "Label", "Dataset_type", "Label_1_Virus_category")
CHEXPERT = ("Path", "Sex", "No Finding", "Pneumonia", "Effusion")
RSNA = ("patientId", "x", "y", "width", "height", "Target")
READ = {
    "plain": lines(PAIRS),
    "no head": lines(PAIRS, head=()),
    "semicolons": lines(PAIRS, ";", end="\r\n"),
    "semicolons, said": "sep=;\r\n" + lines(PAIRS, ";", end="\r\n"),
    "tabs": lines(PAIRS, "\t"),
    "pipes": lines(PAIRS, "|"),
    "old Mac": lines(PAIRS, end="\r"),
    "quotes": lines([(f'"{a}"', f'"{b}"') for a, b in PAIRS], ";"),
    "quoted commas": lines(
        [(a, b, '"seen twice, by two"') for a, b in PAIRS],
        head=("name", "label", "note"),
    ),
    "decimal commas": lines(
        [(a, "0,5", b) for a, b in PAIRS], ";", head=("name", "age", "label")
    ),
    "UTF-8 with mark": lines(PAIRS).encode("utf-8-sig"),
    "UTF-16": lines(PAIRS, end="\r\n").encode("utf-16"),
    "UTF-16, tabs": lines(PAIRS, "\t", end="\r\n").encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + lines(PAIRS).encode("utf-16-be"),
    "UTF-16 without mark": lines(PAIRS).encode("utf-16-le"),
    "cp1252": lines(PAIRS, head=("Bildname für Ärzte", "label")).encode("cp1252"),
    "title above": "Our X-rays\n\n" + lines(PAIRS),
    "empty lines": lines(PAIRS).replace("\n", "\n\n"),
    "index in front": lines(
        [(n, *row) for n, row in enumerate(PAIRS)], head=("", "name", "label")
    ),
    "index in front, no head": lines(
        [(n, *row) for n, row in enumerate(PAIRS)], head=()
    ),
    "label first": lines([row[::-1] for row in PAIRS], head=("label", "name")),
    "no suffix": lines(
        [(a.partition(".")[0], b) for a, b in PAIRS], head=("patientId", "label")
    ),
    "other suffix": lines([(a.replace(".png", ".DCM"), b) for a, b in PAIRS]),
    "other case": lines([(a.upper(), b.upper()) for a, b in PAIRS]),
    "dot and slash": lines([(f"./set/{a}", b) for a, b in PAIRS]),
    "absolute": lines([(f"/home/me/set/{a}", b) for a, b in PAIRS]),
    "Windows": lines([(f"C:\\My data\\set\\{a}", b) for a, b in PAIRS]),
    "spaces": lines([(f" {a} ", f" {b}  ") for a, b in PAIRS]),
    "Kaggle's corona set": lines(
        [
            (n, a, "Pnemonia" if b == "Pneumonia" else b, "TRAIN", "")
            for n, (a, b) in enumerate(PAIRS)
        ],
        head=CORONA,
    ),
    "NIH": lines(
        words("No Finding", "Effusion|Pneumonia"),
        head=("Image Index", "Finding Labels"),
    ),
    "list": lines(words("\"['normal']\"", "\"['pneumonia', 'nodule']\"")),
    "kinds of pneumonia": lines(words("Normal", "Bacterial Pneumonia")),
    "underscores": lines(words("NO_FINDING", "viral_pneumonia")),
    "yes and no": lines(words("No", "Yes"), head=("name", "Pneumonia")),
    "true and false": lines(words("FALSE", "TRUE"), head=("name", "has_pneumonia")),
    "0 and 1": lines(flags("Pneumonia"), head=("name", "Pneumonia")),
    "one column a class": lines(
        flags("Normal", "Pneumonia"), head=("id", "NORMAL", "PNEUMONIA")
    ),
    "CheXpert": lines(
        [
            (f"CheXpert-v1.0/set/{a}", "F", n, "" if n else p, e)
            for a, n, p, e in flags("No Finding", "Pneumonia", "Effusion")
        ],
        head=CHEXPERT,
    ),
    "RSNA": lines(
        [(a.partition(".")[0], "", "", "", "", p) for a, p in flags("Pneumonia")] * 2,
        head=RSNA,
    ),
    "a program's column besides": lines(
        [(a, b, "Normal") for a, b in PAIRS], head=("name", "truth", "prediction")
    ),
    "an attribute that is normal": lines(
        [(a, "normal", b) for a, b in PAIRS], head=("name", "exposure", "label")
    ),
    "rows of other files": lines([*PAIRS, ("gone.png", "Normal"), ("x.png", "COVID")]),
    "cells that lack": lines([*PAIRS, ("gone.png",)]),
}


READ["pandas, no heads"] = lines(PAIRS, head=(0, 1))
READ["no head, another word first"] = lines([("a.png", "sick"), *PAIRS], head=())


@pytest.mark.parametrize("kind", READ)
def test_table_is_read(kind):
    found = find(FILES, labels__csv=READ[kind])
    assert found.truth == TRUTH, found
    assert not found.doubts
    (said,) = found.said
    assert said.startswith("labels.csv: ")
    for label in LABELS:
        assert f"is {label}" in said


REFUSED = {
    "0 and 1 that name no class": (
        lines(flags("Pneumonia")),
        "'label' says '0' (4), '1' (4), and its head",
    ),
    "the same without a head": (
        lines([("TRAIN", *row) for row in flags("Pneumonia")], head=()),
        "column 3 says '0' (4)",
    ),
    "other words": (
        lines(words("COVID", "Effusion")),
        "'label' says 'COVID' (4), 'Effusion' (4)",
    ),
    "abnormal": (lines(words("abnormal", "abnormal")), "'label' says 'abnormal' (8)"),
    "told in sentences": (
        lines(words("No evidence of pneumonia", "Pneumonia?")),
        "No evidence",
    ),
    "a program's answer": (
        lines(PAIRS, head=("name", "predicted")),
        "'predicted' sounds like",
    ),
    "an attribute": (
        lines(words("normal", "low"), head=("name", "exposure")),
        "'exposure' says",
    ),
    "two columns that differ": (
        lines(
            [(a, b, "Pneumonia" if n else "Normal") for n, (a, b) in enumerate(PAIRS)],
            head=("name", "reader 1", "reader 2"),
        ),
        "'reader 1' and 'reader 2' contradict each other in 3 rows",
    ),
    "two columns of names": (
        lines(
            [(a, b, c) for (a, c), b in zip(PAIRS, NAMES[::-1], strict=True)],
            head=("name", "file", "label"),
        ),
        "'name' and 'file' both name files",
    ),
    "names of other files": (
        lines([(f"y{a}", b) for a, b in PAIRS]),
        "none of its 8 rows names a file that came. It says 'yxr00.png', and a file is "
        "called 'set/xr00.png'",
    ),
    "one column": ("\n".join(NAMES), "begins with 'xr00.png'"),
    "nothing": ("", "it is empty"),
    "an open quote": ('name,label\n"' + "a," * 100_000, "can't be read"),
    "a spreadsheet": (b"PK\x03\x04" + bytes(99), "spreadsheet"),
    "zeros": (bytes(4000), "left out"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_table_is_refused_with_what_stands_in_it(kind):
    text, said = REFUSED[kind]
    found = find(FILES, labels__csv=text)
    assert found.truth == {}
    assert found.said == []
    (doubt,) = found.doubts
    assert said in doubt
    assert "labels.csv" in doubt
    assert found.why.keys() == {*FILES}


def test_a_number_that_counts_or_measures_names_no_file():
    files = [f"{number}.png" for number in range(8)]
    rows = [(f"P{n}", n, SAID[n]) for n in range(8)]
    found = find(files, labels__csv=lines(rows, head=("patient", "age", "label")))
    assert found.truth == {}
    rows = [(n, f"{7 - n}.png", SAID[n]) for n in range(8)]
    found = find(files, labels__csv=lines(rows, head=("", "file", "label")))
    assert found.truth == {f"{7 - n}.png": n % 2 for n in range(8)}
    found = find(
        files, labels__csv=lines([row[::2] for row in rows], head=("id", "label"))
    )
    assert found.truth == {f"{n}.png": n % 2 for n in range(8)}


COUNTS = """Patient Age|patient|image|scan|number of images|Image number|img count|
patient weight|patient height|scan year|study year|patient sex|Follow-up #|image dose|
number of files|file size|reader id|radiologist_id|index|Image Index|x-ray no|
files per patient|pathology|profile|covid""".replace("\n", "").split("|")


@pytest.mark.parametrize("head", [*COUNTS, ""])
def test_a_number_below_a_head_that_counts_names_no_file(head):
    files = [f"{number}.png" for number in range(1, 9)]
    rows = [(f"{n:08}_000.png", SAID[n], 8 - n) for n in range(8)]
    found = find(
        files, t__csv=lines(rows, head=("Image Index", "Finding Labels", head))
    )
    assert found.truth == {}
    (doubt,) = found.doubts
    assert "no column names the files for certain" in doubt
    assert f"{repr(head) if head else 'column 3'} says " in doubt
    found = find(
        files, t__csv=lines([row[:0:-1] for row in rows], head=(head, "label"))
    )
    assert found.truth == {}


@pytest.mark.parametrize(
    "head",
    """id|ID|patientId|PatientID|patient_id|image id|Image_ID|file|filename|File name|
name|path|file_path|Accession Number|Dateiname|Bild-ID|SOP Instance UID|study_id"""
    "".replace("\n", "").split("|"),
)
@pytest.mark.parametrize("number", ["{}", "{}.0", '="{}"', "'{}'"])
def test_a_number_below_a_head_that_names_is_a_file(head, number):
    rows = [(number.format(n), SAID[n]) for n in range(8)]
    files = [f"{number}.png" for number in range(8)]
    found = find(files, t__csv=lines(rows, head=(head, "label")))
    assert found.truth == {f"{n}.png": n % 2 for n in range(8)}


PROGRAMS = """KI|AI|IA|CAD|CAD result|Algorithm|machine|software|qXR|Lunit|
deep learning|mobilenet|MobileNetV2|ViT|argmax|KI-Befund|AI score|model|prediction|
Vorhersage|Befund (KI)|label by software|result|Ergebnis|answer|group|new"""
QUESTIONS = """indication|clinical question|suspected diagnosis|admission diagnosis|
referral|referral diagnosis|rule out|excluded|differential|differential diagnosis|
Verdachtsdiagnose|Fragestellung|Indikation|history|working diagnosis|Aufnahmediagnose|
diagnosis (suspected)|diagnosis of the referring doctor|Vorbefund|reason"""


@pytest.mark.parametrize(
    "head", (PROGRAMS + "|" + QUESTIONS).replace("\n", "").split("|")
)
@pytest.mark.parametrize(
    "truth_",
    [("Befund", "unauffällig", "Infiltrat"), ("label", "0", "1"), ("", "", "")],
)
def test_only_a_column_whose_head_names_a_label_is_the_truth(head, truth_):
    name, *said = truth_
    rows = [
        (file, said[label], LABELS[label])
        for file, label in zip(NAMES, TRUTH.values(), strict=True)
    ]
    found = find(FILES, t__csv=lines(rows, ";", head=("Datei", name, head)))
    assert found.truth == {}
    (doubt,) = found.doubts
    assert repr(head) in doubt
    assert "truth" in doubt
    rows = [(file, "x", *flag) for file, *flag in flags("Pneumonia")]
    head = f"Pneumonia ({head})"
    found = find(FILES, t__csv=lines(rows, ";", head=("Datei", name, head)))
    assert found.truth == {}


LABELS_SAID = """label|Labels|class|Finding Labels|finding|findings|diagnosis|target|
category|truth|ground truth|Ground_Truth|groundTruth|Befund|Diagnose|Klasse|y|y_true|
pneumonia|normal|Pneumonia?|has_pneumonia|label 1|Label2|final diagnosis|class name|
Normal/Pneumonia|Diagnosis (radiologist)|radiologist|dx|
label (Normal/Pneumonia)|Label (0=normal)"""


@pytest.mark.parametrize("head", LABELS_SAID.replace("\n", "").split("|"))
def test_a_column_whose_head_names_a_label_is_read(head):
    assert find(FILES, t__csv=lines(PAIRS, head=("name", head))).truth == TRUTH
    rows = [(*pair, "Normal") for pair in PAIRS]
    heads = ("name", head, "admission diagnosis")
    assert find(FILES, t__csv=lines(rows, head=heads)).truth == TRUTH


@pytest.mark.parametrize("head", ["image type", "type", "condition", "reading"])
def test_normal_alone_may_be_said_of_a_picture(head):
    rows = words("normal", "inverted")
    assert find(FILES, t__csv=lines(rows, head=("name", head))).truth == {}
    assert find(FILES, t__csv=lines(PAIRS, head=("name", head))).truth == TRUTH
    found = find(FILES, t__csv=lines(rows, head=("name", "label")))
    assert [*found.truth.values()] == [0] * 4


def test_a_disease_besides_is_not_normal():
    head = ("name", "Pneumonia", "Effusion")
    rows = [
        ("xr00.png", 0, 1),
        ("xr01.png", 1, 1),
        ("xr02.png", 0, 0),
        ("xr03.png", -1, 0),
    ]
    found = find(FILES[:4], labels__csv=lines(rows, head=head))
    assert found.truth == {FILES[1]: 1, FILES[2]: 0}
    assert "says Effusion" in found.why[FILES[0]]
    assert "says -1" in found.why[FILES[3]]
    text = lines(words("No Finding", "Pneumonia")) + "xr00.png,Effusion\n"
    found = find(FILES, labels__csv=text)
    assert FILES[0] not in found.truth
    assert "Normal, Effusion" in found.why[FILES[0]]
    assert len(found.truth) == 7


def test_without_pneumonia_is_said_to_be_no_more():
    (said,) = find(FILES, labels__csv=READ["0 and 1"]).said
    assert "'1' (4) is Pneumonia" in said
    assert "'0' (4) is Normal, which then means without pneumonia" in said


def test_a_file_that_stands_in_a_table_several_times_counts_once():
    rows = [(*pair, box) for pair in PAIRS for box in ("1, 2", "3, 4")]
    found = find(FILES, labels__csv=lines(rows, "\t", ("name", "label", "box")))
    assert found.truth == TRUTH
    assert "'Normal' (4) is Normal, 'Pneumonia' (4) is Pneumonia" in found.said[0]
    rows = [(name, label) for name, label in zip(NAMES * 2, [0, 1] * 8, strict=True)]
    (said,) = find(FILES, labels__csv=lines(rows, head=("name", "Pneumonia"))).said
    assert "'1' (4) is Pneumonia" in said and "'0' (4) is Normal" in said


SAME = ["p1/view.png", "p2/view.png", "p3/view.png"]
ROWS = [
    ("p1/view.png", "Normal"),
    ("p2/view.png", "Pneumonia"),
    ("p3/view.png", "Normal"),
]


@pytest.mark.parametrize(
    "change",
    ["{}", "./{}", "/data/set/{}", "D:\\set\\{}", "other/../{}", "SET/{}"],
)
@pytest.mark.parametrize("top", ["", "zip/", "a/b/set/"])
def test_equal_names_get_the_truth_of_their_own_folder(change, top):
    rows = [(change.format(a), b) for a, b in ROWS]
    if "\\" in change:
        rows = [(a.replace("/", "\\"), b) for a, b in rows]
    found = find([top + name for name in SAME], labels__csv=lines(rows))
    assert [*found.truth.values()] == [0, 1, 0]
    assert not found.doubts


def test_what_could_be_several_files_gets_no_label_and_is_counted():
    found = find([*SAME, "one.png"], labels__csv="view.png,Normal\none.png,Pneumonia\n")
    assert found.truth == {"one.png": 1}
    (doubt,) = found.doubts
    assert "gives no label to 3, such as p1/view.png" in doubt
    assert all("which of several files" in found.why[name] for name in SAME)


def test_rows_of_several_xrays_are_no_truth_about_another():
    found = find(["p9/view.png"], labels__csv=lines(ROWS))
    assert found.truth == {}
    assert "such as p9/view.png" in found.doubts[0]


@pytest.mark.parametrize(
    ("files", "rows", "said", "why"),
    [
        (
            ["q1/v.png", "q2/w.png"],
            [("p1/v.png", "Normal"), ("p2/w.png", "Pneumonia")],
            "to 2, such as q1/v.png, because the row of that name lies in another",
            "rows of their names in t.csv lie in other folders",
        ),
        (
            ["v.png"],
            [("p1/v.png", "Normal"), ("p2/v.png", "Pneumonia")],
            "to 1, such as v.png, because rows of several paths end in its name",
            "several paths in t.csv end in their name",
        ),
        (
            ["p1/v.png", "p2/v.png"],
            [("v.png", "Normal")],
            "to 2, such as p1/v.png, because several files are called alike",
            "which of several files",
        ),
    ],
)
def test_it_is_said_whether_files_or_rows_or_folders_leave_a_doubt(
    files, rows, said, why
):
    found = find(files, t__csv=lines(rows, head=("file", "label")))
    assert found.truth == {}
    (doubt,) = found.doubts
    assert said in doubt
    assert all(why in found.why[file] for file in files)


def test_a_row_of_an_xray_that_did_not_come_disturbs_nobody():
    found = find(SAME[:2], labels__csv=lines(ROWS))
    assert found.truth == dict(zip(SAME[:2], (0, 1), strict=True))


def test_tables_of_two_folders_speak_of_their_own():
    files = ["a/x.png", "b/x.png", "c/images/x.png"]
    tables = [
        ("a/labels.csv", b"x.png,Normal\n"),
        ("b/labels.csv", b"x.png,Pneumonia\n"),
        ("c/labels.csv", b"x.png,Normal\n"),
    ]
    found = truth.find(files, tables)
    assert found.truth == dict(zip(files, (0, 1, 0), strict=True))
    assert not found.doubts


def test_tables_that_contradict_each_other_give_no_label():
    found = find(
        FILES,
        one__csv=lines(PAIRS),
        two__csv=lines([*PAIRS[:-1], (NAMES[-1], "Normal")]),
    )
    assert found.truth == {name: TRUTH[name] for name in FILES[:-1]}
    (doubt,) = found.doubts
    assert "one.csv and two.csv contradict each other" in doubt
    assert found.why == {FILES[-1]: "two tables contradict each other"}
    found = find(FILES, one__csv=lines([*PAIRS, (NAMES[0], "Pneumonia")]))
    assert FILES[0] not in found.truth
    assert "Normal, Pneumonia" in found.why[FILES[0]]


def test_a_table_comes_before_the_folders_and_contradictions_are_said():
    files = ["NORMAL/a.png", "in/Pneumonia /b.png", "c.png", "d.png"]
    assert find(files).truth == {files[0]: 0, files[1]: 1}
    found = find(files, t__csv="name,label\nb.png,normal\nx/c.png,PNEUMONIA\nd.png,x\n")
    assert found.truth == {files[0]: 0, files[1]: 0, files[2]: 1}
    (doubt,) = found.doubts
    assert "t.csv contradicts the folder of 1, such as in/Pneumonia /b.png" in doubt
    assert "t.csv says x" in found.why["d.png"]


def test_a_folder_that_names_a_whole_set_says_nothing():
    files = ["pneumonia/NORMAL/a.png", "pneumonia/PNEUMONIA/b.png", "pneumonia/c.png"]
    assert find(files).truth == {files[0]: 0, files[1]: 1}
    files = ["PNEUMONIA/x.png", "PNEUMONIA/NORMAL/h.png", "y.png"]
    found = find(files)
    assert found.truth == {files[1]: 0}
    assert "holds a folder of the other class" in found.why[files[0]]
    assert "no folder is called NORMAL" in found.why[files[2]]
    files = ["NORMAL.zip/a.png", "PNEUMONIA.zip/b.png"]
    assert find(files).truth == {files[0]: 0, files[1]: 1}


def ours(kind: str) -> str:
    """Tables of answers that say the contrary of the truth."""
    wrong = [LABELS[1 - label] for label in TRUTH.values()]
    rows = [
        Row(f"/x/{name}", "ok", said, "0.5000", "true", "", "Mainly left, above.")
        for name, said in zip(NAMES, wrong, strict=True)
    ]
    text = io.StringIO()
    write_rows(rows, text)
    table = [
        line.replace('"', "").split(",", 6) for line in text.getvalue().split("\n")[:-1]
    ]
    if kind == "before zones":
        table = [row[:6] for row in table]
    elif kind == "semicolons":
        return "\ufeff" + lines(table, ";", head=(), end="\r\n")
    elif kind == "columns turned and added":
        table = [["note", *row[::-1]] for row in table]
    elif kind == "truth added":
        table = [
            [*row, said] for row, said in zip(table, ["truth", *SAID], strict=True)
        ]
    elif kind == "no head":
        table = table[1:]
    elif kind == "title above":
        table = [["Answers"], *table]
    elif kind == "few columns":
        table = [row[:3] for row in table]
    elif kind == "API":
        head = ["file", "label", "probabilities.Normal", "certain", "bundle_sha256"]
        table = [
            head,
            *(
                [n, said, "0.9", "True", "ab"]
                for n, said in zip(NAMES, wrong, strict=True)
            ),
        ]
    elif kind == "evaluate":
        head = ["name", "patient", "truth", "p_pneumonia", "label"]
        table = [
            head,
            *(
                [n, "p", said, "0.9", said]
                for n, said in zip(NAMES, wrong, strict=True)
            ),
        ]
    return text.getvalue() if kind == "as it is" else lines(table, "\t", head=())


OURS = (
    "as it is",
    "before zones",
    "semicolons",
    "columns turned and added",
    "truth added",
    "no head",
    "title above",
    "few columns",
    "API",
    "evaluate",
)


@pytest.mark.parametrize("kind", OURS)
def test_answers_of_this_network_are_no_truth(kind):
    files = [
        f"{LABELS[label].upper()}/{n}"
        for n, label in zip(NAMES, TRUTH.values(), strict=True)
    ]
    found = find(files, whatever__csv=ours(kind))
    assert [*found.truth.values()] == [*TRUTH.values()]
    assert [
        "whatever.csv holds answers of this network" in d for d in found.doubts
    ] == [True]


def test_a_table_of_somebody_else_may_share_a_word_with_ours():
    head = ("name", "label", "certain")
    found = find(FILES, t__csv=lines([(*row, "yes") for row in PAIRS], head=head))
    assert found.truth == TRUTH


def zipped(files: dict[str, bytes]) -> list[trial.Case]:
    """What the tab makes of a zip; no X-ray is answered."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    found = unpack.unpack([("ours.zip", data.getvalue())])
    return [trial.ask(None, None, name, content) for name, content in found]


def test_tables_are_found_among_the_files(monkeypatch, classifier):
    monkeypatch.setattr(trial, "predict", lambda *_, **__: pytest.fail("no X-ray"))
    cases = zipped(
        {
            "set/Labels.TSV": lines(PAIRS, "\t").encode(),
            "a.txt": lines(PAIRS).encode(),
            "b.xlsx": b"PK\x03\x04",
        }
    )
    assert all(case.table is not None for case in cases)
    cases += [trial.Case(name, p=0.5) for name in FILES]
    found = trial.measure(classifier, cases)
    assert found["n"] == dict.fromkeys(LABELS, 4)
    assert found["files"] == 8
    assert ["b.xlsx is a spreadsheet" in doubt for doubt in found["doubts"]] == [True]
    html = trial.render(classifier, cases)
    assert "b.xlsx is a spreadsheet" in html
    assert "&#39;Pneumonia&#39; (4) is Pneumonia" in html


def test_many_large_tables_cost_little_memory(monkeypatch):
    case = trial.ask(None, None, "t.csv", lambda: b"a,b\n" * 1_000_000)
    assert len(case.table) < 50_000
    monkeypatch.setattr(truth, "MOST_TABLES", 2)
    tables = [(f"{n}.csv", lines(PAIRS).encode()) for n in range(4)]
    found = truth.find(FILES, tables)
    assert len(found.said) == 2
    assert "2 more tables were left out" in found.doubts[0]


def test_a_path_of_any_depth_is_compared_in_little_memory():
    deep = "a/" * 30_000 + "x.png"
    found = find([deep, "y.png"], t__csv=f"{deep},Normal\ny.png,Pneumonia\n")
    assert found.truth == {deep: 0, "y.png": 1}


def test_row_of_another_patient_labels_nothing():
    table = "file,label\np1/1.png,Normal\np2/2.png,Pneumonia\n"
    found = truth.find(["p2/1.png", "p1/2.png"], [("t.csv", table.encode())])
    assert found.truth == {}
    assert "2" in found.doubts[0]


def test_xrays_that_were_moved_keep_their_label():
    table = "file,label\nold/1.png,Normal\nold/2.png,Pneumonia\n"
    found = truth.find(["a/1.png", "b/2.png"], [("t.csv", table.encode())])
    assert found.truth == {"a/1.png": 0, "b/2.png": 1}
    table = "file,label\np1/s1/1.png,Normal\np2/s1/1.png,Pneumonia\n"
    found = truth.find(["p1/1.png", "p2/1.png"], [("t.csv", table.encode())])
    assert found.truth in ({}, {"p1/1.png": 0, "p2/1.png": 1})


@pytest.mark.parametrize(
    "text",
    [
        "file,label,label\na.png,Normal,Pneumonia\nb.png,Pneumonia,Normal\n",
        "file,Pneumonia (0=yes 1=no)\na.png,1\nb.png,0\n",
        "file,Pneumonia (AI)\na.png,1\nb.png,0\n",
        *(
            f"file,{head}\na.png,Normal\nb.png,Pneumonia\n"
            for head in ("pred.label", "PredictedLabel", "AIResult", "yhat", "ResNet50")
        ),
        "file,previous_diagnosis\na.png,Normal\nb.png,Pneumonia\n",
        'file,label\na.png,Normal\nb.png,"Pneumonia\nc.png,Normal\n',
        "path,label,certain\na.png,Normal,true\nb.png,Pneumonia,false\n",
        "path,label,zone\na.png,Normal,x\nb.png,Pneumonia,y\n",
        "Pfad;Status;Ergebnis;W\na.png;ok;Normal;0.0412\nb.png;ok;Pneumonia;0.9312\n",
        7 * "title,\n" + "path,status,label,p_pneumonia\na.png,ok,Normal,0.1000\n",
        "file,label\n",
        "",
    ],
)
def test_no_truth_by_chance(text):
    found = truth.find(["a.png", "b.png", "c.png"], [("t.csv", text.encode())])
    assert found.truth == {}
    assert found.doubts


@pytest.mark.parametrize(
    "text",
    [
        "accession,file,status,reason,diagnosis\n1,a.png,final,cough,Normal\n"
        "2,b.png,final,fever,Pneumonia\n",
        "file,zone,box,label\na.png,3,A,Normal\nb.png,4,B,Pneumonia\n",
        "file,label,reason,warnings\na.png,Normal,cough,\nb.png,Pneumonia,fever,\n",
        'file,comment,label\na.png, "no cough, Normal", Normal\nb.png,x,Pneumonia\n',
        "file,Pneumonia,portable\na.png,0,1\nb.png,1,1\n",
    ],
)
def test_tables_of_others_are_read(text):
    found = truth.find(["a.png", "b.png"], [("t.csv", text.encode())])
    assert found.truth == {"a.png": 0, "b.png": 1}


@pytest.mark.parametrize(
    "head",
    [
        *("COVID", "TB", "lung_cancer", "Effusion", "something"),
        *("possible TB", "deep abscess"),
    ],
)
def test_another_disease_is_not_normal(head):
    text = f"file,Pneumonia,{head}\na.png,0,1\nb.png,1,0\nc.png,0,0\n"
    found = truth.find(["a.png", "b.png", "c.png"], [("t.csv", text.encode())])
    assert found.truth == {"b.png": 1, "c.png": 0}


def test_no_pneumonia_of_one_kind_is_not_normal():
    text = "file,Bacterial Pneumonia\na.png,0\nb.png,1\n"
    found = truth.find(["a.png", "b.png"], [("t.csv", text.encode())])
    assert found.truth == {"b.png": 1}


@pytest.mark.parametrize(
    ("text", "said", "why"),
    [
        (
            "file,Pneumonia,bacterial pneumonia,viral pneumonia\na.png,1,0,1\n"
            "b.png,0,0,0\n",
            "In 'bacterial pneumonia', '0' (2) says neither Normal nor Pneumonia.",
            None,
        ),
        (
            "file,bacterial pneumonia,viral pneumonia\na.png,0,1\nb.png,0,0\n",
            "In 'bacterial pneumonia', '0' (2) says neither Normal nor Pneumonia.",
            "t.csv says 0 in 'bacterial pneumonia' and 0 in 'viral pneumonia'",
        ),
        (
            "file,No Finding,Pneumonia\na.png,,1.0\nb.png,,-1.0\n",
            "In 'Pneumonia', '1.0' (1) is Pneumonia",
            "t.csv says -1.0 in 'Pneumonia'",
        ),
        (
            "file,No Finding,Pneumonia\na.png,0,1\nb.png,,0\n",
            "In 'No Finding', '0' (1) says neither Normal nor Pneumonia.",
            "t.csv says 0 in 'Pneumonia'",
        ),
        (
            "file,Normal,Pneumonia\na.png,0,1\nb.png,,\n",
            "In 'Pneumonia', '1' (1) is Pneumonia",
            "t.csv says nothing",
        ),
    ],
)
def test_no_sentence_about_a_column_has_a_hole(text, said, why):
    found = find(["a.png", "b.png"], t__csv=text)
    assert said in found.said[0]
    assert found.why.get("b.png") == why
    for sentence in [*found.said, *found.doubts, *found.why.values()]:
        assert ", ." not in sentence and "says ," not in sentence


@pytest.mark.parametrize(
    "names",
    [
        ["x.png", "x.png", "x.png (2)"],
        ["x.png (2)", "x.png", "x.png", "x.png"],
        ["x.png", "x.png (2)", "x.png", "x.png (2)", "x.png (2)"],
    ],
)
def test_no_two_files_get_one_name(names):
    found = [name for name, _ in unpack.unpack([(name, b"") for name in names])]
    assert len({*found}) == len(names)
    assert {*names} <= {*found}
    assert all(n.startswith(name) for n, name in zip(found, names, strict=True))


def test_rows_longer_than_the_head_are_left_out():
    text = "file,comment,label\na.png,x,Normal\nb.png,x,Pneumonia\n"
    text += "c.png,no cough, normal,Pneumonia\n"
    found = truth.find(["a.png", "b.png", "c.png"], [("t.csv", text.encode())])
    assert found.truth == {"a.png": 0, "b.png": 1}
    assert "1 rows that are longer" in found.doubts[0]
    assert "longer than its head" in found.why["c.png"]
