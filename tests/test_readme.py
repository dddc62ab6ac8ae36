"""README and docs say what is so: figures, examples, commands, links, reasons."""

import argparse
import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from string import Template

import pytest
from test_house import MAY_IMPORT
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

import flask_app
from pneumonia import LABELS, METHODS, ImageError, Prediction, arguments
from pneumonia.contract import BUNDLE
from pneumonia.evaluation.calibrate import ERROR
from pneumonia.serving import dicom, gate
from web import api

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README, USING, TRAINING, RESULTS, ARCHITECTURE = (
    PAGES[name]
    for name in (
        "README.md",
        *(f"docs/{n}.md" for n in ("using", "training", "results", "architecture")),
    )
)
FACTS = {path.stem: json.loads(path.read_text()) for path in BUNDLE.glob("*.json")}
REPORT, ADULTS, AUDIT = (FACTS[name] for name in ("report", "adults", "audit"))
ABLATION = FACTS["ablation"]
BEFORE, OFFICIAL_BEFORE, BUNDLED, STRESS = (
    FACTS["before"],
    FACTS["official_test"],
    FACTS["bundle"],
    REPORT["stress"],
)
_REFUSALS = {"ImageError", "DicomError"}

OF_METHOD = {"Grad-CAM": AUDIT, "HiResCAM": AUDIT["hirescam"]}

# A table's figures. Each function gets the first cell of every row, as it stands in the
# page, and yields the cells behind it; None is a cell of words, without a figure.
Cells = Iterator[list[str | None]]


