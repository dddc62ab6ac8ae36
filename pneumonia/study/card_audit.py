"""What the model card says of shortcuts: the tables of `audit.json`."""

from ..contract import LABELS, METHODS
from .card_words import (
    NOT_MEASURED,
    command,
    interval,
    map_verdict,
    number,
    share,
    table,
)


def shortcuts(audit: dict | None) -> str:
    """Write the shortcut audit."""
    if not audit:
        return NOT_MEASURED
    found, heat = audit["shortcuts"], audit["heat_map"]
    both = {
        method: of
        for method, of in zip(METHODS, (audit, audit.get("hirescam")), strict=True)
        if of
    }
    originals = found["originals"]
    parts = [
        "**What the data give away without lungs.** A logistic regression sees only "
        f"the part named; cross-validated by patient ({audit['data']['images']} images "
        f"of {audit['data']['patients']} patients). An AUROC of 0.5 would be chance.",
        _readable(found["rows"] + (originals["rows"] if originals else [])),
        _names(found["names"]),
    ]
    if originals:
        parts += ["Size of the original files, 5th to 95th percentile:", _sizes(found)]
    asked = audit["asked"]
    parts += [
        "**What moves the answers.** The bundle was asked again about "
        f"{asked['images']} images of {asked['patients']} patients"
        + (" that training held out" if asked["validation_only"] else "")
        + ", after a change. Change: of the probability of pneumonia, mean and 95th "
        "percentile of its size. The last row is the counter-check: with the lungs "
        "covered there should be little left to answer from.",
        _moves(audit["interventions"]),
        "**Where the heat maps lie.** Mean share of the map's mass inside a central "
        f"box over the lungs (from {share(heat['box']['top'])} to "
        f"{share(heat['box']['bottom'])} of the height, {share(heat['box']['left'])} "
        f"to {share(heat['box']['right'])} of the width). The box takes "
        f"{share(heat['box_area'])} of the picture: that much a map without aim would "
        "have inside.",
        _inside(both, heat["against"]),
        *_covered(both),
        _random_head(both),
        command(
            "python -m pneumonia audit DIR/train --out OUT"
            + (" --validation-only" if asked["validation_only"] else "")
            + (" --originals ORIGINALS" if originals else "")
            + (" --against ANOTHER_BUNDLE" if heat["against"] else "")
        ),
    ]
    return "\n\n".join(parts)


def _readable(rows: list[dict]) -> str:
    return table(
        ("to tell apart", "seen", "images", "AUROC"),
        [
            (
                row["task"],
                f"{row['name']}: {row['what']}",
                row["n"],
                interval(row["auroc"]),
            )
            for row in rows
        ],
    )


def _names(names: dict[str, dict[str, int]]) -> str:
    fixed = all(min(counts.values()) == 0 for counts in names.values())
    counted = "; ".join(
        f"`{family}` " + ", ".join(f"{n} {label}" for label, n in counts.items() if n)
        for family, counts in names.items()
    )
    meaning = (
        "The family of a file's name fixes the label by construction"
        if fixed
        else "The family of a file's name does not fix the label"
    )
    return f"{meaning} ({counted}). The network never sees names."


def _sizes(found: dict) -> str:
    percentiles = found["originals"]["percentiles"]
    return table(
        ("truth", "aspect ratio", "width", "height"),
        [
            (
                label,
                *(
                    f"{of[key][0]:.{digits}f} to {of[key][2]:.{digits}f}"
                    for key, digits in (("aspect", 2), ("width", 0), ("height", 0))
                ),
            )
            for label, of in percentiles.items()
        ],
    )


def _moves(rows: list[dict]) -> str:
    return table(
        (
            "done to the image",
            *(f"{label}: change" for label in LABELS),
            *(f"{label}: answers that change" for label in LABELS),
            "AUROC afterwards",
        ),
        [
            (
                f"{row['name']}: {row['what']}",
                *(
                    f"{number(row[label]['mean_change'])}, "
                    f"{number(row[label]['p95_change'])}"
                    for label in LABELS
                ),
                *(share(row[label]["labels_changed"]) for label in LABELS),
                interval(row["auroc"]),
            )
            for row in rows
        ],
    )


