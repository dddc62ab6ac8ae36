"""Command line, `pneumonia`: each command imports only what it needs."""

import argparse
import errno
import importlib
import os
import sys
from io import TextIOWrapper
from pathlib import Path

from . import kept
from .arguments import build as parser
from .arguments import prog
from .serving import stopping
from .serving.classifier import BundleError, load_classifier
from .serving.selfcheck import selftest
from .training.backend import keras_explained

_TRAINING_PACKAGES = {"keras", "tensorflow", "sklearn", "scipy", "matplotlib", "onnx"}
_APPS = {"gradio": "demo.app", "flask": "form.app", "form": "form.under_gunicorn"}
_EXPLAINED = {
    "fcntl": "gunicorn needs a POSIX system. Serve the form by `serve flask`.",
    "highdicom": "--dicom needs highdicom. Install it with "
    "`pip install 'pneumonia-xray[dicom]'`.",
    "ray": "--engine ray needs Ray on every machine. Install it with "
    "`pip install -r requirements-cluster.txt`.",
}
"""What to do about a module that is missing."""

_PACKAGES_OF_APPS = {"flask", "gradio", "gunicorn", "jinja2", "reportlab", "segno"}


def _options(args: argparse.Namespace) -> dict:
    """Return what was asked for, without the command that runs it."""
    return {name: value for name, value in vars(args).items() if name != "run"}


def _data(args: argparse.Namespace) -> None:
    from .data import folder

    if args.arrays:
        if args.arrays.suffix != ".npz":  # by which `load` knows it
            raise SystemExit(f"error: --arrays {args.arrays}: expected a name FILE.npz")
        kept.check(args.arrays.parent)
    dataset = folder.load(args.source)
    print(folder.summarise(dataset))
    if args.arrays:
        folder.save(dataset, args.arrays)
        print(f"arrays written to {args.arrays}")


def _adults(args: argparse.Namespace) -> None:
    from .data import adults

    counts = adults.lay_out(args.source, args.labels, args.out)
    for what, count in counts.items():
        print(f"{what}: {count}")
    print(f"adults written to {args.out}")


def _download(args: argparse.Namespace) -> None:
    from .data import folder

    root = folder.download(args.out)
    print(f"training images: {root / 'train'}\ntest images: {root / 'test'}")


def _train(args: argparse.Namespace) -> None:
    from .training import train
    from .training.plan import Plan

    _say_next(train.train(Plan(**_options(args))))


def _widen(args: argparse.Namespace) -> None:
    from .training import widen

    print(f"starting weights written to {widen.widen(args.source, args.out)}")


def _train_finder(args: argparse.Namespace) -> None:
    from .training import train_finder

    run = train_finder.train(train_finder.FinderPlan(**_options(args)))
    print(
        f"finder kept in {run}; next: python -m pneumonia evaluate-finder "
        f"{args.source} --masks {args.masks} --run {run} --out REPORT"
    )


def _evaluate_finder(args: argparse.Namespace) -> None:
    from .evaluation import evaluate_finder

    report = evaluate_finder.evaluate_finder(**_options(args))
    print(evaluate_finder.summarise(report))
    print(f"report written to {args.out}")


def _average(args: argparse.Namespace) -> None:
    from .training import weights

    _say_next(weights.average(args.runs, args.out))


def _say_next(run: Path) -> None:
    print(f"run kept in {run}; next: python -m pneumonia export {run} --out BUNDLE")


def _ablate(args: argparse.Namespace) -> None:
    from .study import ablation

    print(ablation.summarise(ablation.ablate(**_options(args))))
    print(f"table written to {args.out / 'ablation.json'}")


def _evaluate(args: argparse.Namespace) -> None:
    from .evaluation import evaluate

    report = evaluate.evaluate(
        args.source,
        args.out,
        args.bundle,
        validation_only=args.validation_only,
        share=args.share,
        under_stress=args.stress,
        engine=args.engine,
    )
    print(evaluate.summarise(report))
    print(f"report and plots written to {args.out}")


def _audit(args: argparse.Namespace) -> None:
    from .study import audit

    report = audit.audit(**_options(args))
    print(audit.summarise(report))
    print(f"audit and figures written to {args.out}")


def _examples(args: argparse.Namespace) -> None:
    from .study import choose_examples

    rows = choose_examples.write(**_options(args))
    print(f"{len(rows)} X-rays and examples.csv written to {args.out}")


def _card(args: argparse.Namespace) -> None:
    from .study import card

    options = _options(args)
    out, page = options.pop("out"), options.pop("page")
    if page:
        card.write_page(page, **options)
        print(f"page written to {page}; next: hf upload OWNER/NAME {page}")
    else:
        with kept.whole(out) as path:
            path.write_text(card.write_card(**options), encoding="utf-8")
        print(f"model card written to {out}")


