"""Tables of labels as people have them: the truth that was meant, or none and why."""

import csv
import io
import itertools
import zipfile

import pytest

from pneumonia import LABELS
from pneumonia.serving.rows import Row, write_rows
from pneumonia.web import unpack
from pneumonia.web.yours import trial, truth

NAMES = [f"xr{number:02}.png" for number in range(8)]
TRUTH = {f"set/{name}": number % 2 for number, name in enumerate(NAMES)}
WRONG = LABELS[::-1]


def table(row="{f},{l}", head="name,label", end="\n", said=LABELS) -> str:
    """Write a row per X-ray: file, stem, numbers, label, 1 for ill, 1 for not ill."""
    rows = [
        row.format(f=f, s=f[:-4], n=n, m=8 - n, l=said[n % 2], y=n % 2, no=1 - n % 2)
        for n, f in enumerate(NAMES)
    ]
    return "".join(line + end for line in [head, *rows] if line)


def find(text: str | bytes, files=tuple(TRUTH)) -> truth.Truths:
    return truth.find(files, [("t.csv", text.encode() if text is str(text) else text)])


READ = {
    "plain": table(),
    "no head": table(head=""),
    "semicolons": table("{f};{l}", "name;label", "\r\n"),
    "semicolons, said": "sep=;\r\n" + table("{f};{l}", "name;label", "\r\n"),
    "tabs": table("{f}\t{l}", "name\tlabel"),
    "pipes": table("{f}|{l}", "name|label"),
    "old Mac": table(end="\r"),
    "quotes": table('"{f}";"{l}"', "name;label"),
    "quoted commas": table('{f},{l},"seen twice, by two"', "name,label,note"),
    "decimal commas": table("{f};0,5;{l}", "name;age;label"),
    "UTF-8 with mark": table().encode("utf-8-sig"),
    "UTF-16": table(end="\r\n").encode("utf-16"),
    "UTF-16, tabs": table("{f}\t{l}", "name\tlabel", "\r\n").encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + table().encode("utf-16-be"),
    "UTF-16 without mark": table().encode("utf-16-le"),
    "cp1252": table(head="Bildname für Ärzte,label").encode("cp1252"),
    "title above": "Our X-rays\n\n" + table(),
    "empty lines": table(end="\n\n"),
    "index in front": table("{n},{f},{l}", ",name,label"),
    "index in front, no head": table("{n},{f},{l}", ""),
    "label first": table("{l},{f}", "label,name"),
    "no suffix": table("{s},{l}", "patientId,label"),
    "other suffix": table("{s}.DCM,{l}"),
    "other case": table(said=[label.upper() for label in LABELS]).replace("xr", "XR"),
    "dot and slash": table("./set/{f},{l}"),
    "absolute": table("/home/me/set/{f},{l}"),
    "Windows": table("C:\\My data\\set\\{f},{l}"),
    "spaces": table(" {f} , {l}  "),
    "Kaggle's corona set": table(
        "{n},{f},{l},TRAIN,",
        ",X_ray_image_name,Label,Dataset_type,Label_1_Virus_category",
        said=("Normal", "Pnemonia"),
    ),
    "NIH": table(
        head="Image Index,Finding Labels", said=("No Finding", "Effusion|Pneumonia")
    ),
    "list": table(said=("\"['normal']\"", "\"['pneumonia', 'nodule']\"")),
    "kinds of pneumonia": table(said=("Normal", "Bacterial Pneumonia")),
    "underscores": table(said=("NO_FINDING", "viral_pneumonia")),
    "yes and no": table(head="name,Pneumonia", said=("No", "Yes")),
    "true and false": table(head="name,has_pneumonia", said=("FALSE", "TRUE")),
    "0 and 1": table("{f},{y}", "name,Pneumonia"),
    "one column a class": table("{f},{no},{y}", "id,NORMAL,PNEUMONIA"),
    "CheXpert": table(
        "CheXpert-v1.0/set/{f},F,{l},0",
        "Path,Sex,No Finding,Pneumonia,Effusion",
        said=("1,", "0,1"),
    ),
    "RSNA": table("{s},,,,,{y}", "patientId,x,y,width,height,Target")
    + table("{s},,,,,{y}", ""),
    "a program's column": table("{f},{l},Normal", "name,truth,prediction"),
    "an attribute that is normal": table("{f},normal,{l}", "name,exposure,label"),
    "rows of other files": table() + "gone.png,Normal\nx.png,COVID\n",
    "cells that lack": table() + "gone.png\n",
    "pandas, no heads": table(head="0,1"),
    "no head, another word first": "a.png,sick\n" + table(head=""),
    "a column called as ours": table("{f},{l},yes", "name,label,certain"),
}


