"""README and docs say what is so: generated parts, examples, commands, links."""

import argparse
import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from string import Template

import pytest
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

import pneumonia
from pneumonia import ImageError, Prediction, arguments, examples
from pneumonia.contract import BUNDLE
from pneumonia.serving import gate
from pneumonia.training import ancestry
from pneumonia.web.form import api
from pneumonia.web.form import app as flask_app

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import generate  # noqa: E402

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
OFFICIAL, BUNDLED = FACTS["official_test"], FACTS["bundle"]
_REFUSALS = {"ImageError", "DicomError"}


def tables(page: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the header of each table and its rows."""
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        header, _, *rows = table.splitlines()
        yield header, [[cell.strip() for cell in row[1:-1].split("|")] for row in rows]


def table(page: str, start: str) -> list[list[str]]:
    """Return the rows of the one table whose header begins so."""
    (rows,) = [rows for header, rows in tables(page) if header.startswith(start)]
    return rows


def test_generated_parts_are_as_they_would_be_written():
    for name in generate.PAGES:
        page = (ROOT / name).read_text()
        assert generate.fill(page) == page, f"{name}: run `make docs`"


def test_every_generated_part_is_asked_for_and_ends():
    pages = "".join((ROOT / name).read_text() for name in generate.PAGES)
    asked = re.findall(r"<!-- (\w+) -->", pages)
    assert {*asked} - {"end"} == generate.SECTIONS.keys()
    assert asked[1::2] == ["end"] * (len(asked) // 2)


def test_a_page_that_went_stale_is_seen(monkeypatch):
    page = "There are <!-- xrays -->29<!-- end --> X-rays."
    assert f">{len(examples())}<" in generate.fill(page)
    with pytest.raises(KeyError):
        generate.fill("<!-- unknown -->1<!-- end -->")


def test_figures_are_of_the_weights_that_ship():
    weights = BUNDLED["weights"]["graph"]["sha256"]
    for found in (REPORT, ADULTS, AUDIT, OFFICIAL):
        assert found["bundle_sha256"] == weights
    assert FACTS["finder"]["sha256"] == BUNDLED["finder"]["sha256"]


def test_trainings_of_what_ships_are_told_with_their_augmentation():
    told = {}
    (block,) = re.findall("^```sh\n(base=.*?)^```", TRAINING, re.DOTALL | re.MULTILINE)
    for name, value in re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE):
        told[name] = Template(*shlex.split(value)).substitute(told)
    commands = Template(block.replace("\\\n", "")).substitute(told)
    trained = BUNDLED["training"]
    asked = [step.get("changes", {}) for step in ancestry.of(trained)]
    done = [{*of["augmentation"].split("+")} for of in asked if "augmentation" in of]
    assert [*augmentations(commands)] == done
    assert {*trained["settings"]["augmentation"].split("+")} == done[-1]


def augmentations(commands: str) -> Iterator[set[str]]:
    for command in commands.splitlines():
        for word in shlex.split(command):
            if word.startswith("augmentation="):
                yield {*word.partition("=")[2].split("+")}


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
    folders = "pneumonia|tests|docs|notebooks|benchmarks|findings"
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


APPS = ("pneumonia/web/door.py", "pneumonia/web/demo/app.py")
FORM = ("pneumonia/web/form/app.py", "pneumonia/web/form/under_gunicorn.py")


def test_options_of_the_apps_are_all_explained():
    explained = {"all": set(), "demo": set()}
    for option, of, _ in table(USING, "| option | of |"):
        explained[of] |= mentioned(option)
    assert explained["all"] == options_of(APPS[0])
    assert explained["demo"] == options_of(APPS[1])
    assert not options_of(*FORM)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    whole = arguments.build(defaultdict(lambda: print))
    kind = argparse._SubParsersAction
    (subs,) = (action for action in whole._actions if isinstance(action, kind))
    return subs.choices


def options(command: argparse.ArgumentParser) -> set[str]:
    found = {name for action in command._actions for name in action.option_strings}
    return found - {"-h", "--help"}


@pytest.mark.parametrize("name", PAGES)
def test_options_exist(name):
    known = options_of(*APPS) | {"--help", "--version"}
    known = known.union(*map(options, parsers().values()))
    for quoted in re.findall(r"`([^`\n]+)`", prose(PAGES[name])):
        assert mentioned(quoted) <= known, quoted


def test_the_version_that_is_said_is_the_newest_in_the_log(capsys):
    with pytest.raises(SystemExit) as end:
        arguments.build(defaultdict(lambda: print)).parse_args(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"pneumonia {pneumonia.__version__}\n"
    log = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", log, re.MULTILINE)
    assert versions[0] == pneumonia.__version__


def commands() -> list[str]:
    """Return every `python -m pneumonia ...` of the pages, one line each."""
    found = set()
    for page in PAGES.values():
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("python -m pneumonia"):
                    found.add(line)
    return sorted(found)


def understood(line: str) -> argparse.Namespace:
    words = shlex.split(line, comments=True)[3:]
    return arguments.build(defaultdict(lambda: print)).parse_args(words)


@pytest.mark.parametrize("line", commands())
def test_commands_are_understood(line):
    assert understood(line).run


@pytest.mark.keras
def test_commands_name_rows_of_the_ablation():
    from pneumonia.study.ablation_rows import ROWS  # Keras takes seconds

    asked = [set(args.rows) for args in map(understood, commands()) if "rows" in args]
    assert asked
    assert set().union(*asked) <= ROWS.keys()


def test_make_targets_exist():
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {w for page in PAGES.values() for w in re.findall(r"make ([a-z]+)\b", page)}
    assert {"demo", "test", "serve", "space", "flask"} <= named & known
    in_code = re.findall(r"`make ([a-z]+)`", "".join(PAGES.values()))
    assert set(in_code) <= known


@pytest.mark.keras
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
    for path in (ROOT / "pneumonia").rglob("*.py"):
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
    said = re.findall(r"^    +(\w+): ", Prediction.__doc__, re.MULTILINE)
    assert said == [field.name for field in fields(Prediction)]
    document = api.document("0")
    sentence = re.search(r"The answer holds (.*?)\.", USING)[1]
    answered = document["components"]["schemas"]["Answer"]["properties"]
    assert re.findall(r"`(\w+)`", sentence) == [*answered]
    asked = document["paths"]["/api/predict"]["post"]["parameters"]
    named = [row[0].strip("`") for row in table(USING, "| in the address |")]
    assert sorted(name.partition("=")[0] for name in named) == sorted(
        parameter["name"] for parameter in asked
    )


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
    """Return what stands in the pages, and where it is in these tests."""
    return {
        "http://127.0.0.1:5000/": flask_url,
        "http://127.0.0.1:7860": gradio_url,
    }


PYTHON = ["python", "-"]
NODE = ["node", "--input-type=module", "-"]
ALL = "9 files, 0 not answered"


@pytest.mark.parametrize(
    ("page", "language", "word", "command", "expected"),
    [
        ("README.md", "python", "predict(", PYTHON, "{'Normal': "),
        ("README.md", "sh", "predict pneumonia", ["bash", "-e"], ALL),
        ("README.md", "sh", "curl -F", ["bash", "-e"], '"label":'),
        ("docs/using.md", "python", "verdict(", PYTHON, "robability of pneumonia"),
        ("docs/using.md", "sh", "predict pneumonia", ["bash", "-e"], ALL),
        ("docs/using.md", "sh", "curl -F", ["bash", "-e"], '"label":'),
        ("docs/using.md", "python", "gradio_client", PYTHON, "robability of pneumonia"),
        ("docs/using.md", "js", "fetch(", NODE, "probabilities: {"),
    ],
)
def test_examples_run(page, language, word, command, expected, here, tmp_path):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    (tmp_path / "pneumonia").symlink_to(ROOT / "pneumonia")  # as in a clone
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
        env=os.environ
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert expected in done.stdout + done.stderr, done.stderr
