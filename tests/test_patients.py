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


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person1000_bacteria_2931.jpeg", "person1000"),
        ("person1000_virus_1681.jpeg", "person1000"),
        ("PERSON1000_VIRUS_1681.JPEG", "person1000"),
        ("0_person1000_virus_1681 (1).jpeg", "person1000"),
        ("Copy of person12_virus_34.jpg", "person12"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("im-0115-0001.JPG", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("IM-0115-0001 - Copy.jpeg", "IM-0115"),
        ("NORMAL2-IM-0383-0001.jpeg", "NORMAL2-IM-0383"),
        ("aug_normal2-im-0383-0001.png", "NORMAL2-IM-0383"),
        ("BACTERIA-1135262-0001.jpeg", "1135262"),
        ("VIRUS-1135262-0002.jpeg", "1135262"),
        ("NORMAL-1003233-0001.jpeg", "1003233"),
        ("normal_1003233_2.png", "1003233"),
        ("train-BACTERIA-12-0001.png", "12"),
        ("00001280_004.jpeg", "00001280"),
        # something in front or behind
        ("img_00000001_000.png", "00000001"),
        ("flip_00000001_000.png", "00000001"),
        ("Copy of 00000001_000.png", "00000001"),
        ("00000001_000_aug1.png", "00000001"),
        ("00000001_000 (2).png", "00000001"),
        ("00000001_000 - Copy.png", "00000001"),
        ("20190101_00000001_000.png", "00000001"),
        ("aug_person12_bacteria_3.jpeg", "person12"),
        ("person12_bacteria_3_aug1.jpeg", "person12"),
        ("person12_bacteria_3 - Copy.jpeg", "person12"),
        ("0_IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001_aug1.jpeg", "IM-0115"),
        ("copy of BACTERIA-1135262-0001.jpeg", "1135262"),
        ("augBACTERIA-1135262-0001.jpeg", "1135262"),
        ("BACTERIA-1135262-0001_aug1.jpeg", "1135262"),
        ("BACTERIA-1135262-0001 (2).jpeg", "1135262"),
        ("NORMAL-201901-0001.jpeg", "201901"),  # six digits, as many there have
        ("p10000032_s50414267_02aa804e-bde0afdd.jpg", "p10000032"),
        ("patient00001_study1_view1_frontal.jpg", "patient00001"),
        ("sub-S03044_ses-E06286_run-1_bp-chest_vp-ap_cr.png", "sub-s03044"),
        ("CXR1_1_IM-0001-3001.png", "cxr1"),
        ("1_IM-0001-4001.dcm.png", "1"),
        (
            "216840111366964013402131755672012187090048428_01-096-133.png",
            "216840111366964013402131755672012187090048428",
        ),
        # a word for a person, a number, a number of the picture
        ("pat001_1.png", "pat001"),
        ("patient_12_1.png", "patient12"),
        ("patient12_1.png", "patient12"),
        ("flip_Patient-12-1 (2).png", "patient12"),
        ("person_12_3.jpeg", "person12"),
        ("subject 7 2.png", "subject7"),
        # names that say nothing of a patient
        ("somebody.png", None),
        ("0004cfab-14fd-4e49-80ba-63a80b6bddd6.dcm", None),  # RSNA
        ("000434271f63a053c4128a0ba6352c7f.dicom", None),  # VinDr-CXR
        ("20190312_101500.jpg", None),  # a telephone: day and time
        ("view1_frontal.jpg", None),
        ("pat001.png", None),  # nothing but a number: the whole name says it
        # years and dates
        ("patient_20190101_7.png", None),
        ("normal_2019_7.png", None),
        ("normal_201901_7.png", None),
        ("normal_2019-01-01_7.png", None),
        ("normal-2019-0001.png", None),
        ("pneumonia_20190101_7.png", None),
        ("pneumonia_01232020_7.png", None),
        ("pneumonia_02-2020_7.png", None),
        ("01232020_1.png", None),
        ("23012020_1.png", None),
        ("normal_0001.png", None),
        ("abnormal-1003233-0001.png", None),
    ],
)
def test_public_sets_name_the_patient(name, patient):
    assert name_of_patient(name) == patient
    assert patients_of([name])[0] == (patient or name.rsplit(".", 1)[0])


def of(*names: str) -> list[str]:
    return patients_of(names).tolist()


def many(pattern: str, count: int = 12) -> list[str]:
    return [pattern.format(number) for number in range(1, count + 1)]


EACH_OF_THEIRS = {
    "CheXpert": "patient{:05}/study1/view1_frontal.jpg",
    "a word and a number": "Pat {}/study1/view1_frontal.jpg",
    "MIMIC-CXR": "p10/p100{:05}/s50414267/02aa804e.jpg",
    "BIMCV": "sub-S{:05}/ses-E1/mod-rx/sub-S{:05}_ses-E1_cr.png",
    "TCIA": "TCGA-{}/01-02-1999-NA-CHEST-5/1.000000-NA/1-1.dcm",
    "an export, numbered through": "DICOM/PAT{:05}/STU00001/SER00001/IMG00001",
    "a CD of each, all alike": "CD{}/DICOM/PAT00001/STU00001/SER00001/IMG00001",
    "OsiriX": "Name {}/Chest/CR 1/IM-0001-0001.dcm",
    "dates above": "2019/03/12/{}/1.dcm",
    "dates below": "{}/2019-03-12/1.dcm",
    "a folder around all": "images/{}/scan.png",
}