CONTRARY = table("{f},{l},Pneumonia", "name,reader 1,reader 2")
CONTRARY = CONTRARY.replace("xr00.png,Normal,Pneumonia", "xr00.png,Normal,Normal")
OTHER_NAMES = table("y{f},{l}")
TWO_NAMES = table("{f},xr0{m}.png,{l}", "name,file,label").replace("xr08", "xr00")


@pytest.mark.parametrize("kind", READ)
def test_table_is_read(kind):
    found = find(READ[kind])
    assert found.truth == TRUTH, found
    assert not found.doubts
    (said,) = found.said
    assert said.startswith("t.csv: ")
    assert all(f"is {label}" in said for label in LABELS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (table("{f},{y}"), "'label' says '0' (4), '1' (4), and its head"),
        (table("TRAIN,{f},{y}", ""), "column 3 says '0' (4)"),
        (table(said=("COVID", "TB")), "'label' says 'COVID' (4), 'TB' (4)"),
        (table(said=("abnormal",) * 2), "'label' says 'abnormal' (8)"),
        (table(said=("No evidence of pneumonia", "Pneumonia?")), "No evidence"),
        (table(head="name,predicted"), "'predicted' sounds like"),
        (table(head="name,exposure", said=("normal", "low")), "'exposure' says"),
        (CONTRARY, "'reader 1' and 'reader 2' contradict each other in 3 rows"),
        (TWO_NAMES, "'name' and 'file' both name files"),
        (OTHER_NAMES, "none of its 8 rows names a file that came. It says 'yxr00.png'"),
        (OTHER_NAMES, "and a file is called 'set/xr00.png'"),
        ("\n".join(NAMES), "begins with 'xr00.png'"),
        ("", "it is empty"),
        ('name,label\n"' + "a," * 100_000, "can't be read"),
        (b"PK\x03\x04" + bytes(99), "spreadsheet"),
        (bytes(4000), "left out"),
    ],
)
def test_table_is_refused_with_what_stands_in_it(text, said):
    found = find(text)
    assert (found.truth, found.said) == ({}, [])
    (doubt,) = found.doubts
    assert said in doubt and "t.csv" in doubt
    assert found.why.keys() == TRUTH.keys()


NUMBERED = [f"{number}.png" for number in range(1, 9)]
COUNTS = """age|Patient Age|patient|image|scan|number of images|Image number|img count|
patient weight|patient height|scan year|study year|patient sex|Follow-up #|image dose|
number of files|file size|reader id|radiologist_id|index|Image Index|x-ray no|
files per patient|pathology|profile|covid|"""
NAMING = """id|ID|patientId|PatientID|patient_id|image id|Image_ID|file|filename|
File name|name|path|file_path|Accession Number|Dateiname|Bild-ID|SOP Instance UID|
study_id"""
NO_TRUTH = """KI|AI|IA|CAD|CAD result|Algorithm|machine|software|qXR|Lunit|
deep learning|mobilenet|MobileNetV2|ViT|argmax|KI-Befund|AI score|model|prediction|
Vorhersage|Befund (KI)|label by software|result|Ergebnis|answer|group|new|
indication|clinical question|suspected diagnosis|admission diagnosis|
referral|referral diagnosis|rule out|excluded|differential|differential diagnosis|
Verdachtsdiagnose|Fragestellung|Indikation|history|working diagnosis|Aufnahmediagnose|
diagnosis (suspected)|diagnosis of the referring doctor|Vorbefund|reason|
pred.label|PredictedLabel|AIResult|yhat|ResNet50|previous_diagnosis"""
LABELLING = """label|Labels|class|Finding Labels|finding|findings|diagnosis|target|
category|truth|ground truth|Ground_Truth|groundTruth|Befund|Diagnose|Klasse|y|y_true|
pneumonia|normal|Pneumonia?|has_pneumonia|label 1|Label2|final diagnosis|class name|
Normal/Pneumonia|Diagnosis (radiologist)|radiologist|dx|
label (Normal/Pneumonia)|Label (0=normal)"""