def tables(page: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the header of each table and its rows."""
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        header, _, *rows = table.splitlines()
        yield header, [[cell.strip() for cell in row[1:-1].split("|")] for row in rows]


def table(page: str, start: str) -> list[list[str]]:
    """Return the rows of the one table whose header begins so."""
    (rows,) = [rows for header, rows in tables(page) if header.startswith(start)]
    return rows


def percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def with_interval(found: dict) -> str:
    low, high = found["ci95"]
    return f"{found['value']:.3f} ({low:.3f}-{high:.3f})"


QUALITY = ("auroc", "accuracy", "sensitivity", "specificity")
_WORST = STRESS["worst"]["auroc"]
MEASURED = {
    "1. held-out patients of the training hospital": (REPORT, REPORT["n"]),
    f"2. the same under {len(STRESS['families'])} families of stress": (
        STRESS["all"],
        REPORT["n"] * len(STRESS["families"]),
    ),
    f"3. the family of the lowest AUROC: {_WORST}": (
        STRESS["families"][_WORST],
        STRESS["families"][_WORST]["n"],
    ),
    "4. adults of another hospital, read by radiologists": (ADULTS, ADULTS["n"]),
}


def quality(names: list[str]) -> Cells:
    assert names == [*MEASURED]
    for found, n in MEASURED.values():
        yield [f"{n:,}", *(with_interval(found[name]) for name in QUALITY)]


def quality_and_calibration(names: list[str]) -> Cells:
    eces = [f"{found['ece']['value']:.3f}" for found, _ in MEASURED.values()]
    for cells, ece in zip(quality(names), eces, strict=True):
        yield [*cells, ece]


def bands(names: list[str]) -> Cells:
    found = {
        "held-out patients": REPORT["band"],
        "the same under stress": STRESS["band"],
        "adults, read by radiologists": ADULTS["band"],
    }
    assert names == [*found]
    for band in found.values():
        shares = 1 - band["coverage"], band["error_inside"], band["error_outside"]
        certain = (band["certain_but_wrong"][label] for label in LABELS)
        yield [percent(share) for share in (*shares, *certain)]


def cuts(names: list[str]) -> Cells:
    assert names == [cut["cut"] for cut in OFFICIAL_BEFORE["cuts"]]
    for cut in OFFICIAL_BEFORE["cuts"]:
        changed = cut["normal_answers_changed"]
        yield [
            f"{cut['specificity']:.2f}",
            "" if changed is None else percent(changed),
        ]


def before_and_after(names: list[str]) -> Cells:
    after = {"as they are": REPORT} | STRESS["families"]
    assert names == [*BEFORE["families"]]
    for name in names:
        both = BEFORE["families"][name], after[name]
        cells = [f"{of[metric]['value']:.3f}" for metric in COMPARED for of in both]
        changed = [of.get("normals_changed") for of in both]
        yield [*cells, *("" if share is None else percent(share) for share in changed)]


SHORT = {
    "whole pictures": "whole",
    "crops to the lungs": "ours",
    "and corners and borders covered": "masking",
    "and no borders of other images": "no border",
    "and block 3 trained, too": "frozen2",
    "the published recipe": "published",
}
"""Rows of the ablation, by how the page calls them."""


def short(names: list[str]) -> Cells:
    rows = {row["name"]: [*row["runs"].values()] for row in ABLATION["rows"]}
    assert names == [*SHORT]
    assert {*SHORT.values()} == rows.keys()
    for runs in (rows[SHORT[name]] for name in names):
        figures = (
            [run["clean_auroc"] for run in runs],
            [run["stress_auroc"] for run in runs],
            [run["families"]["framed like the other class"] for run in runs],
            [run["families"]["other class's tone"] for run in runs],
            [run["specificities"]["cut all around 12 %"] for run in runs],
        )
        cells = [over_seeds(values, "{:.3f}".format) for values in figures]
        changed = over_seeds([run["cut_changed"] for run in runs], percent)
        yield [str(len(runs)), *cells, changed]


def over_seeds(values: list[float], text: Callable[[float], str]) -> str:
    mean = text(sum(values) / len(values))
    least, most = text(min(values)), text(max(values))
    return mean if least == most else f"{mean} ({least.removesuffix(' %')}-{most})"


COMPARED = "auroc", "specificity"


def shortcuts(names: list[str]) -> Cells:
    task = f"{LABELS[0]} or {LABELS[1]}"
    rows = [row for row in AUDIT["shortcuts"]["rows"] if row["task"] == task]
    assert names == [f"{row['name']}: {row['what']}" for row in rows]
    for row in rows:
        cropped = row.get("auroc_cropped")
        yield [with_interval(row["auroc"]), cropped and with_interval(cropped) or ""]


def interventions(names: list[str]) -> Cells:
    found = {f"{row['name']}: {row['what']}": row for row in AUDIT["interventions"]}
    for name in names:
        changed = (percent(found[name][label]["labels_changed"]) for label in LABELS)
        yield [*changed, with_interval(found[name]["auroc"])]


GATE = {
    "children let in": "children_let_in",
    "the same, brightened, mirrored and trimmed: let in": "children_changed_let_in",
    "children warned of anything": "children_warned",
    "other pictures refused": "other_pictures_refused",
    "negatives recognised": "negatives_recognised",
    "upside down, recognised": "upside_down_recognised",
    "on their side, recognised": "rotated_recognised",
    "small pieces of chest X-rays refused": "pieces_refused",
    "strongly cropped, noticed": "cropped_noticed",
    "Normal, let in": "children_normal_let_in",
    "Pneumonia, let in": "children_pneumonia_let_in",
    "Normal under stress, let in": "children_normal_under_stress_let_in",
    "Pneumonia under stress, let in": "children_pneumonia_under_stress_let_in",
    "adults told that they are outside": "adults_outside",
    "adults refused for any reason": "adults_refused",
}


def gated(names: list[str]) -> Cells:
    measured = dict(BUNDLED["gate"]["measured"])
    hospitals = measured.pop("adults_answered_without_a_word", {})
    shares = {key: of for key, of in measured.items() if isinstance(of, dict)}
    assert shares.keys() <= {*GATE.values()}
    found = {name: shares[key] for name, key in GATE.items() if key in shares}
    found |= {f"adults of {name}, answered": of for name, of in hospitals.items()}
    assert names == [*found]
    for of in found.values():
        yield [str(of["n"]), percent(of["share"])]


def maps(names: list[str]) -> Cells:
    assert names == [method for method in METHODS for _ in LABELS]
    for found in (OF_METHOD[method] for method in METHODS):
        for label in LABELS:
            of = found["hottest_covered"][label]
            lost = [of[name]["value"] for name in ("own", "another", "elsewhere")]
            figures = [f"{value:.2f}" for value in lost]
            yield [label, str(of["n"]), *figures, f"{lost[0] / lost[2]:.1f}"]


def fidelity(names: list[str]) -> Cells:
    found = BUNDLED["int8_against_keras"]
    change = found["largest_probability_change"]
    operations = BUNDLED["operations"]
    texts = {
        "operations of the convolutions that are left": percent(
            operations["left"] / operations["whole"]
        ),
        "labels that agree": percent(found["label_agreement"]),
        "largest change of a probability": f"{change:.3f}",
        "correlation of Grad-CAM's maps, mean": f"{found['mean_map_correlation']:.3f}",
        "correlation of HiResCAM's maps, mean": (
            f"{found['mean_evidence_correlation']:.3f}"
        ),
    }
    assert names == [*texts]
    for text in texts.values():
        yield [text]


FIGURES: dict[str, Callable[[list[str]], Cells]] = {
    "images, n, AUROC, accuracy, sensitivity, specificity": quality,
    "images, n, AUROC, accuracy, sensitivity, specificity, ECE": (
        quality_and_calibration
    ),
    "images, uncertain, wrong among these, wrong among the others, "
    "Normal: certain and wrong, Pneumonia: certain and wrong": bands,
    "what is cut off, specificity, answers about healthy children that change": cuts,
    "lungs, AUROC before, AUROC now, specificity before, specificity now, "
    "answers that change, before, answers that change, now": before_and_after,
    "what it sees, AUROC on whole pictures, AUROC on crops": shortcuts,
    "what is trained, seeds, AUROC as they are, AUROC under stress, "
    "AUROC, framed like the other class, AUROC, other class's tone, "
    "specificity, cut all around 12 %, "
    "most answers about normals that a cut changes": short,
    "change, Normal: answers that change, Pneumonia: answers that change, AUROC": (
        interventions
    ),
    "what, n, share": gated,
    "method, answer, maps, own, another image's, elsewhere, own over elsewhere": maps,
    "what serves against Keras, value": fidelity,
}
"""What fills the tables of README and results, by their headers."""


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_figures_in_tables_are_what_was_measured(page):
    seen = 0
    for header, rows in tables(PAGES[page]):
        fill = FIGURES[", ".join(cell.strip() for cell in header[1:-1].split("|"))]
        filled = list(fill([row[0] for row in rows]))
        for (name, *cells), expected in zip(rows, filled, strict=True):
            for cell, figure in zip(cells, expected, strict=True):
                if figure is None:
                    assert not re.search(r"\d\.\d", cell), (name, cell)
                else:
                    assert cell == figure, (header, name)
        seen += 1
    assert seen == {"README.md": 1, "docs/results.md": len(FIGURES) - 1}[page]


def test_figures_in_sentences_are_what_was_measured():
    low, high = (round(100 * p) for p in REPORT["uncertain_band"])
    for page in (README, RESULTS):
        assert f"At probabilities of pneumonia from {low} % to {high} %" in page
    band = REPORT["band"]
    uncertain = 1 - band["coverage"], band["error_inside"], band["error_outside"]
    sentence = "that is {:.0%} of the answers. Of these, {:.0%} are wrong, and of the "
    sentence = (sentence + "others {:.0%}.").format(*uncertain).replace("%", " %")
    assert sentence in README
    hardest = next(
        cut for cut in OFFICIAL_BEFORE["cuts"] if cut["cut"] == "12 % on all sides"
    )
    ill = f"{1 - hardest['specificity']:.0%}".replace("%", " %")
    for page in (README, RESULTS):
        assert f"it called {ill} of the healthy children" in page
    name = "cut all around 12 %"
    was, now = (
        found["families"][name]["specificity"]["value"] for found in (BEFORE, STRESS)
    )
    assert f"specificity on held-out patients is {now:.2f} now; it was {was:.2f}" in (
        README
    )
    assert percent(ERROR) in TRAINING
    assert percent(ERROR) in RESULTS


def test_figures_are_of_the_weights_that_ship():
    weights = BUNDLED["weights"]["sha256"]
    for found in (REPORT, ADULTS, AUDIT):
        assert found["bundle_sha256"] == weights
    assert OFFICIAL_BEFORE["bundle_sha256"] == BEFORE["bundle_sha256"] != weights
    assert FACTS["finder"]["sha256"] == BUNDLED["finder"]["sha256"]


def test_maps_that_show_the_evidence_are_told_from_others():
    for method, found in OF_METHOD.items():
        for label in LABELS:
            more = found["hottest_covered"][label]["more_than"].values()
            shows = all(gain["ci95"][0] > 0 for gain in more)
            said = f"{method} with {label}: {'yes' if shows else 'no'}"
            assert said in RESULTS


def test_trainings_of_what_ships_are_told_with_their_augmentation():
    told = {}
    (block,) = re.findall("^```sh\n(base=.*?)^```", TRAINING, re.DOTALL | re.MULTILINE)
    for name, value in re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE):
        told[name] = Template(*shlex.split(value)).substitute(told)
    commands = Template(block.replace("\\\n", "")).substitute(told)
    trained = BUNDLED["training"]
    done = [*augmentations(f"{trained['before']}\n{trained['repeat']}")]
    assert [*augmentations(commands)] == done
    assert {*trained["settings"]["augmentation"].split("+")} == done[-1]


def augmentations(commands: str) -> Iterator[set[str]]:
    for command in commands.splitlines():
        for word in shlex.split(command):
            if word.startswith("augmentation="):
                yield {*word.partition("=")[2].split("+")}


def test_security_counts_the_attributes_that_are_read():
    text = (ROOT / "SECURITY.md").read_text()
    assert f"{len(dicom._ATTRIBUTES)} technical attributes" in text


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 8 * 1024


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)


LINKED = [*PAGES, "SECURITY.md", "benchmarks/README.md", "benchmarks/tables.md"]


@pytest.mark.parametrize("name", LINKED)
def test_links_lead_somewhere(name):
    text = prose((ROOT / name).read_text())
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(file.read_text()), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


@pytest.mark.parametrize("name", LINKED)
def test_files_that_are_named_exist(name):
    text = (ROOT / name).read_text()
    folders = "pneumonia|web|tests|docs|notebooks|benchmarks|static|templates"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)", text):
        assert (ROOT / path).exists(), path


def test_every_page_is_linked_from_the_readme():
    for name in PAGES:
        assert name == "README.md" or f"({name})" in README


def options_of(*paths: str) -> set[str]:
    """Return the options that sources add to their parsers."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", "")
                first = getattr(node.args[0], "value", None)
                if name == "add_argument" and str(first).startswith("--"):
                    found.add(first)
    return found


