"""What the model card says of weaknesses: stress, adults, failures.

Every sentence is chosen by the numbers, so that it can't outlive them.
"""

from ..contract import LABELS, METHODS
from .card_words import (
    NOT_MEASURED,
    bullets,
    command,
    interval,
    map_verdict,
    number,
    share,
    table,
)

NOTABLE_LOSS = 0.05
"""Loss of accuracy under stress, or share of changed labels, that is put in words."""

METRICS = ("accuracy", "sensitivity", "specificity", "auroc", "ece")
_HEAD = ("accuracy", "sensitivity", "specificity", "AUROC", "ECE")


def stress(report: dict) -> str:
    """Write the stress families, worst first, and what fails under them."""
    found = report.get("stress")
    if not found:
        return NOT_MEASURED
    parts = [
        "The same held-out patients, their images changed in ways that other hospitals "
        "differ. Each row is one family of changes; the rows start with the lowest "
        "accuracy. The operating point is the bundle's, nothing is tuned on a family.",
        _families(found["families"]),
        "All families together: "
        + ", ".join(
            f"{name} {interval(found['all'][key])}"
            for name, key in zip(_HEAD, METRICS, strict=True)
        )
        + ".",
    ]
    if found.get("groups"):
        parts += [
            "The same images, unchanged, in groups that a shortcut would treat "
            "differently; a group of one class is measured against all held-out images "
            "of the other:",
            _groups(found["groups"]),
        ]
    return "\n\n".join(parts)


def _families(families: dict[str, dict]) -> str:
    return table(
        ("family", "what is done", "the like in training", "images", *_HEAD),
        [
            (
                name,
                found["what"],
                _yes(found.get("seen_in_training")),
                found["n"],
                *_cells(found),
            )
            for name, found in _worst_first(families)
        ],
    )


def _groups(groups: dict[str, dict]) -> str:
    return table(
        ("group", "images", *_HEAD),
        [(name, found["n"], *_cells(found)) for name, found in _worst_first(groups)],
    )


def _cells(found: dict) -> list[str]:
    return [interval(found[key]) for key in METRICS]


def _worst_first(found: dict[str, dict]) -> list[tuple[str, dict]]:
    return sorted(found.items(), key=lambda item: item[1]["accuracy"]["value"])


def _yes(seen: bool | None) -> str:
    return {True: "yes", False: "no"}.get(seen, "unknown")


def failures(report: dict, audit: dict | None, adults: dict | None) -> str:
    """Say in words what goes wrong, as far as the numbers show it."""
    sentences = [*_stress_failures(report), *_adult_failures(adults)]
    if audit:
        sentences += _audit_failures(audit)
    return bullets(sentences) if sentences else "No figure shows a notable failure."


def _stress_failures(report: dict) -> list[str]:
    sentences = []
    found = report.get("stress") or {"families": {}}
    for name, family in _worst_first(found["families"]):
        lost = {
            key: report[key]["value"] - family[key]["value"]
            for key in ("accuracy", "sensitivity", "specificity")
        }
        if lost["accuracy"] < NOTABLE_LOSS:
            continue
        wrong = (
            f"healthy children are called pneumonia: specificity "
            f"{number(family['specificity']['value'])} instead of "
            f"{number(report['specificity']['value'])}"
            if lost["specificity"] > lost["sensitivity"]
            else f"pneumonias are missed: sensitivity "
            f"{number(family['sensitivity']['value'])} instead of "
            f"{number(report['sensitivity']['value'])}"
        )
        sentences.append(
            f"**{name}** ({family['what']}): accuracy "
            f"{number(family['accuracy']['value'])}; {wrong}."
        )
    if found["families"] and not sentences:
        sentences.append(
            f"No stress family costs {share(NOTABLE_LOSS)} of accuracy or more; the "
            f"worst is {found['worst']['accuracy']}."
        )
    return sentences


def _adult_failures(adults: dict | None) -> list[str]:
    if not adults:
        return []
    low, high = adults["auroc"]["ci95"]
    if low <= 0.5 <= high:
        verdict = "no better than chance"
    elif high < 0.5:
        verdict = "worse than chance"
    else:
        verdict = "better than chance, and measured on noisy labels of one hospital"
    return [
        f"**Adults**: {verdict}, AUROC {interval(adults['auroc'])}. "
        f"{share(1 - adults['specificity']['value'])} of the adults without finding "
        f"are called pneumonia, {share(1 - adults['sensitivity']['value'])} of the "
        "pneumonias are missed."
    ]


def _audit_failures(audit: dict) -> list[str]:
    sentences = []
    for row in audit["interventions"]:
        for label in LABELS:
            changed = row[label]["labels_changed"]
            if row["name"] != "lungs covered" and changed >= NOTABLE_LOSS:
                sentences.append(
                    f"**{row['name']}** ({row['what']}): the answer changes in "
                    f"{share(changed)} of the images whose truth is {label}."
                )
        if row["name"] == "lungs covered":
            sentences.append(
                f"**Lungs covered** ({row['what']}): {_without_lungs(row)}"
            )
    area = audit["heat_map"]["box_area"]
    for label in LABELS:
        inside = audit["heat_map"]["bundle"][label]["share"]
        if inside and inside["ci95"][0] <= area:
            sentences.append(
                f"**Heat maps of images whose truth is {label}** lie on the lungs no "
                f"more than chance would have it: {share(inside['value'])} of their "
                f"mass is in a central box that takes {share(area)} of the picture."
            )
    for method, found in zip(METHODS, (audit, audit.get("hirescam")), strict=True):
        for label in LABELS:
            if covered := ((found or {}).get("hottest_covered") or {}).get(label):
                faithful, sentence = map_verdict(method, label, covered)
                if not faithful:
                    sentences.append(f"**Heat maps**: {sentence}.")
    return sentences


def _without_lungs(row: dict) -> str:
    low, _ = row["auroc"]["ci95"]
    if low <= 0.5:
        return (
            f"AUROC {interval(row['auroc'])}, as it should be: what is left gives no "
            "answer."
        )
    return (
        f"AUROC is still {interval(row['auroc'])}. Something outside of that box "
        "tells the classes apart, and the network has learned it, too."
    )


def adults(report: dict | None) -> str:
    """Write what is known of adults."""
    if not report:
        return NOT_MEASURED
    rows = [
        (name, interval(report[key])) for name, key in zip(_HEAD, METRICS, strict=True)
    ]
    held_out = report.get("held_out_share")
    return "\n\n".join(
        [
            f"{report['n']} X-rays of {report['patients']} adults from another "
            "hospital (ChestX-ray8, NIH Clinical Center)"
            + (
                f"; the other {share(1 - held_out)} of that data set's patients were "
                "trained on. T"
                if held_out
                else ". T"
            )
            + "heir labels were mined from reports and are noisy. This network is not "
            "made for adults: both apps withhold its answer where they take an X-ray "
            "for an adult's.",
            table(("", "value (95 % interval)"), rows),
            command(
                "python -m pneumonia evaluate ADULTS --out OUT"
                + (f" --validation-only --share {held_out}" if held_out else "")
            ),
        ]
    )