def _inside(both: dict[str, dict], other: dict | None) -> str:
    seen = [
        (f"this bundle, {method}", of["heat_map"].get("bundle", of["heat_map"]))
        for method, of in both.items()
    ]
    if other:
        name = f"for comparison, {METHODS[0]}, bundle `{other['bundle_sha256'][:12]}`"
        seen.append((name, other))
    rows = [
        (
            name,
            *(
                interval(found[label]["share"]) if found[label]["share"] else "no map"
                for label in LABELS
            ),
            *(found[label]["empty"] for label in LABELS),
        )
        for name, found in seen
    ]
    head = (
        *(f"truth: {label}" for label in LABELS),
        *(f"empty maps: {label}" for label in LABELS),
    )
    return table(("", *head), rows)


def _covered(both: dict[str, dict]) -> list[str]:
    tested = [
        (method, label, of["hottest_covered"][label])
        for method, of in both.items()
        if of.get("hottest_covered")
        for label in LABELS
        if of["hottest_covered"][label]
    ]
    if not tested:
        return []
    area = both[METHODS[0]]["hottest_covered"]["area"]
    return [
        f"**What the hottest part is to the answer.** The hottest {share(area)} of "
        "each map (less where it is warm in less) was blurred, and the network asked "
        "again (after Petsiuk et al., BMVC 2018). The table says what the answer lost, "
        "in calibrated log-odds; beside it what it lost where another image's hottest "
        "part was blurred instead, of the same answer, and the same outline at a "
        f"random place. {_sentences([map_verdict(*row)[1] for row in tested])}",
        table(
            ("map", "answer", "maps", "own", "another's", "elsewhere")
            + ("own less another's", "own less elsewhere"),
            [
                (
                    method,
                    label,
                    of["n"],
                    *(interval(of[key]) for key in ("own", "another", "elsewhere")),
                    *(
                        interval(of["more_than"][key])
                        for key in ("another", "elsewhere")
                    ),
                )
                for method, label, of in tested
            ],
        ),
    ]


def _sentences(parts: list[str]) -> str:
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)


def _random_head(both: dict[str, dict]) -> str:
    found = {method: of["randomised_head"] for method, of in both.items()}
    rows = [
        (
            method,
            ", ".join(level["layers"]),
            number(level["correlation"]),
            share(level["empty"]),
        )
        for method, of in found.items()
        for level in of["levels"]
    ]
    first = found[METHODS[0]]
    others = ", ".join(
        f"{number(of['another_image'])} ({method})" for method, of in found.items()
    )
    return (
        "**With a random head.** The weights of the fully connected layers are "
        "shuffled, from the last layer on, and the maps compared with the true ones by "
        f"rank correlation ({first['n']} images, {len(first['levels'][-1]['draws'])} "
        "draws; Adebayo et al., NeurIPS 2018). One would mean the same map; true maps "
        f"of different images correlate {others}. "
        f"{' '.join(_fall(method, of) for method, of in found.items())}\n\n"
    ) + table(("map", "shuffled layers", "correlation", "maps that vanish"), rows)


def _fall(method: str, found: dict) -> str:
    """Say whether a method's maps fall apart with a random head, as they must."""
    whole, other = found["levels"][-1]["correlation"], found["another_image"]
    if whole is None or other is None:
        return f"No map of {method}'s was left to compare."
    if whole < other / 2:
        return (
            f"{method}'s maps fall apart, as they must: they show what the head has "
            "learned, and not just edges."
        )
    return (
        f"{method}'s maps do not fall apart as they should: part of what they show has "
        "nothing to do with what the head has learned."
    )
