"""The command line by itself: its help, its examples, completion in a shell."""

import shutil
import subprocess
import sys

import pytest

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