@pytest.mark.parametrize("pattern", EACH_OF_THEIRS.values(), ids=EACH_OF_THEIRS)
def test_where_names_repeat_the_folder_says_who(pattern):
    names = [pattern.format(number, number) for number in range(1, 13)]
    found = of(*names)
    assert len(set(found)) == 12
    for name, patient in zip(names, found, strict=True):
        assert taken_from(name, patient) != "the file's whole name"


def test_studies_of_a_patient_are_one():
    names = [
        f"{who}/study{study}/view{view}.png"
        for who in "ABCDEFGHIJKL"
        for study in (1, 2)
        for view in (1, 2)
    ]
    assert of(*names) == [name[0] for name in names]


def test_dates_are_nobody():
    names = [f"{day}/{who}/1.png" for day in ("2019-03-12", "20190401") for who in "AB"]
    assert of(*names) == ["A", "B", "A", "B"]
    # nothing but dates: images of one day stay together
    days = [f"2019/03/{day:02}/{n}.png" for day in range(1, 13) for n in (1, 2)]
    assert len(set(of(*days))) == 12
    # numbers that look like years, among others that don't
    assert len(set(of(*many("{}/a.png", 2050)))) == 2050


@pytest.mark.parametrize(
    "pattern", ["{}/P{:02}/a.png", "{}/{}/a.png", "{}/P{}.png", "{1}/{0}/1.png"]
)
@pytest.mark.parametrize(
    "folders",
    [
        ("2020-02-01", "2020-02-02", "2020-02-03"),
        ("01.02.2020", "03.02.2020", "14.02.2020"),
        ("1.2.20", "13.2.20"),
        ("2020-02-01_1200", "2020-02-02_1300", "2020-02-01_1205"),
        ("20200201_120000", "20200201_120500"),
        ("01-Feb-2020", "02-Feb-2020", "13-Mar-2020"),
        ("Feb 2020", "March 2020"),
        ("2020-W05", "2020-W06", "2020-W07"),
        ("2020/02/01", "2020/02/03", "2021/03/04"),
        ("2020/Feb", "2020/Mar"),
        tuple(f"2020-02-0{day}" for day in range(1, 10)),
        ("V1", "V2"),
        ("visit1", "visit2"),
        ("first visit", "second visit"),
        ("erect", "supine"),
        ("AP supine", "PA erect"),
        ("V1_2020-02-01", "V2_2020-02-08"),
        ("2020-02-01 PA", "2020-02-02 LAT"),
        ("2020-02-01 morning", "2020-02-01 evening"),
        ("January", "February"),
        ("KW05", "KW06"),
        ("before", "after"),
        ("PA",),
        ("LAT",),
    ],
)
def test_dates_visits_and_views_in_any_form_are_nobody(folders, pattern):
    names = [pattern.format(folder, who) for folder in folders for who in range(40)]
    assert len(set(of(*names))) == 40


@pytest.mark.parametrize(
    "pattern",
    ["V{}/chest/1.png", "V{}/1.png", "A/V{}/1.png", "V1/{}/1.png", "A/PA_{}/1.png"],
)
@pytest.mark.parametrize("count", [8, 40])
def test_people_whose_folders_look_like_visits_are_people(pattern, count):
    assert len(set(of(*many(pattern, count)))) == count


@pytest.mark.parametrize(
    "pattern",
    ["normal_2019_{}.png", "pneumonia_20190101_{}.png", "01232020_{}.png"],
)
def test_dates_in_names_are_nobody(pattern):
    assert len(set(of(*many(pattern, 40)))) == 40


def test_names_that_repeat_in_a_part_of_the_set():
    """Unique names in folders of people, and names that repeat, side by side."""
    unique = [f"N{n}/{n * 7919:x}-{m}.png" for n in range(12) for m in (1, 2)]
    repeating = [f"P{n}/{m}.png" for n in range(12) for m in (1, 2)]
    names = unique + repeating
    assert of(*names) == [name.partition("/")[0] for name in names]


def test_the_class_says_nothing():
    """`patients_of` gets no class: the same folder in both is one patient."""
    normal, pneumonia = many("P{}/1.png"), many("P{}/2.png")
    found = of(*normal, *pneumonia)
    assert found[:12] == found[12:]
    # names that repeat from class to class alone, in folders of other people
    apart = [f"{label}{n}/scan{n}.png" for label in "NP" for n in range(12)]
    assert len(set(of(*apart))) == 24


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


