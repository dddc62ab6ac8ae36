"""README and docs say what is so: generated parts, examples, commands, links."""

import argparse
import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from servers import PACKAGE, ROOT
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

import pneumonia
from pneumonia import ImageError, Prediction, arguments, examples
from pneumonia.contract import BUNDLE
from pneumonia.serving import gate
from pneumonia.training import ancestry
from pneumonia.training.plan import Plan
from pneumonia.web.form import api
from pneumonia.web.form import app as flask_app

sys.path.insert(0, str(ROOT / "docs"))
import generate  # noqa: E402

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
ALL = "".join(PAGES.values())
USING, TRAINING = PAGES["docs/using.md"], PAGES["docs/training.md"]
FACTS = {path.stem: json.loads(path.read_text()) for path in BUNDLE.glob("*.json")}
BUNDLED = FACTS["bundle"]


def table(page: str, start: str) -> list[list[str]]:
    """Return the rows of the one table whose header begins so."""
    found = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    (wanted,) = [each for each in found if each.startswith(start)]
    rows = wanted.splitlines()[2:]
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows]


def prose(page: str) -> str:
    return re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)


def calls(path: Path):
    """Yield the name of each call in a source with its first argument, if constant."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield name, str(getattr(node.args[0], "value", "")), len(node.args)


def test_generated_parts_are_as_they_would_be_written():
    for name in generate.PAGES:
        page = (ROOT / name).read_text()
        assert generate.fill(page) == page, f"{name}: run `make docs`"


def test_every_generated_part_is_asked_for_and_ends():
    pages = "".join((ROOT / name).read_text() for name in generate.PAGES)
    asked = re.findall(r"<!-- (\w+) -->", pages)
    assert {*asked} - {"end"} == generate.SECTIONS.keys()
    assert asked[1::2] == ["end"] * (len(asked) // 2)
    stale = "There are <!-- xrays -->29<!-- end --> X-rays."
    assert f">{len(examples())}<" in generate.fill(stale)
    with pytest.raises(KeyError):
        generate.fill("<!-- unknown -->1<!-- end -->")


def test_figures_are_of_the_weights_that_ship():
    weights = BUNDLED["weights"]["graph"]["sha256"]
    for name in ("report", "adults", "audit"):
        assert FACTS[name]["bundle_sha256"] == weights
    older = FACTS["official_test"]["bundle_sha256"] != weights
    assert ("It is of the weights before" in PAGES["README.md"]) == older
    assert ("Row 5** is of the weights that shipped before" in ALL) == older
    assert FACTS["finder"]["sha256"] == BUNDLED["finder"]["sha256"]


@pytest.mark.keras
def test_the_trainings_of_what_ships_are_those_that_are_told():
    from pneumonia.training.recipe import find
    from pneumonia.training.settings import adjust

    told = TRAINING.split("## The network that ships\n")[1].replace("\\\n", " ")
    commands = re.findall(r"^python -m pneumonia train .*$", told, re.MULTILINE)
    names = {field.name for field in fields(Plan)}
    plans = []
    for asked in map(vars, map(understood, commands)):
        plans.append(Plan(**{name: asked[name] for name in names & asked.keys()}))
    steps = ancestry.of(BUNDLED["training"])
    assert len(plans) == len(steps) == 2
    for plan, step in zip(plans, steps, strict=True):
        settings = asdict(adjust(find(plan.recipe), plan.changes))
        younger = {"unchanged": 0.0}  # than these trainings
        assert json.loads(json.dumps(settings)) == younger | step["settings"]
        for name in ("recipe", "seed", "precision"):
            assert getattr(plan, name) == step[name]
        assert (plan.extra is not None) == step["extra"]
        assert (plan.start is not None) == (step["start"] is not None)
    assert plans[0].backbone_weights == BUNDLED["training"]["backbone_weights"]


def test_the_readme_is_short_and_links_every_page():
    assert len((ROOT / "README.md").read_bytes()) <= 8 * 1024
    for name in PAGES.keys() - {"README.md"}:
        assert f"({name})" in PAGES["README.md"]


def anchors(file: Path) -> set[str]:
    """Return what GitHub names the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(file.read_text()), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", each.strip().lower()) for each in headings)
    return {each.replace(" ", "-") for each in kept}