def each_of(heads: str):
    return pytest.mark.parametrize("head", heads.replace("\n", "").split("|"))


@each_of(COUNTS)
def test_a_number_below_a_head_that_counts_names_no_file(head):
    text = table("{n:08}_000.png,{l},{m}", f"Image Index,Finding Labels,{head}")
    found = find(text, NUMBERED)
    assert found.truth == {}
    (doubt,) = found.doubts
    assert "no column names the files for certain" in doubt
    assert f"{repr(head) if head else 'column 3'} says " in doubt
    assert find(table("{m},{l}", f"{head},label"), NUMBERED).truth == {}


@each_of(NAMING)
@pytest.mark.parametrize("number", ["{m}", "{m}.0", '="{m}"', "'{m}'"])
def test_a_number_below_a_head_that_names_is_a_file(head, number):
    found = find(table(number + ",{l}", f"{head},label"), NUMBERED)
    assert found.truth == {f"{8 - n}.png": n % 2 for n in range(8)}


@each_of(NO_TRUTH)
@pytest.mark.parametrize(
    "other", [("Befund", "unauffällig", "Infiltrat"), ("label", "0", "1"), ("", "", "")]
)
def test_only_a_column_whose_head_names_a_label_is_the_truth(head, other):
    name, *words = other
    both = [f"{word};{label}" for word, label in zip(words, LABELS, strict=True)]
    found = find(table("{f};{l}", f"Datei;{name};{head}", said=both))
    assert found.truth == {}
    (doubt,) = found.doubts
    assert repr(head) in doubt and "truth" in doubt
    found = find(table("{f};x;{y}", f"Datei;{name};Pneumonia ({head})"))
    assert found.truth == {}


@each_of(LABELLING)
def test_a_column_whose_head_names_a_label_is_read(head):
    assert find(table(head=f"name,{head}")).truth == TRUTH
    text = table("{f},{l},Normal", f"name,{head},admission diagnosis")
    assert find(text).truth == TRUTH


@each_of("image type|type|condition|reading")
def test_normal_alone_may_be_said_of_a_picture(head):
    inverted = ("normal", "inverted")
    assert find(table(head=f"name,{head}", said=inverted)).truth == {}
    assert find(table(head=f"name,{head}")).truth == TRUTH
    assert [*find(table(said=inverted)).truth.values()] == [0] * 4


VIEWS = "p1/view.png,Normal\np2/view.png,Pneumonia\np3/view.png,Normal\n"


@pytest.mark.parametrize(
    "change", ["{}", "./{}", "/data/set/{}", "D:\\set\\{}", "other/../{}", "SET/{}"]
)
@pytest.mark.parametrize("top", ["", "zip/", "a/b/set/"])
def test_equal_names_get_the_truth_of_their_own_folder(change, top):
    text = "\n".join(change.format(line) for line in VIEWS.split())
    if "\\" in change:
        text = text.replace("/", "\\")
    found = find(text, [f"{top}p{n}/view.png" for n in (1, 2, 3)])
    assert [*found.truth.values()] == [0, 1, 0]
    assert not found.doubts


OTHERS = ("COVID", "TB", "lung_cancer", "Effusion", "something")
DEEP = "a/" * 30_000 + "x.png"
NEITHER = "In 'bacterial pneumonia', '0' (2) says neither Normal nor Pneumonia."


def case(files, text, said="", why=""):
    """Give files with their label or -, a table, what is said, and why there is -."""
    labels = dict(one.split("=") for one in files.split("|"))
    if text and "\n" not in text:  # such as a.png=0|b.png=1
        rows = [one.split("=") for one in text.split("|")]
        text = "".join(f"{name},{LABELS[int(y)]}\n" for name, y in rows)
        text = f"file,label\n{text}"
    return pytest.param(labels, text, said, why)


def of(files, labels) -> str:
    return "|".join(map("=".join, zip(files, labels, strict=True)))


