"""What the model card says of the network: use, patients, training, files."""

from ..contract import NOTICE
from .card_words import bullets, command, number, share, table


def opening(facts: dict) -> str:
    """Write the title, and what this is."""
    side, margin = facts["image_size"], facts["network"].get("margin", 0)
    unseen = f", without the outermost {margin} at each side" if margin else ""
    return "\n\n".join(
        [
            "# Model card: Normal or Pneumonia",
            f"**{NOTICE}**",
            f"A VGG19 network that looks at one frontal chest X-ray, {side} x {side} "
            f"pixels{unseen}, says {' or '.join(facts['labels'])}, how sure it is, and "
            "draws a heat map. This card is written by `python -m pneumonia card` from "
            "files that the commands below measured. Numbers in parentheses are 95 % "
            "intervals by bootstrap over patients.",
        ]
    )


def use() -> str:
    """Write what the network is for, and what not."""
    return bullets(
        [
            "**For**: learning and teaching how such a network is trained, tested, "
            "explained and doubted; comparing methods.",
            "**Not for**: diagnosis, triage, second reading, or anything else that "
            "touches the care of a person. It is no medical device.",
            "**Outside of what it knows**: adults, lateral views, follow-ups, tubes "
            "and lines, every disease but pneumonia, pictures that are no chest X-ray. "
            "An answer to these means nothing.",
        ]
    )


def patients(facts: dict) -> str:
    """Write who the network learned from."""
    training = facts["training"]
    sides = {
        "learned from": "training",
        "learned from, of another source": "extra",
        "held out (validation)": "validation",
    }
    return "\n\n".join(
        [
            "Children of one to five years, Guangzhou Women and Children's Medical "
            "Center (Kermany et al., Cell 2018): the official training split. "
            "Physicians gave the labels. Pneumonia is bacterial or viral, normal means "
            "no finding.",
            table(
                ("", "images", "patients"),
                [
                    (name, training[f"{side}_images"], training[f"{side}_patients"])
                    for name, side in sides.items()
                    if f"{side}_images" in training
                ],
            ),
            "A hash of the patient decides who is held out, and no patient is on both "
            "sides. One hospital, one age group, one archive: nothing is known of sex, "
            "origin or machine, so nothing can be said of fairness between groups.",
            command("python -m pneumonia data DIR/train"),
        ]
    )


def training(facts: dict) -> str:
    """Write the recipe, the starting weights and what int8 changed."""
    training = facts["training"]
    settings = training["settings"]
    fidelity = facts["int8_against_keras"]
    versions = ", ".join(f"{k} {v}" for k, v in training["versions"].items())
    return "\n\n".join(
        [
            f"Recipe `{training['recipe']}`, {_seed(training)}, precision "
            f"{training['precision']}; {versions}. Its settings, explained in "
            "`pneumonia/recipe.py`:",
            table(
                ("setting", "value"),
                [(f"`{k}`", f"`{v}`") for k, v in settings.items()],
            ),
            f"Starting weights: {facts['licence']['starting weights']}; "
            + (
                f"by way of another run, `{training['started_from']}`."
                if training.get("started_from")
                else f"file `{training['backbone_weights']}`."
            ),
            "What ships computes its convolutions in int8. It gives the label of the "
            f"trained network in {share(fidelity['label_agreement'])} of the held-out "
            "images; the largest change of a probability is "
            f"{number(fidelity['largest_probability_change'])}, and the heat maps "
            f"correlate {number(fidelity['mean_map_correlation'])} on average, "
            f"{number(fidelity['least_map_correlation'])} at worst"
            + (
                f" (HiResCAM's {number(fidelity['mean_evidence_correlation'])} on "
                "average)."
                if "mean_evidence_correlation" in fidelity
                else "."
            ),
        ]
    )


def _seed(training: dict) -> str:
    if averaged := training.get("averaged"):
        return f"mean of the weights of {len(averaged)} runs ({', '.join(averaged)})"
    return f"seed {training['seed']}"


def again(facts: dict) -> str:
    """Write the commands that make a bundle of this kind."""
    training = facts["training"]
    options = {
        "--recipe": training["recipe"],
        "--seed": training["seed"],
        "--precision": training["precision"],
    }
    chosen = " ".join(f"{name} {value}" for name, value in options.items())
    plain = f"python -m pneumonia train DIR/train --out RUN {chosen}"
    return command(
        "python -m pneumonia download --out DIR",
        training.get("repeat", plain).replace("train DIR ", "train DIR/train "),
        "python -m pneumonia export RUN --out BUNDLE",
        "python -m pneumonia gate DIR/train --adults EXTRA --bundle BUNDLE",
        "python -m pneumonia evaluate DIR/train --out OUT --bundle BUNDLE "
        "--validation-only --stress",
        "python -m pneumonia card --bundle BUNDLE --report OUT/report.json "
        "--out MODEL_CARD.md",
    )


def checksums(facts: dict) -> str:
    """Write the files of the bundle with their checksums."""
    files = [
        part for part in facts.values() if isinstance(part, dict) and "sha256" in part
    ]
    return table(
        ("file", "bytes", "SHA-256"),
        [(f"`{f['file']}`", f["bytes"], f"`{f['sha256']}`") for f in files],
    )
