"""A short run of the fuzzer, and proof that it would find something."""

import fuzz

from pneumonia.reading.isolated import read_anywhere


def test_a_thousand_damaged_files_raise_nothing_but_image_errors():
    report = fuzz.work(seed=1, start=0, count=1000)
    assert report["findings"] == []
    assert sum(report["outcomes"].values()) == 1000
    assert report["outcomes"]["read"] > 50
    assert report["outcomes"]["damaged"] > 50


def test_the_corpus_itself_is_read():
    for name, data in fuzz.corpus().items():
        assert min(read_anywhere(data).pixels.shape) >= 64, name


def test_the_fuzzer_reports_what_it_finds():
    findings = fuzz.work(seed=1, start=0, count=3, read=lambda data: {}["x"])[
        "findings"
    ]
    assert [finding["number"] for finding in findings] == [0, 1, 2]
    assert "KeyError" in findings[0]["what"]
