"""An archive on a Ray cluster of two workers, one of them killed in the middle."""

import csv
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from pneumonia import phantoms
from pneumonia.__main__ import main
from pneumonia.reading.files import find_files
from pneumonia.serving import cluster

pytestmark = pytest.mark.slow

FILES = 48


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    (folder / "deeper").mkdir(parents=True)
    for number in range(FILES):
        file = folder / ("deeper" if number % 2 else "") / f"{number:03}.png"
        picture = phantoms()[number % 3].read_bytes()
        file.write_bytes(picture if number % 8 else b"no picture")
    return folder


def rows(shards: Path) -> list[dict]:
    files = (shard.read_text().splitlines() for shard in shards.glob("*.csv"))
    return [row for lines in files for row in csv.DictReader(lines)]


@pytest.fixture(scope="module")
def machines():
    """A cluster of a head without cores and two machines of one core each."""
    ray = pytest.importorskip("ray", reason="requirements-cluster.txt is not installed")
    from ray.cluster_utils import Cluster

    impatient = {"health_check_period_ms": 500, "health_check_timeout_ms": 2000}
    head = {"num_cpus": 0, "_system_config": impatient}
    cluster_of_two = Cluster(initialize_head=True, head_node_args=head)
    workers = [cluster_of_two.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster_of_two.address, log_to_driver=False)
    yield cluster_of_two, workers
    ray.shutdown()
    cluster_of_two.shutdown()


def test_every_image_has_a_row_though_one_dies(machines, archive, tmp_path, capsys):
    shards = tmp_path / "shards"
    everything, workers = machines

    def kill_one() -> None:
        while len(list(shards.glob("*.csv"))) < 3:
            time.sleep(0.05)
        everything.remove_node(workers[0], allow_graceful=False)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    files = find_files([archive])
    count, errors = cluster.answer_archive(files, shards, files_a_shard=4)
    killer.join(30)
    assert not killer.is_alive()
    assert (count, errors) == (FILES, FILES // 8)
    times = Counter(row["path"] for row in rows(shards))
    assert times == {str(path.absolute()): 1 for path, _ in files}

    # another run answers what has no row yet
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    (archive / "new.png").write_bytes(phantoms()[0].read_bytes())
    main(["predict", str(archive), "--engine", "ray", "--shards", str(shards)])
    assert f"1 files, 0 not answered, {FILES} were done" in capsys.readouterr().err
    assert len(rows(shards)) == FILES + 1
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_missing_ray_and_missing_folder_are_said(archive, monkeypatch):
    command = ["predict", str(archive), "--engine", "ray"]
    with pytest.raises(SystemExit, match="--shards DIR"):
        main(command)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit, match="requirements-cluster.txt"):
        main([*command, "--shards", str(archive / "shards")])