def _export(args: argparse.Namespace) -> None:
    from .export import export

    options = _options(args)
    places = [options.pop(name) for name in ("run_folder", "out", "data")]
    classifier = export.export(*places, **options)
    fidelity = classifier.facts["int8_against_keras"]
    print(
        f"bundle written to {args.out}: threshold {classifier.threshold:.3f}, "
        f"temperature {classifier.temperature:.3f}, int8 agrees with Keras on "
        f"{fidelity['label_agreement']:.2%} of validation labels\n"
        f"next, what it refuses: python -m pneumonia gate DIR --bundle {args.out}"
    )


def _predict(args: argparse.Namespace) -> None:
    from .serving import predicting

    predicting.run(args, _keeper(args.dicom))


def _watch(args: argparse.Namespace) -> None:
    from .serving import watching

    kept.check(args.out)
    watching.run(args, _keeper(args.out / "dicom" if args.dicom else None))


def _keeper(folder: Path | None):
    """Return what keeps answers as DICOM, if that is asked for."""
    if folder is None:
        return None
    from .archive.folder import Folder

    return Folder(folder)


def _gate(args: argparse.Namespace) -> None:
    from .data import folder
    from .gate import fit

    kept.check(args.bundle)
    measured = fit.refit(
        args.bundle,
        folder.load(args.source),
        {place.name: folder.load(place, labelled=False) for place in args.adults},
    )
    for name, value in measured.items():
        print(f"{name}: {value}")
    print(f"gate written to {args.bundle / 'bundle.json'}")


def _serve(args: argparse.Namespace) -> None:
    module = importlib.import_module(f".web.{_APPS[args.app]}", __package__)
    module.main(args.options, prog=f"{prog()} serve {args.app}")


def _yours(args: argparse.Namespace) -> None:
    from .web.yours import trial

    trial.run(**_options(args))


def _space(args: argparse.Namespace) -> None:
    from .web.demo import space

    space.write(args.out, args.model)
    upload = f"hf upload OWNER/NAME {args.out} --repo-type space"
    print(f"Space written to {args.out}; next: {upload}")


def _selftest(args: argparse.Namespace) -> None:
    classifier = load_classifier(args.bundle)
    print(f"weights match their checksum {classifier.sha256}")
    for name, (stored, found) in selftest(classifier).items():
        print(f"{name}: stored {stored:.4f}, now {found:.4f}")
    print("the bundle works here")


_COMMANDS = (
    _data,
    _adults,
    _download,
    _widen,
    _train,
    _train_finder,
    _evaluate_finder,
    _average,
    _ablate,
    _evaluate,
    _audit,
    _examples,
    _card,
    _export,
    _predict,
    _watch,
    _gate,
    _serve,
    _yours,
    _space,
    _selftest,
)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what the user can mend ends in one sentence, status 1."""
    commands = {run.__name__[1:].replace("_", "-"): run for run in _COMMANDS}
    args = parser(commands).parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):  # it may lack a letter of a file's name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with stopping.stoppable(), keras_explained():
            args.run(args)
    except KeyboardInterrupt as stop:
        print("stopped.", file=sys.stderr)
        raise SystemExit(stopping.status(stop)) from None
    except (BundleError, ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("pneumonia"):
            raise  # a bug: its traceback helps
        raise SystemExit(f"error: {error}") from error
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        if error.errno == errno.ENOSPC:
            what += ". Free some space, and run the same command again."
        raise SystemExit(f"error: {what}") from error
    except ModuleNotFoundError as error:
        if not (mend := _mend(error.name)):
            raise
        raise SystemExit(f"error: {mend}") from error


def _mend(missing: str | None) -> str:
    """Return what to do where a module is not installed; "": nobody knows."""
    if missing in _EXPLAINED:
        return _EXPLAINED[missing]
    if missing in _PACKAGES_OF_APPS:
        install = "the apps with `pip install 'pneumonia-xray[apps]'`"
    elif missing == "tensorflow" and sys.version_info >= (3, 14):  # there is none yet
        install = (
            "JAX with `pip install 'pneumonia-xray[train,jax]'` and set "
            "KERAS_BACKEND=jax, or use Python 3.13"
        )
    elif missing in _TRAINING_PACKAGES:
        install = "everything with `pip install -r requirements.txt`"
    else:
        return ""
    return f"this command needs {missing}. Install {install}."


def run() -> None:
    """Run the command that this process was started for."""
    # What it starts takes no modules from the working directory either: since Python
    # 3.14, a progress bar starts a process that looks after locks.
    os.environ["PYTHONSAFEPATH"] = "1"
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in given if p in sys.path)
    main()


if __name__ == "__main__":
    run()