ALL, FIRST = of(TRUTH, "01010101"), of(TRUTH, "-1010101")
CASES = [
    # A number in front names no file where another column does.
    case(of(NUMBERED, "10101010"), table("{n},{m}.png,{l}", ",file,label")),
    # Who has another disease is not normal.
    case(
        "a.png=-|b.png=1|c.png=0|d.png=-",
        "name,Pneumonia,Effusion\na.png,0,1\nb.png,1,1\nc.png,0,0\nd.png,-1,0\n",
        why="says Effusion|says -1",
    ),
    *(
        case(
            "a.png=-|b.png=1|c.png=0",
            f"file,Pneumonia,{x}\na.png,0,1\nb.png,1,0\nc.png,0,0\n",
        )
        for x in (*OTHERS, "possible TB", "deep abscess")
    ),
    case("a.png=-|b.png=1", "file,Bacterial Pneumonia\na.png,0\nb.png,1\n"),
    # A file that stands in a table several times counts once, if all say the same.
    case(
        ALL,
        table("{f}\t{l}\t1, 2\n{f}\t{l}\t3, 4", "name\tlabel\tbox"),
        "'Normal' (4) is Normal, 'Pneumonia' (4) is Pneumonia",
    ),
    case(
        ALL,
        table("{f},{y}\n{f},{y}", "name,Pneumonia"),
        "'1' (4) is Pneumonia, '0' (4) is Normal, which then means without pneumonia",
    ),
    case(FIRST, table() + "xr00.png,Pneumonia\n", why="Normal, Pneumonia"),
    case(FIRST, table() + "xr00.png,Effusion\n", why="Normal, Effusion"),
    # Files and rows of one name in several folders.
    case(
        "p1/view.png=-|p2/view.png=-|p3/view.png=-|one.png=1",
        "view.png=0|one.png=1",
        "gives no label to 3, such as p1/view.png",
        "which of several files",
    ),
    case("p9/view.png=-", VIEWS, "such as p9/view.png"),
    case("p1/view.png=0|p2/view.png=1", VIEWS),
    case(
        "q1/v.png=-|q2/w.png=-",
        "p1/v.png=0|p2/w.png=1",
        "to 2, such as q1/v.png, because the row",
        "t.csv lie in other folders",
    ),
    case(
        "v.png=-",
        "p1/v.png=0|p2/v.png=1",
        "such as v.png, because rows",
        "several paths in t.csv",
    ),
    case(
        "p1/v.png=-|p2/v.png=-",
        "v.png=0",
        "such as p1/v.png, because several files",
        "which of several files",
    ),
    case("p2/1.png=-|p1/2.png=-", "p1/1.png=0|p2/2.png=1", "gives no label to 2"),
    case("a/1.png=0|b/2.png=1", "old/1.png=0|old/2.png=1"),
    case("p1/1.png=-|p2/1.png=-", "p1/s1/1.png=0|p2/s1/1.png=1"),
    case(f"{DEEP}=0|y.png=1", f"{DEEP}=0|y.png=1"),
    # A table comes before the folders, and one that names a whole set says nothing.
    case(
        "NORMAL/a.png=0|in/Pneumonia /b.png=0|c.png=1|d.png=-",
        "name,label\nb.png,normal\nx/c.png,PNEUMONIA\nd.png,x\n",
        "t.csv contradicts the folder of 1, such as in/Pneumonia /b.png",
        "t.csv says x",
    ),
    case("NORMAL/a.png=0|in/Pneumonia /b.png=1|c.png=-", None),
    case("pneumonia/NORMAL/a=0|pneumonia/PNEUMONIA/b=1|pneumonia/c=-", None),
    case(
        "PNEUMONIA/x.png=-|PNEUMONIA/NORMAL/h.png=0|y.png=-",
        None,
        why="holds a folder of the other class|no folder is called NORMAL",
    ),
    case("NORMAL.zip/a.png=0|PNEUMONIA.zip/b.png=1", None),
    # No truth by chance.
    *(
        case("a.png=-|b.png=-|c.png=-", text, "t.csv")
        for text in (
            "file,label,label\na.png,Normal,Pneumonia\nb.png,Pneumonia,Normal\n",
            "file,Pneumonia (0=yes 1=no)\na.png,1\nb.png,0\n",
            "file,Pneumonia (AI)\na.png,1\nb.png,0\n",
            'file,label\na.png,Normal\nb.png,"Pneumonia\nc.png,Normal\n',
            "path,label,certain\na.png,Normal,true\nb.png,Pneumonia,false\n",
            "path,label,zone\na.png,Normal,x\nb.png,Pneumonia,y\n",
            "Pfad;Status;Ergebnis;W\na.png;ok;Normal;0.04\nb.png;ok;Pneumonia;0.93\n",
            7 * "title,\n" + "path,status,label,p_pneumonia\na.png,ok,Normal,0.1000\n",
            "file,label\n",
            "",
        )
    ),
    # Tables of others that look like tables of answers.
    *(
        case("a.png=0|b.png=1", text)
        for text in (
            "accession,file,status,reason,diagnosis\n1,a.png,final,cough,Normal\n"
            "2,b.png,final,fever,Pneumonia\n",
            "file,zone,box,label\na.png,3,A,Normal\nb.png,4,B,Pneumonia\n",
            "file,label,reason,warnings\na.png,Normal,cough,\nb.png,Pneumonia,fever,\n",
            'file,note,label\na.png, "no cough, Normal", Normal\nb.png,x,Pneumonia\n',
            "file,Pneumonia,portable\na.png,0,1\nb.png,1,1\n",
        )
    ),
    case(
        "a.png=0|b.png=1|c.png=-",
        "file,comment,label\na.png,x,Normal\nb.png,x,Pneumonia\n"
        "c.png,no cough, normal,Pneumonia\n",
        "1 rows that are longer",
        "longer than its head",
    ),
    # What is said of a column names what stands in it.
    case(
        "a.png=1|b.png=0",
        "file,Pneumonia,bacterial pneumonia,viral pneumonia\na.png,1,0,1\n"
        "b.png,0,0,0\n",
        NEITHER,
    ),
    case(
        "a.png=1|b.png=-",
        "file,bacterial pneumonia,viral pneumonia\na.png,0,1\nb.png,0,0\n",
        NEITHER,
        "says 0 in 'bacterial pneumonia' and 0 in 'viral pneumonia'",
    ),
    case(
        "a.png=1|b.png=-",
        "file,No Finding,Pneumonia\na.png,,1.0\nb.png,,-1.0\n",
        "In 'Pneumonia', '1.0' (1) is Pneumonia",
        "t.csv says -1.0 in 'Pneumonia'",
    ),
    case(
        "a.png=1|b.png=-",
        "file,No Finding,Pneumonia\na.png,0,1\nb.png,,0\n",
        "In 'No Finding', '0' (1) says neither Normal nor Pneumonia.",
        "t.csv says 0 in 'Pneumonia'",
    ),
    case(
        "a.png=1|b.png=-",
        "file,Normal,Pneumonia\na.png,0,1\nb.png,,\n",
        "In 'Pneumonia', '1' (1) is Pneumonia",
        "t.csv says nothing",
    ),
]


