"""Files of others at the form's API: what is said of each, and what it costs.

    python benchmarks/strangers.py DIR [--report FILE.md]

DIR holds files of any kind. Good ones are the test images of image libraries: unpack
the source packages of Pillow, OpenCV, scikit-image, imagecodecs and pydicom.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from app_requests import FlaskApp  # noqa: E402

from pneumonia import LABELS, MAX_BYTES  # noqa: E402

SOURCE = {".py", ".c", ".h", ".cpp", ".hpp", ".cu", ".md", ".rst", ".txt", ".java"}


def main() -> None:
    """Send every file and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    files = sorted(
        path
        for path in args.folder.rglob("*")
        if path.is_file()
        and path.suffix.lower() not in SOURCE
        and path.stat().st_size <= MAX_BYTES
    )
    said, slow, answered = Counter(), [], []
    with tempfile.TemporaryDirectory() as folder:
        app = FlaskApp.run("--rate", "0", folder=Path(folder))
        first = sum(app.memory())
        most = first
        for path in files:
            begun = time.monotonic()
            outcome = app.send(path.read_bytes())
            seconds = time.monotonic() - begun
            said[outcome.said] += 1
            if outcome.said in LABELS:
                answered.append(path)
            slow.append((seconds, path.name))
            most = max(most, sum(app.memory()))
        alive = app.process.poll() is None
        app.close()
        left = sum(path.is_file() for path in Path(folder).rglob("*"))
    lost = sum(count for what, count in said.items() if what.startswith("lost"))
    seconds, name = max(slow)
    rows = [f"| `{what}` | {count} |" for what, count in said.most_common()]
    text = "\n".join(
        [
            "# Files of others",
            "",
            f"`python benchmarks/strangers.py DIR`: {len(files):,} files at the form's "
            f"API. Without an answer: {lost}. The server "
            f"{'ran on' if alive else 'died'}; files left behind: {left}. Memory with "
            f"workers: {first:.0f} MiB at first, at most {most:.0f} MiB. Slowest: "
            f"{seconds:.1f} s ({name}). Taken for a chest X-ray: {len(answered)}.",
            "",
            "| said | files |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )
    print(text)
    print("\n".join(f"answered: {path}" for path in answered), file=sys.stderr)
    if args.report:
        args.report.write_text(text)


if __name__ == "__main__":
    main()