LINKED = [*PAGES, "SECURITY.md", "benchmarks/README.md", "benchmarks/tables.md"]


@pytest.mark.parametrize("name", LINKED)
def test_links_lead_somewhere_and_named_files_exist(name):
    page = (ROOT / name).read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    assert targets
    for target in targets:
        if not re.match(r"\w+:", target):
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent / path if path else ROOT / name
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target
    folders = "pneumonia|tests|docs|notebooks|benchmarks|findings"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)", page):
        assert (ROOT / path).exists(), path


WEB = PACKAGE / "web"
DOOR, DEMO, *FORM = (
    {first for name, first, _ in calls(path) if name == "add_argument"}
    for path in (
        WEB / "door.py",
        WEB / "demo/app.py",
        WEB / "form/app.py",
        WEB / "form/under_gunicorn.py",
    )
)


def mentioned(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_options_of_the_apps_are_all_explained():
    explained = {"all": set(), "demo": set()}
    for option, of, _ in table(USING, "| option | of |"):
        explained[of] |= mentioned(option)
    assert explained == {"all": DOOR, "demo": DEMO}
    assert not set().union(*FORM)


def test_options_exist():
    whole = arguments.build(defaultdict(lambda: print))
    kind = argparse._SubParsersAction
    (subs,) = (action for action in whole._actions if isinstance(action, kind))
    known = DOOR | DEMO | {"--help", "--version", "--no-deps"}
    for command in subs.choices.values():
        known |= {n for action in command._actions for n in action.option_strings}
    for quoted in re.findall(r"`([^`\n]+)`", "".join(map(prose, PAGES.values()))):
        assert mentioned(quoted) <= known, quoted


def test_the_version_that_is_said_is_the_newest_in_the_log(capsys):
    with pytest.raises(SystemExit) as end:
        understood("python -m pneumonia --version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"pneumonia {pneumonia.__version__}\n"
    log = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", log, re.MULTILINE)
    assert versions[0] == pneumonia.__version__


BLOCKS = "".join(re.findall(r"```sh\n(.*?)```", ALL, re.DOTALL)).replace("\\\n", " ")
COMMANDS = sorted({*re.findall(r"^python -m pneumonia[^&\n]*", BLOCKS, re.MULTILINE)})


def understood(line: str) -> argparse.Namespace:
    words = shlex.split(line, comments=True)[3:]
    return arguments.build(defaultdict(lambda: print)).parse_args(words)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line):
    assert understood(line).run


@pytest.mark.keras
def test_commands_name_rows_of_the_ablation():
    from pneumonia.study.ablation_rows import ROWS  # Keras takes seconds

    asked = [set(args.rows) for args in map(understood, COMMANDS) if "rows" in args]
    assert asked
    assert set().union(*asked) <= ROWS.keys()


def test_make_targets_exist():
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"make ([a-z]+)\b", ALL))
    assert {"demo", "test", "serve", "flask"} <= named & known
    assert set(re.findall(r"`make ([a-z]+)`", ALL)) <= known


@pytest.mark.keras
def test_recipes_are_all_in_the_table():
    from pneumonia.training.recipe import RECIPES  # Keras takes seconds

    def images(recipe):
        if recipe.images_per_epoch:
            return f"{recipe.epochs * recipe.images_per_epoch:,}"
        return f"all, {recipe.epochs} times"

    rows = table(TRAINING, "| recipe | images shown |")
    told = {row[0].strip("`"): row[1] for row in rows}
    assert told == {name: images(recipe) for name, recipe in RECIPES.items()}
    assert set(re.findall(r"--recipe ([a-z-]+)", ALL)) <= RECIPES.keys()


