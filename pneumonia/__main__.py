"""Command line, python -m pneumonia: each command imports only what it needs."""

import argparse
import sys
from pathlib import Path

from .classifier import NOTICE, BundleError, load_classifier, selftest

_TRAINING_PACKAGES = {"keras", "tensorflow", "sklearn", "scipy", "matplotlib", "onnx"}


def _data(args: argparse.Namespace) -> None:
    from . import data

    dataset = data.load(args.source)
    print(data.describe(dataset))
    if args.arrays:
        data.save(dataset, args.arrays)
        print(f"arrays written to {args.arrays}")


def _download(args: argparse.Namespace) -> None:
    from . import data

    folder = data.download(args.out)
    print(f"training images: {folder / 'train'}\ntest images: {folder / 'test'}")


def _train(args: argparse.Namespace) -> None:
    from . import train

    out = train.train(
        args.source,
        args.out,
        recipe=args.recipe,
        backbone_weights=(
            None if args.backbone_weights == "random" else args.backbone_weights
        ),
        epochs=args.epochs,
        images_per_epoch=args.images_per_epoch,
        seed=args.seed,
        precision=args.precision,
        resume=args.resume,
    )
    print(f"run kept in {out}; next: python -m pneumonia export {out} --out BUNDLE")


def _evaluate(args: argparse.Namespace) -> None:
    from . import evaluate

    report = evaluate.evaluate(
        args.source, args.out, args.bundle, validation_only=args.validation_only
    )
    print(evaluate.summarise(report))
    print(f"report and plots written to {args.out}")


def _export(args: argparse.Namespace) -> None:
    from . import export

    classifier = export.export(args.run_folder, args.out, args.data)
    fidelity = classifier.facts["int8_against_keras"]
    print(
        f"bundle written to {args.out}: threshold {classifier.threshold:.3f}, "
        f"temperature {classifier.temperature:.3f}, int8 agrees with Keras on "
        f"{fidelity['label_agreement']:.2%} of validation labels"
    )


def _predict(args: argparse.Namespace) -> None:
    from contextlib import nullcontext

    from tqdm import tqdm

    from . import batch

    files = batch.find_files(args.paths)
    if not files:
        raise SystemExit(f"error: no file in {', '.join(map(str, args.paths))}.")
    classifier = load_classifier(args.bundle)
    bar = tqdm(files, desc="answering", unit="image", disable=len(files) == 1)
    rows = batch.answer_files(classifier, bar, args.overlays, args.anyway)
    target = (
        args.csv.open("w", newline="", encoding="utf-8")
        if args.csv
        else nullcontext(sys.stdout)
    )
    with target as file:
        count, errors = batch.write_rows(rows, file)
    print(f"{count} files, {errors} not answered. {NOTICE}", file=sys.stderr)


def _gate(args: argparse.Namespace) -> None:
    from . import data, gate_fit

    measured = gate_fit.refit(
        args.bundle,
        data.load(args.source),
        data.load(args.adults) if args.adults else None,
    )
    for name, value in measured.items():
        print(f"{name}: {value}")
    print(f"gate written to {args.bundle / 'bundle.json'}")


def _selftest(args: argparse.Namespace) -> None:
    classifier = load_classifier(args.bundle)
    print(f"weights match their checksum {classifier.sha256}")
    for name, (stored, found) in selftest(classifier).items():
        print(f"{name}: stored {stored:.4f}, now {found:.4f}")
    print("the bundle works here")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pneumonia", description=NOTICE)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(run.__name__[1:], help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    source_help = "folder with NORMAL/ and PNEUMONIA/ (or train/...), or arrays .npz"
    sub = command(_download, "download the public data set")
    sub.add_argument("--out", type=Path, required=True, help="folder for it")

    sub = command(_data, "count images, patients, duplicates, unreadable files")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--arrays", type=Path, metavar="FILE.npz", help="keep it decoded")

    sub = command(_train, "train a network")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="run folder"
    )
    sub.add_argument("--recipe", choices=["default", "seed"], default="default")
    sub.add_argument(
        "--backbone-weights",
        default="imagenet",
        metavar="imagenet|random|PATH",
        help="where VGG19's convolutions start (default: imagenet, downloaded once)",
    )
    sub.add_argument("--epochs", type=int, metavar="N", help="most epochs")
    sub.add_argument("--images-per-epoch", type=int, metavar="N")
    sub.add_argument("--seed", type=int, default=0, metavar="N")
    sub.add_argument(
        "--precision",
        choices=["float32", "mixed_bfloat16", "mixed_float16"],
        default="float32",
        help="mixed_* is faster where the machine computes it natively",
    )
    sub.add_argument(
        "--resume", action="store_true", help="go on with the run in --out"
    )

    sub = command(_evaluate, "measure a bundle on labelled images")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument("--out", type=Path, required=True, help="folder for report, plots")
    sub.add_argument(
        "--validation-only",
        action="store_true",
        help="only the patients that training holds out",
    )
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")

    sub = command(_export, "turn a run into the bundle that is served")
    sub.add_argument("run_folder", type=Path, metavar="RUN", help="folder of the run")
    sub.add_argument("--out", type=Path, required=True, metavar="BUNDLE")
    sub.add_argument("--data", type=Path, help="data set, where it has moved")

    sub = command(_predict, "answer image files and folders, one CSV row each")
    sub.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    sub.add_argument(
        "--csv", type=Path, metavar="FILE", help="default: standard output"
    )
    sub.add_argument(
        "--overlays", type=Path, metavar="DIR", help="write overlays as PNG"
    )
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    sub.add_argument(
        "--anyway", action="store_true", help="answer what the gate refuses, warned"
    )

    sub = command(_gate, "fit anew which pictures a bundle refuses")
    sub.add_argument("source", type=Path, help=source_help)
    sub.add_argument(
        "--adults", type=Path, metavar="DIR", help="X-rays of adults, likewise"
    )
    sub.add_argument("--bundle", type=Path, required=True, metavar="BUNDLE")

    sub = command(_selftest, "check that the bundle is whole and answers as it should")
    sub.add_argument("--bundle", type=Path, help="default: the one that ships")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what the user can mend ends in one sentence, status 1."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except (BundleError, ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("pneumonia"):
            raise  # a bug: its traceback helps
        raise SystemExit(f"error: {error}") from error
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise SystemExit(f"error: {what}") from error
    except ModuleNotFoundError as error:
        if error.name not in _TRAINING_PACKAGES:
            raise
        raise SystemExit(
            f"error: this command needs {error.name}. "
            "Install everything with `pip install -r requirements.txt`."
        ) from error


if __name__ == "__main__":
    main()