def mentioned(text: str) -> set[str]:
    """Return the options that stand in a text."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_options_of_the_apps_are_all_explained():
    explained = {"all": set(), "demo": set()}
    for option, of, _ in table(USING, "| option | of |"):
        explained[of] |= mentioned(option)
    assert explained["all"] == options_of("web/door.py")
    assert explained["demo"] == options_of("demo.py")
    assert not options_of("flask_app.py", "serve.py")


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    whole = arguments.build(defaultdict(lambda: print))
    kind = argparse._SubParsersAction
    (subs,) = (action for action in whole._actions if isinstance(action, kind))
    return subs.choices


def options(command: argparse.ArgumentParser) -> set[str]:
    found = {name for action in command._actions for name in action.option_strings}
    return found - {"-h", "--help"}


def test_options_of_train_are_all_explained():
    explained = {"--out"}
    for option, _ in table(TRAINING, "| option | what"):
        explained |= mentioned(option)
    assert explained == options(parsers()["train"])


@pytest.mark.parametrize("name", PAGES)
def test_options_exist(name):
    known = options_of("web/door.py", "demo.py") | {"--help"}
    known = known.union(*map(options, parsers().values()))
    for quoted in re.findall(r"`([^`\n]+)`", prose(PAGES[name])):
        assert mentioned(quoted) <= known, quoted


def commands() -> list[str]:
    """Return every `python -m pneumonia ...` of the pages, one line each."""
    found = set()
    for page in PAGES.values():
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("python -m pneumonia"):
                    found.add(line)
    return sorted(found)


@pytest.mark.parametrize("line", commands())
def test_commands_are_understood(line):
    words = shlex.split(line, comments=True)[3:]
    args = arguments.build(defaultdict(lambda: print)).parse_args(words)
    if "rows" in args:
        from pneumonia.study.ablation_rows import ALL  # Keras takes seconds

        assert set(args.rows) <= ALL.keys()


def test_make_targets_exist():
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {w for page in PAGES.values() for w in re.findall(r"make ([a-z]+)\b", page)}
    assert {"demo", "test", "serve", "space", "flask"} <= named & known
    in_code = re.findall(r"`make ([a-z]+)`", "".join(PAGES.values()))
    assert set(in_code) <= known


def test_recipes_are_all_in_the_table():
    from pneumonia.training.recipe import RECIPES  # Keras takes seconds

    rows = table(TRAINING, "| recipe | images shown |")
    assert sorted(row[0].strip("`") for row in rows) == sorted(RECIPES)
    for name, images, _ in rows:
        recipe = RECIPES[name.strip("`")]
        shown = f"all, {recipe.epochs} times"
        if recipe.images_per_epoch:
            shown = f"{recipe.epochs * recipe.images_per_epoch:,}"
        assert images == shown
    named = re.findall(r"--recipe ([a-z-]+)", "".join(PAGES.values()))
    assert set(named) <= RECIPES.keys()


def reasons() -> set[str]:
    """Every code that the sources refuse or warn with."""
    found = {*gate.SENTENCES, "unreadable"}
    folders = [*(ROOT / "pneumonia").rglob("*.py"), *(ROOT / "web").glob("*.py")]
    for path in [*folders, *ROOT.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and len(node.args) >= 2:
                name, first = getattr(node.func, "id", ""), node.args[0]
                if name in _REFUSALS and isinstance(first, ast.Constant):
                    found.add(first.value)
    return found


def statuses() -> dict[str, int]:
    """Return what the form says besides: the reason and status of each HTTP error."""
    raised = {
        kind
        for kind in vars(flask_app).values()
        if isinstance(kind, type) and issubclass(kind, HTTPException) and kind.code
    }
    return {
        kind().name.lower().replace(" ", "_"): kind.code
        for kind in raised - {RequestEntityTooLarge}  # it is `too_large`
    }


def test_table_of_reasons_is_that_of_the_code():
    known = reasons()
    assert {"gone", "no_file", "modality", "negative", "first_frame"} <= known
    explained = {}
    for names, status, meaning, offers in table(USING, "| reason | status |"):
        codes = re.findall(r"`(\w+)`", names)
        many = status.split(", ") if ", " in status else [status] * len(codes)
        assert len(many) == len(codes)
        for code, one in zip(codes, many, strict=True):
            explained[code] = one, meaning, offers
    assert explained.keys() == known | statuses().keys()
    for code, (status, meaning, offers) in explained.items():
        if code in statuses():
            assert status == str(statuses()[code]), code
        elif code in gate.SENTENCES and code not in gate.REFUSALS:
            assert status == "200" and meaning.startswith("warning: "), code
        elif status in ("demo", "command line", "Python"):
            assert code in ("gone", "unreadable", "needs_worker")
        else:
            assert status == str(flask_app._STATUS.get(code, 422)), code
        refusal = gate.refuse(code) if code in gate.REFUSALS else ImageError(code, "")
        assert offers == ", ".join(refusal.offers), code


def test_fields_and_arguments_of_an_answer_are_all_explained():
    named = [row[0].strip("`") for row in table(USING, "| field of `Prediction` |")]
    drawn = [
        n for n, value in vars(Prediction).items() if type(value) is cached_property
    ]
    stored = [field.name for field in fields(Prediction)]
    assert sorted(named) == sorted(stored + drawn)
    document = api.document("0")
    sentence = re.search(r"The answer holds (.*?)\.", USING)[1]
    answered = document["components"]["schemas"]["Answer"]["properties"]
    assert re.findall(r"`(\w+)`", sentence) == [*answered]
    asked = document["paths"]["/api/predict"]["post"]["parameters"]
    named = [row[0].strip("`") for row in table(USING, "| in the address |")]
    assert sorted(name.partition("=")[0] for name in named) == sorted(
        parameter["name"] for parameter in asked
    )


def test_the_import_rule_is_that_of_the_test():
    shown = {}
    for room, may in table(ARCHITECTURE, "| room | may import from |"):
        shown[room.strip("`")] = set(re.findall(r"`(\w+)`", may))
    assert shown == MAY_IMPORT


def test_every_file_is_on_the_map():
    shown = {}
    for room, files in re.findall(
        r"^### `([\w/]+)/`\n\n(.*?)(?=^#)", ARCHITECTURE, re.M | re.S
    ):
        shown[room] = set(re.findall(r"^- `(\w+)\.py`", files, re.M))
    rooms = {f"pneumonia/{room}" for room in MAY_IMPORT} - {"pneumonia/contract"}
    assert shown.keys() == rooms | {"web"}
    for room, files in shown.items():
        found = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
        assert files == found, room


def test_files_of_the_bundle_are_all_explained():
    rows = table(ARCHITECTURE, "| file | written by |")
    assert {row[0].strip("`") for row in rows} == {p.name for p in BUNDLE.iterdir()}


def example(page: str, language: str, word: str) -> str:
    """Return a page's code block in a language that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


