"""An archive on a Ray cluster: images a second by the number of cores it may use.

    python -m pip install -r requirements-cluster.txt
    python benchmarks/cluster.py DIR [--images 1024] [--nodes 1 10 100] [--cores 16]

DIR holds X-rays in original size, answered over and over. Then reckons what more
machines would do, from the rate of one core and the bytes that it reads.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import ray
from archive import fill
from measure import machine, table

from pneumonia.reading.files import find_files
from pneumonia.serving.cluster import FILES_A_SHARD, answer_archive


def main() -> None:
    """Measure, reckon and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument(
        "--cores", type=int, default=16, help="of a node, reckoned with"
    )
    args = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    print(f"{machine()}; Ray {ray.__version__}\n")
    sources = sorted(path for path in args.source.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in sources) / len(sources)
    rates = {}
    with tempfile.TemporaryDirectory() as place:
        files = find_files([fill(Path(place, "files"), sources, args.images)])
        for cores in range(1, (os.cpu_count() or 1) + 1):
            ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
            taken = []
            for name, some in (("few", files[: args.images // 4]), ("all", files)):
                begun = time.perf_counter()
                answer_archive(
                    some, Path(place, f"{name}{cores}"), files_a_shard=32, anyway=True
                )
                taken.append(time.perf_counter() - begun)
            ray.shutdown()
            more = len(files) - args.images // 4
            rates[cores] = more / (taken[1] - taken[0])  # without Ray's own start
    rows = [
        [cores, f"{rate:.1f}", f"{rate / rates[1] / cores:.2f}"]
        for cores, rate in rates.items()
    ]
    print(table(["cores", "images/s", "of cores x one core"], rows))
    core = rates[max(rates)] / max(rates)
    print(
        f"\nReckoned from {core:.1f} images/s a core and {size / 1e3:.0f} kB a file:\n"
    )
    rows = [
        [
            nodes,
            f"{core * args.cores * nodes:.0f}",
            f"{core * args.cores * nodes * size / 1e9 * 8:.1f}",
            f"{core * args.cores * nodes / FILES_A_SHARD:.1f}",
            f"{1e6 / (core * args.cores * nodes) / 60:.1f}",
        ]
        for nodes in args.nodes
    ]
    head = [f"nodes of {args.cores} cores", "images/s", "Gbit/s read"]
    head += ["shards/s to the driver", "minutes for a million images"]
    print(table(head, rows))


if __name__ == "__main__":
    main()
