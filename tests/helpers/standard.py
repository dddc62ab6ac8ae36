"""Tables of the DICOM standard for dicom-validator, which else fetches them itself.

They are those of the package dicom-standard, of 2020. Which macros a content item of a
report includes hangs on its type; that is lost in them. So what is in the content of
reports is not checked, but all else is.
"""

import html
import importlib.metadata
import json
import re

from dicom_validator.spec_reader.condition_parser import ConditionParser
from dicom_validator.spec_reader.serializer import DefinitionEncoder
from dicom_validator.validator.dicom_info import DicomInfo

GROUPS = ("(5200,9229)", "(5200,9230)")  # of functional groups, shared and each frame's
CONTENT = "sr-document-content"


def load(name: str) -> list[dict]:
    files = importlib.metadata.files("dicom-standard")
    (place,) = (file.locate() for file in files if file.name == f"{name}.json")
    return json.loads(place.read_text(encoding="utf-8"))


def tables(sop_classes: set[str]) -> DicomInfo:
    """Return what the standard says of some kinds of file."""
    words = {
        row["tag"].upper(): {"name": row["name"], "vr": row["valueRepresentation"]}
        for row in load("attributes")
        if "X" not in row["tag"].upper()  # of overlays and curves, which nobody writes
    }
    parser = ConditionParser(words)
    names = {row["id"]: row["name"] for row in [*load("modules"), *load("macros")]}
    own = {row["name"]: row["id"] for row in load("ciods")}
    own = {s["id"]: own[s["ciod"]] for s in load("sops") if s["id"] in sop_classes}

    def used(table: str, key: str, kind: str) -> dict[str, dict]:
        found = {}
        for row in load(table):
            if row["ciodId"] == kind:
                use = f"{row['usage']} - {row['conditionalStatement'] or ''}"
                use = {"use": use, "cond": parser.parse(use)}
                found[names[row[key]]] = {"ref": row[key]} | use
        return found

    kinds = {
        sop_class: {
            "title": kind,
            "modules": used("ciod_to_modules", "moduleId", kind),
            "group_macros": used("ciod_to_fg_macros", "macroId", kind),
        }
        for sop_class, kind in own.items()
    }
    refs = {
        one["ref"]
        for kind in kinds.values()
        for one in [*kind["modules"].values(), *kind["group_macros"].values()]
    }
    modules: dict[str, dict] = {ref: {} for ref in refs}
    for table, key in (
        ("module_to_attributes", "moduleId"),
        ("macro_to_attributes", "macroId"),
    ):
        for row in load(table):
            if row[key] not in refs or row["tag"].upper() not in words:
                continue
            place, path = modules[row[key]], row["path"].split(":")[1:-1]
            if row[key] == CONTENT:
                if not path:
                    place[row["tag"].upper()] = {"name": row["tag"], "type": "3"}
                continue
            for step in path:
                tag = f"({step[:4]},{step[4:]})".upper()
                place = place.setdefault(tag, {}).setdefault("items", {})
            tag = row["tag"].upper()
            known = place.setdefault(tag, {})
            known |= {"name": words[tag]["name"], "type": row["type"]}
            if row["type"] in ("1C", "2C"):
                text = html.unescape(re.sub("<[^>]+>", " ", row["description"]))
                known["cond"] = parser.parse(" ".join(text.split()))
            if tag in GROUPS:
                known.setdefault("items", {})["include"] = [{"ref": "FuncGroup"}]
    plain = json.loads(json.dumps([kinds, modules], cls=DefinitionEncoder))
    return DicomInfo(words, *plain)
