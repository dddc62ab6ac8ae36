"""The command line by itself: its help, its examples, completion in a shell."""

import re
import shutil
import subprocess
import sys
import textwrap

import pytest
import yaml
from servers import ROOT

from pneumonia import __main__, arguments
from pneumonia.__main__ import main

NAMES = [run.__name__[1:].replace("_", "-") for run in __main__._COMMANDS]


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_an_example_that_it_understands(name, monkeypatch, capsys):
    ran = dict.fromkeys(NAMES, name)
    words = [name, *arguments.EXAMPLES_OF[name].split()]
    assert arguments.build(ran).parse_args(words).run == name
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pneumonia", name, "--help"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert said.startswith(f"usage: pneumonia {name} ")
    assert f"\nexample: pneumonia {' '.join(words)}\n" in said


def test_a_shell_completes_commands_and_options(capsys):
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    if not shutil.which("bash"):
        pytest.skip("no bash on this machine")
    for typed, completed in (("sel", "selftest"), ("predict --ov", "--overlays")):
        words = ["pneumonia", *typed.split()]
        ask = (
            f"{script}\nCOMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}\n"
            '_shtab_pneumonia; echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True)
        assert done.stdout.split() == [completed]


def test_the_containers_run_what_the_page_about_archives_says():
    told = yaml.safe_load((ROOT / "docs" / "compose.yaml").read_text())
    page = (ROOT / "docs" / "orthanc.md").read_text()
    called = told["services"]["watch"]["entrypoint"]
    assert " ".join(called) in page
    assert arguments.build(dict.fromkeys(NAMES, 1)).parse_args(called[1:]).dicom
    (script,) = re.findall(r"```lua\n(.*?)```", page, re.DOTALL)
    found = told["configs"]["films.lua"]["content"]
    assert found.strip() == textwrap.dedent(script).strip()
