"""Who is on a picture: public sets' names, folders of people, what is said of it."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from pneumonia.__main__ import main
from pneumonia.data import folder as data
from pneumonia.data.patients import (
    name_of_patient,
    patients_of,
    taken_from,
    validation_mask,
)
from pneumonia.data.phantom import draw
from pneumonia.data.subgroups import name_family

LONG = "216840111366964013402131755672012187090048428"
NAMED = {
    "person1000": "person1000_bacteria_2931.jpeg|person1000_virus_1681.jpeg|"
    "PERSON1000_VIRUS_1681.JPEG|0_person1000_virus_1681 (1).jpeg",
    "person12": "Copy of person12_virus_34.jpg|aug_person12_bacteria_3.jpeg|"
    "person12_bacteria_3_aug1.jpeg|person12_bacteria_3 - Copy.jpeg|"
    "augperson12_virus_34.jpeg|person_12_3.jpeg",
    "IM-0115": "IM-0115-0001.jpeg|im-0115-0001.JPG|IM-0115-0001-0002.jpeg|"
    "IM-0115-0001 - Copy.jpeg|0_IM-0115-0001.jpeg|IM-0115-0001_aug1.jpeg",
    "NORMAL2-IM-0383": "NORMAL2-IM-0383-0001.jpeg|aug_normal2-im-0383-0001.png",
    "1135262": "BACTERIA-1135262-0001.jpeg|VIRUS-1135262-0002.jpeg|"
    "copy of BACTERIA-1135262-0001.jpeg|augBACTERIA-1135262-0001.jpeg|"
    "BACTERIA-1135262-0001_aug1.jpeg|BACTERIA-1135262-0001 (2).jpeg|"
    "BACTERIA 1135262 0001.jpeg",
    "1003233": "NORMAL-1003233-0001.jpeg|normal_1003233_2.png",
    "12": "train-BACTERIA-12-0001.png",
    "00001280": "00001280_004.jpeg",
    "00000001": "img_00000001_000.png|flip_00000001_000.png|Copy of 00000001_000.png|"
    "00000001_000_aug1.png|00000001_000 (2).png|00000001_000 - Copy.png|"
    "20190101_00000001_000.png",
    "201901": "NORMAL-201901-0001.jpeg",  # six digits, as many there have
    "p10000032": "p10000032_s50414267_02aa804e-bde0afdd.jpg",
    "patient00001": "patient00001_study1_view1_frontal.jpg",
    "sub-s03044": "sub-S03044_ses-E06286_run-1_bp-chest_vp-ap_cr.png",
    "cxr1": "CXR1_1_IM-0001-3001.png",
    "1": "1_IM-0001-4001.dcm.png",
    LONG: f"{LONG}_01-096-133.png",
    # a word for a person, a number, a number of the picture
    "pat001": "pat001_1.png",
    "patient12": "patient_12_1.png|patient12_1.png|flip_Patient-12-1 (2).png",
    "subject7": "subject 7 2.png",
    # names that say nothing of a patient: RSNA's, VinDr-CXR's, a telephone's, ...
    None: "somebody.png|0004cfab-14fd-4e49-80ba-63a80b6bddd6.dcm|"
    "000434271f63a053c4128a0ba6352c7f.dicom|20190312_101500.jpg|view1_frontal.jpg|"
    # nothing but a number: the whole name says it; years and dates
    "pat001.png|patient_20190101_7.png|normal_2019_7.png|normal_201901_7.png|"
    "normal_2019-01-01_7.png|normal-2019-0001.png|pneumonia_20190101_7.png|"
    "pneumonia_01232020_7.png|pneumonia_02-2020_7.png|01232020_1.png|23012020_1.png|"
    "normal_0001.png|abnormal-1003233-0001.png",
}


@pytest.mark.parametrize(
    ("name", "patient"),
    [(name, who) for who, names in NAMED.items() for name in names.split("|")],
)
def test_public_sets_name_the_patient(name, patient):
    assert name_of_patient(name) == patient
    assert patients_of([name])[0] == (patient or name.rsplit(".", 1)[0])


def of(*names: str) -> list[str]:
    return patients_of(names).tolist()


def many(pattern: str, count: int = 12) -> list[str]:
    return [pattern.format(number, number) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    "pattern",
    [
        "patient{:05}/study1/view1_frontal.jpg",  # CheXpert
        "Pat {}/study1/view1_frontal.jpg",
        "p10/p100{:05}/s50414267/02aa804e.jpg",  # MIMIC-CXR
        "sub-S{:05}/ses-E1/mod-rx/sub-S{:05}_ses-E1_cr.png",  # BIMCV
        "TCGA-{}/01-02-1999-NA-CHEST-5/1.000000-NA/1-1.dcm",
        "DICOM/PAT{:05}/STU00001/SER00001/IMG00001",
        "CD{}/DICOM/PAT00001/STU00001/SER00001/IMG00001",  # a CD of each, all alike
        "Name {}/Chest/CR 1/IM-0001-0001.dcm",  # OsiriX
        "2019/03/12/{}/1.dcm",
        "{}/2019-03-12/1.dcm",
        "images/{}/scan.png",
    ],
)
def test_where_names_repeat_the_folder_says_who(pattern):
    names = many(pattern)
    found = of(*names)
    assert len(set(found)) == 12
    for name, patient in zip(names, found, strict=True):
        assert taken_from(name, patient) != "the file's whole name"


PEOPLE = range(12)
OWN_NAME = [f"N{n}/{n * 7919:x}-{m}.png" for n in PEOPLE for m in (1, 2)]
REPEATING = [f"P{n}/{m}.png" for n in PEOPLE for m in (1, 2)]


@pytest.mark.parametrize(
    "names",
    [
        [
            f"{who}/study{m}/view{v}.png"
            for who in PEOPLE
            for m in (1, 2)
            for v in (1, 2)
        ],
        OWN_NAME + REPEATING,
        [f"Name {n}/pat001_{m}.png" for n in PEOPLE for m in (1, 2)],
        many("P{}/1.png") + many("P{}/2.png"),  # also where these are two classes
    ],
)
def test_whoever_has_a_folder_is_that_folder(names):
    assert of(*names) == [name.partition("/")[0] for name in names]


def test_dates_are_nobody():
    names = [f"{day}/{who}/1.png" for day in ("2019-03-12", "20190401") for who in "AB"]
    assert of(*names) == ["A", "B", "A", "B"]


@pytest.mark.parametrize(
    "pattern", ["{}/P{:02}/a.png", "{}/{}/a.png", "{}/P{}.png", "{1}/{0}/1.png"]
)
@pytest.mark.parametrize(
    "folders",
    [
        "2020-02-01|2020-02-02|2020-02-03",
        "01.02.2020|03.02.2020|14.02.2020",
        "1.2.20|13.2.20",
        "2020-02-01_1200|2020-02-02_1300|2020-02-01_1205",
        "20200201_120000|20200201_120500",
        "01-Feb-2020|02-Feb-2020|13-Mar-2020",
        "Feb 2020|March 2020",
        "2020-W05|2020-W06|2020-W07",
        "2020/02/01|2020/02/03|2021/03/04",
        "2020/Feb|2020/Mar",
        "|".join(f"2020-02-0{day}" for day in range(1, 10)),
        "V1|V2",
        "visit1|visit2",
        "first visit|second visit",
        "erect|supine",
        "AP supine|PA erect",
        "V1_2020-02-01|V2_2020-02-08",
        "2020-02-01 PA|2020-02-02 LAT",
        "2020-02-01 morning|2020-02-01 evening",
        "January|February",
        "KW05|KW06",
        "before|after",
        "PA",
        "LAT",
    ],
)
def test_dates_visits_and_views_in_any_form_are_nobody(folders, pattern):
    folders = folders.split("|")
    names = [pattern.format(folder, who) for folder in folders for who in range(40)]
    assert len(set(of(*names))) == 40


LIKE_VISITS = ("V{}/chest/1.png", "V{}/1.png", "A/V{}/1.png")
LIKE_VISITS += ("V1/{}/1.png", "A/PA_{}/1.png")
DATED = ("normal_2019_{}.png", "pneumonia_20190101_{}.png", "01232020_{}.png")
LABELLED = ["normal_1_256.png", "pneumonia_1_256.png", "normal_2_256.png"]
OF_KERMANY = [f"fold{n % 5}/IM-{n:04}-0001.jpeg" for n in range(60)]
OF_KERMANY += [f"fold{n % 5}/person{n}_virus_{n}.jpeg" for n in range(60)]
OF_KERMANY += [f"flipped/IM-{n:04}-0001.jpeg" for n in range(60)]  # the same once more
COUNTED = [
    *((many(pattern, count), count) for pattern in LIKE_VISITS for count in (8, 40)),
    *((many(pattern, 40), 40) for pattern in DATED),
    # Nothing but dates: images of one day stay together.
    ([f"2019/03/{day:02}/{n}.png" for day in range(1, 13) for n in (1, 2)], 12),
    (many("{}/a.png", 2050), 2050),  # some look like years, among others that don't
    ([f"{label}{n}/scan{n}.png" for label in "NP" for n in PEOPLE], 24),
    # By expressions that try few ways, or this would take years.
    (many("PA_" * 60 + "/" + "2020-02-01-" * 20 + "/P{}/1.png"), 12),
    ([f"{hospital}/{who}/1.png" for hospital in "AB" for who in PEOPLE], 24),
    ([f"batch{n % 3}/{n * 7919:x}.png" for n in range(90)], 90),
    (OF_KERMANY, 120),
    ([f"icu{who}/{n}.png" for who in PEOPLE for n in range(40)], 12),
    (many("1.2.840.10008.99.{}"), 12),  # the last number is no suffix
    (many("visit1/P{}/{}.png", 20) + many("visit2/P{}/{}.png", 20), 20),
    (many("study1/P{}/{}.png", 20) + many("study2/P{}/{}.png", 20), 20),
    (many("study1/{}.png", 20) + many("study2/{}.png", 20), 20),
    (many("PA/{}.png", 20) + many("LAT/{}.png", 20), 20),
    (LABELLED, 3),  # a number and a size are no patient
]


@pytest.mark.parametrize(("names", "count"), COUNTED)
def test_so_many_are_on_these_pictures(names, count):
    assert len(set(of(*names))) == count


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller{}/1.png", "Mu\u0308ller{}/1.png"),
        ("pat{}/1.png", "Pat{}/1.png"),
        ("pat{}/1.png", "pat{} /1.png"),
        ("2020-02-01/pat{}/1.png", "2020-02-02/PAT{}/1.png"),
        ("Müller{}.png", "Mu\u0308ller{}.png"),
        ("pat{}.png", "Pat{}.jpg"),
    ],
)
def test_a_name_spelled_in_two_ways_is_one_patient(one, other):
    names = many(one) + many(other)
    found = of(*names)
    assert found[:12] == found[12:]
    assert len(set(found)) == 12
    kinds = {taken_from(name, who) for name, who in zip(names, found, strict=True)}
    assert kinds == {"a folder's name" if "/" in one else "the file's whole name"}


def write(path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(seed, size=64)).save(path)


def test_what_was_taken_is_printed_with_two_examples(tmp_path, capsys):
    for number in range(8):
        label = tmp_path / "train" / ("NORMAL" if number < 4 else "PNEUMONIA")
        write(label / f"patient{number:05}" / "study1" / "view1_frontal.png", number)
    write(tmp_path / "train" / "NORMAL" / "BACTERIA-12-0001.png", 9)
    main(["data", str(tmp_path), "--arrays", str(tmp_path / "kept.npz")])
    said = capsys.readouterr().out
    assert (
        "the patient is a folder's name: 8 images, such as\n"
        "  patient00000 on train/NORMAL/patient00000/study1/view1_frontal.png\n"
        "  patient00007 on train/PNEUMONIA/patient00007/study1/view1_frontal.png\n"
    ) in said
    assert "a part of the file's name: 1 images, such as\n  12 on train/NOR" in said
    main(["data", str(tmp_path / "kept.npz")])
    assert "patient00007 on" in capsys.readouterr().out


def test_one_patient_for_everybody_is_noticed(tmp_path, capsys):
    for number in range(12):
        label = tmp_path / ("NORMAL" if number < 6 else "PNEUMONIA")
        write(label / f"person1_view_{number}.png", number)
    main(["data", str(tmp_path)])
    assert "person1 is on 12 of 12 images" in capsys.readouterr().out
    with pytest.raises(data.DataError, match="12 images of 1 patients lacks a class"):
        data.split(data.load(tmp_path, progress=False))


FAMILIES = {
    "IM-": "NORMAL/IM-0115-0001.jpeg",
    "NORMAL2-IM-": "NORMAL/NORMAL2-IM-0383-0001.jpeg",
    "bacteria": "PNEUMONIA/person7_bacteria_28.jpeg|PNEUMONIA/BACTERIA-1135262-1.jpeg",
    "virus": "PNEUMONIA/PERSON7_Virus_28.jpeg|PNEUMONIA/VIRUS-1135262-0001.jpeg",
    None: "NORMAL/NORMAL-1003233-0001.jpeg|NORMAL/CXR1_1_IM-0001-3001.png|virus/x.png|"
    "00001280_004.png",
}


def test_families_of_names():
    for family, names in FAMILIES.items():
        found = {name: name_family(name) for name in names.split("|")}
        assert found == dict.fromkeys(found, family)


def test_the_split_of_the_training_set_is_as_it_was(all_xrays):
    """Whoever was held out of what ships still is: by name, to the bit."""
    held_out = validation_mask(all_xrays.groups)
    names = (name.removeprefix("train/") for name in all_xrays.names)
    lines = [f"{n} {int(out)}" for n, out in zip(names, held_out, strict=True)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == (
        "7ebb31d1a0628c49dc966ecac7e48fce9325215fc6dbd41d2bccc1b15674d47b"
    )
    assert np.array_equal(patients_of(all_xrays.names), all_xrays.patients)