def reasons() -> set[str]:
    """Every code that the sources refuse or warn with."""
    found = {*gate.SENTENCES, "unreadable"}
    for path in PACKAGE.rglob("*.py"):
        for name, first, count in calls(path):
            if name in ("ImageError", "DicomError") and count > 1 and first:
                found.add(first)
    return found


def statuses() -> dict[str, str]:
    """Return what the form says besides: the reason and status of each HTTP error."""
    raised = {
        kind
        for kind in vars(flask_app).values()
        if isinstance(kind, type) and issubclass(kind, HTTPException) and kind.code
    }
    return {
        kind().name.lower().replace(" ", "_"): str(kind.code)
        for kind in raised - {RequestEntityTooLarge}  # it is `too_large`
    }


def test_table_of_reasons_is_that_of_the_code():
    known, of_http, explained = reasons(), statuses(), set()
    assert {"gone", "no_file", "modality", "negative", "first_frame"} <= known
    for names, status, meaning, offers in table(USING, "| reason | status |"):
        codes = re.findall(r"`(\w+)`", names)
        many = status.split(", ") if ", " in status else [status] * len(codes)
        for code, one in zip(codes, many, strict=True):
            explained.add(code)
            if code in of_http:
                assert one == of_http[code], code
            elif code in gate.SENTENCES and code not in gate.REFUSALS:
                assert one == "200" and meaning.startswith("warning: "), code
            elif one in ("demo", "command line", "Python"):
                assert code in ("gone", "unreadable", "needs_worker")
            else:
                assert one == str(flask_app._STATUS.get(code, 422)), code
            refused = code in gate.REFUSALS
            refusal = gate.refuse(code) if refused else ImageError(code, "")
            assert offers == ", ".join(refusal.offers), code
    assert explained == known | of_http.keys()


def first_cells(page: str, start: str) -> list[str]:
    return sorted(row[0].strip("`").partition("=")[0] for row in table(page, start))


def test_fields_arguments_and_files_are_all_explained():
    said = re.findall(r"^    +(\w+): ", Prediction.__doc__, re.MULTILINE)
    assert said == [field.name for field in fields(Prediction)]
    document = api.document("0")
    sentence = re.search(r"The answer holds (.*?)\.", USING)[1]
    answered = document["components"]["schemas"]["Answer"]["properties"]
    assert re.findall(r"`(\w+)`", sentence) == [*answered]
    asked = document["paths"]["/api/predict"]["post"]["parameters"]
    names = sorted(parameter["name"] for parameter in asked)
    assert first_cells(USING, "| in the address |") == names
    files = sorted(path.name for path in BUNDLE.iterdir())
    page = PAGES["docs/architecture.md"]
    assert first_cells(page, "| file | written by |") == files


def example(page: str, language: str, word: str) -> str:
    """Return a page's code block in a language that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


RUN = {
    "python": [sys.executable, "-"],
    "sh": ["bash", "-e"],
}
FOUND = "9 files, 0 not answered"


@pytest.mark.parametrize(
    ("page", "language", "word", "expected"),
    [
        ("README.md", "python", "predict(", "{'Normal': "),
        ("README.md", "sh", "predict pneumonia", FOUND),
        ("README.md", "sh", "curl -F", '"label":'),
        ("docs/using.md", "python", "verdict(", "robability of pneumonia"),
        ("docs/using.md", "sh", "predict pneumonia", FOUND),
        ("docs/using.md", "sh", "curl -F", '"label":'),
        ("docs/using.md", "python", "gradio_client", "robability of pneumonia"),
    ],
)
def test_examples_run(page, language, word, expected, flask_url, gradio_url, tmp_path):
    (tmp_path / "pneumonia").symlink_to(PACKAGE)  # as in a clone
    script = example(PAGES[page], language, word)
    script = script.replace("http://127.0.0.1:5000/", flask_url)
    script = script.replace("http://127.0.0.1:7860", gradio_url)
    if word == "gradio_client":
        script += "\nprint(words)\n"
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        RUN[language],
        cwd=tmp_path,
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | here,
    )
    assert expected in done.stdout + done.stderr, done.stderr