@pytest.mark.parametrize(("labels", "text", "said", "why"), CASES)
def test_each_file_gets_its_own_truth_or_a_reason(labels, text, said, why):
    files = [*labels]
    found = truth.find(files, []) if text is None else find(text, files)
    assert found.truth == {name: int(y) for name, y in labels.items() if y != "-"}
    assert said in "\n".join([*found.said, *found.doubts])
    missing = [name for name, y in labels.items() if y == "-"]
    assert [*found.why] == missing
    for name, reason in zip(missing, itertools.cycle(why.split("|")), strict=False):
        assert reason in found.why[name]
    for sentence in [*found.said, *found.doubts, *found.why.values()]:
        assert ", ." not in sentence and "says ," not in sentence


def test_tables_of_several_folders_speak_of_their_own():
    files = ["a/x.png", "b/x.png", "c/images/x.png"]
    tables = [
        (f"{folder}/labels.csv", f"x.png,{label}\n".encode())
        for folder, label in zip("abc", ("Normal", "Pneumonia", "Normal"), strict=True)
    ]
    found = truth.find(files, tables)
    assert found.truth == dict(zip(files, (0, 1, 0), strict=True))
    assert not found.doubts


def test_tables_that_contradict_each_other_give_no_label():
    other = table().replace("xr07.png,Pneumonia", "xr07.png,Normal")
    tables = [("one.csv", table().encode()), ("two.csv", other.encode())]
    found = truth.find([*TRUTH], tables)
    *rest, last = TRUTH
    assert found.truth == {name: TRUTH[name] for name in rest}
    (doubt,) = found.doubts
    assert "one.csv and two.csv contradict each other" in doubt
    assert found.why == {last: "two tables contradict each other"}