@pytest.fixture
def here(flask_url, gradio_url) -> dict[str, str]:
    """Return what stands in the pages, and what it is called in these tests."""
    return {
        "http://127.0.0.1:5000/": flask_url,
        "http://127.0.0.1:7860": gradio_url,
        "python -m": f"{shlex.quote(sys.executable)} -m",
    }


PYTHON = [sys.executable, "-"]
NODE = ["node", "--input-type=module", "-"]


@pytest.mark.parametrize(
    ("page", "language", "word", "command", "expected"),
    [
        ("README.md", "python", "predict(", PYTHON, "{'Normal': "),
        ("README.md", "sh", "predict xray", ["bash", "-e"], "2 files, 0 not answered"),
        ("README.md", "sh", "curl -F", ["bash", "-e"], '"label":'),
        ("docs/using.md", "python", "verdict(", PYTHON, "robability of pneumonia"),
        ("docs/using.md", "sh", "predict xray", ["bash", "-e"], "2 files, 0 not"),
        ("docs/using.md", "sh", "curl -F", ["bash", "-e"], '"label":'),
        ("docs/using.md", "python", "gradio_client", PYTHON, "robability of pneumonia"),
        ("docs/using.md", "js", "fetch(", NODE, "probabilities: {"),
    ],
)
def test_examples_run(
    page, language, word, command, expected, here, tmp_path, phantom_bytes
):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    (tmp_path / "folder").mkdir()
    for name in ("xray.jpeg", "folder/another.jpeg"):
        (tmp_path / name).write_bytes(phantom_bytes)
    script = example(PAGES[page], language, word)
    for there, name in here.items():
        script = script.replace(there, name)
    if word == "gradio_client":
        script += "\nprint(words)\n"
    done = subprocess.run(
        command,
        cwd=tmp_path,
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert expected in done.stdout + done.stderr, done.stderr