def test_long_names_of_folders_are_told_at_once():
    """By expressions that try few ways, or this would take years."""
    names = many("PA_" * 60 + "/" + "2020-02-01-" * 20 + "/P{}/1.png")
    assert len(set(of(*names))) == 12


def test_own_names_that_all_folders_share_are_nobody():
    names = [f"Name {n}/pat001_{m}.png" for n in range(12) for m in (1, 2)]
    assert of(*names) == [name.partition("/")[0] for name in names]


def test_hospitals_are_nobody():
    names = [f"{place}/{who}/1.png" for place in "AB" for who in range(12)]
    assert len(set(of(*names))) == 24


def test_batches_of_unique_names_are_nobody():
    names = [f"batch{n % 3}/{n * 7919:x}.png" for n in range(90)]
    assert len(set(of(*names))) == 90


def test_parts_of_kermany_in_folders_keep_their_names():
    names = [
        *(f"fold{n % 5}/IM-{n:04}-0001.jpeg" for n in range(60)),
        *(f"fold{n % 5}/person{n}_virus_{n}.jpeg" for n in range(60)),
        *(f"flipped/IM-{n:04}-0001.jpeg" for n in range(60)),  # the same once more
    ]
    assert len(set(of(*names))) == 120


def test_images_of_a_child_with_many_films_stay_together():
    names = [f"icu{who}/{n}.png" for who in range(12) for n in range(40)]
    assert len(set(of(*names))) == 12


def test_numbers_of_a_uid_are_no_suffix():
    """Without a suffix the last number would be cut off: one patient for everybody."""
    assert len(set(of(*many("1.2.840.10008.99.{}")))) == 12


def test_what_was_taken_is_printed_with_two_examples(tmp_path, capsys):
    for number in range(4):
        for label, first in (("NORMAL", 0), ("PNEUMONIA", 4)):
            place = (
                tmp_path / "train" / label / f"patient{first + number:05}" / "study1"
            )
            place.mkdir(parents=True)
            picture = Image.fromarray(draw(first + number, size=64))
            picture.save(place / "view1_frontal.png")
    Image.fromarray(draw(9, size=64)).save(
        tmp_path / "train" / "NORMAL" / "BACTERIA-12-0001.png"
    )
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
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / label).mkdir()
        for number in range(6):
            picture = Image.fromarray(draw(number + len(label), size=64))
            picture.save(tmp_path / label / f"person1_view_{number}.png")
    main(["data", str(tmp_path)])
    assert "person1 is on 12 of 12 images" in capsys.readouterr().out
    with pytest.raises(data.DataError, match="12 images of 1 patients lacks a class"):
        data.split(data.load(tmp_path, progress=False))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("NORMAL/IM-0115-0001.jpeg", "IM-"),
        ("NORMAL/NORMAL2-IM-0383-0001.jpeg", "NORMAL2-IM-"),
        ("PNEUMONIA/person7_bacteria_28.jpeg", "bacteria"),
        ("PNEUMONIA/PERSON7_Virus_28.jpeg", "virus"),
        ("PNEUMONIA/BACTERIA-1135262-0001.jpeg", "bacteria"),
        ("PNEUMONIA/VIRUS-1135262-0001.jpeg", "virus"),
        ("NORMAL/NORMAL-1003233-0001.jpeg", None),
        ("NORMAL/CXR1_1_IM-0001-3001.png", None),
        ("virus/x.png", None),
    ],
)
def test_families_of_names(name, family):
    assert name_family(name) == family


def test_the_split_of_the_training_set_is_as_it_was(all_xrays):
    """Whoever was held out of what ships still is: by name, to the bit."""
    held_out = validation_mask(all_xrays.groups)
    names = (name.removeprefix("train/") for name in all_xrays.names)
    lines = [f"{n} {int(out)}" for n, out in zip(names, held_out, strict=True)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == (
        "7ebb31d1a0628c49dc966ecac7e48fce9325215fc6dbd41d2bccc1b15674d47b"
    )
    assert np.array_equal(patients_of(all_xrays.names), all_xrays.patients)


@pytest.mark.parametrize("visits", [("visit1", "visit2"), ("study1", "study2")])
def test_visits_above_patients_are_no_patients(visits):
    names = [f"{visit}/P{n}/{n}.png" for visit in visits for n in range(20)]
    assert len({*patients_of(names)}) == 20


@pytest.mark.parametrize("folders", [("study1", "study2"), ("PA", "LAT")])
def test_names_in_visits_or_views_are_patients(folders):
    names = [f"{folder}/{n}.png" for folder in folders for n in range(20)]
    assert len({*patients_of(names)}) == 20


def test_number_and_size_are_no_patient():
    names = ["normal_1_256.png", "pneumonia_1_256.png", "normal_2_256.png"]
    assert len({*patients_of(names)}) == 3


def test_copies_of_a_patient_are_the_patient():
    names = ["person12_virus_34.jpeg", "augperson12_virus_34.jpeg"]
    names += ["BACTERIA 1135262 0001.jpeg", "BACTERIA-1135262-0002.jpeg"]
    assert len({*patients_of(names)}) == 2