def ours() -> str:
    """Write answers of this network that say the contrary of the truth."""
    text = io.StringIO()
    rows = [
        ("/x/" + n, "ok", WRONG[y]) for n, y in zip(NAMES, TRUTH.values(), strict=1)
    ]
    place = "Mainly left, above."
    write_rows([Row(*row, "0.5000", "true", "", place) for row in rows], text)
    return text.getvalue()


CELLS = [*csv.reader(io.StringIO(ours()))]
TRUE = ["truth", *(LABELS[label] for label in TRUTH.values())]
OURS = {
    "as it is": ours(),
    "semicolons": "\ufeff" + "".join(";".join(row) + "\r\n" for row in CELLS),
    "API": table(
        "{f},{l},0.9,True,ab",
        "file,label,probabilities.Normal,certain,bundle_sha256",
        said=WRONG,
    ),
    "evaluate": table(
        "{f},p,{l},0.9,{l}", "name,patient,truth,p_pneumonia,label", said=WRONG
    ),
    "before zones": [row[:6] for row in CELLS],
    "columns turned and added": [["note", *row[::-1]] for row in CELLS],
    "truth added": [[*row, said] for row, said in zip(CELLS, TRUE, strict=True)],
    "no head": CELLS[1:],
    "title above": [["Answers"], *CELLS],
    "few columns": [row[:3] for row in CELLS],
}


@pytest.mark.parametrize("kind", OURS)
def test_answers_of_this_network_are_no_truth(kind):
    files = [f"{LABELS[n % 2].upper()}/{name}" for n, name in enumerate(NAMES)]
    text = OURS[kind]
    if isinstance(text, list):
        text = "\n".join("\t".join(row) for row in text)
    found = find(text, files)
    assert [*found.truth.values()] == [*TRUTH.values()]
    (doubt,) = found.doubts
    assert "t.csv holds answers of this network" in doubt


def test_tables_are_found_among_the_files(monkeypatch, classifier):
    monkeypatch.setattr(trial, "predict", lambda *_, **__: pytest.fail("no X-ray"))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("set/Labels.TSV", table("{f}\t{l}", "name\tlabel"))
        archive.writestr("a.txt", table())
        archive.writestr("b.xlsx", b"PK\x03\x04")
    found = unpack.unpack([("ours.zip", data.getvalue())])
    cases = [trial.ask(None, None, name, content) for name, content in found]
    assert all(case.table is not None for case in cases)
    cases += [trial.Case(name, p=0.5) for name in TRUTH]
    found = trial.measure(classifier, cases)
    assert found["n"] == dict.fromkeys(LABELS, 4)
    assert found["files"] == 8
    (doubt,) = found["doubts"]
    assert "b.xlsx is a spreadsheet" in doubt
    html = trial.render(classifier, cases)
    assert "b.xlsx is a spreadsheet" in html
    assert "&#39;Pneumonia&#39; (4) is Pneumonia" in html


def test_many_large_tables_cost_little_memory(monkeypatch):
    case = trial.ask(None, None, "t.csv", lambda: b"a,b\n" * 1_000_000)
    assert len(case.table) < 50_000
    monkeypatch.setattr(truth, "MOST_TABLES", 2)
    found = truth.find([*TRUTH], [(f"{n}.csv", table().encode()) for n in range(4)])
    assert len(found.said) == 2
    assert "2 more tables were left out" in found.doubts[0]


@pytest.mark.parametrize("names", ["x x y", "y x x x", "x y x y y"])
def test_no_two_files_get_one_name(names):
    names = [{"x": "x.png", "y": "x.png (2)"}[name] for name in names.split()]
    found = [name for name, _ in unpack.unpack([(name, b"") for name in names])]
    assert len({*found}) == len(names)
    assert {*names} <= {*found}
    assert all(n.startswith(name) for n, name in zip(found, names, strict=True))
