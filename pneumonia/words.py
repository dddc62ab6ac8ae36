"""What the package says of an answer, each by its code.

A translation replaces this file, and `web/words.py` with `web/tab_words.py` for the
pages. What an `ImageError` says of a file that can't be read stands beside the code
that finds it; `reason` is its code.
"""

READER_WARNINGS = {
    "first_frame": "This file holds several pictures; only the first was looked at.",
    "unknown_modality": "This DICOM file does not say how the picture was taken.",
    "lateral_view": "This DICOM file says that the chest is seen from the side. The "
    "network knows chests from the front alone.",
    "outliers_clipped": "Some pixels, such as a marker or burned-in text, are far "
    "brighter or darker than the rest. They were clipped, so that the rest keeps its "
    "contrast.",
    "window_ignored": "The window or the table of this DICOM file does not fit its "
    "pixels and was ignored. Compare the picture with the one in your viewer.",
    "values_assumed": "This DICOM file leaves out or contradicts what its pixel values "
    "mean, so the usual meaning was assumed. Compare the picture with the one in your "
    "viewer.",
    "parts_skipped": "A part of this file that no pixel depends on is damaged or "
    "missing. It was passed over.",
    "tone_ignored": "What this file says of the brightness of its pixels makes no "
    "sense and was ignored. Compare the picture with the one in your viewer.",
    "not_square": "The pixels of this file are not square. The picture was "
    "stretched, so that the chest has its true shape.",
    "turned_upright": "This DICOM file says that its picture is stored mirrored or "
    "turned. It was turned, so that the patient is upright and faces you.",
    "sides_contradicted": "This DICOM file contradicts itself, or is unclear, about "
    "where the patient's right is. So no side of the patient is named.",
    "unprocessed": "This DICOM file holds the detector's values before the maker's "
    "processing. They were turned into a picture in the simplest way, which is not "
    "what the network learned from.",
}
"""What the reader passes over, by its code, in a layman's words."""

REFUSALS = {
    "colour_photograph": "This is a colour picture, not an X-ray. Choose the X-ray's "
    "own file, not a photograph or a screenshot of it.",
    "negative": "This X-ray looks inverted: bones dark and air bright. Have it "
    "inverted, or choose the original.",
    "upside_down": "This X-ray seems to stand on its head. Turn it upright.",
    "rotated": "This X-ray seems to lie on its side. Turn it upright.",
    "surrounded": "Much lies around this X-ray: a border, a page or a screen. Cut the "
    "picture down to the X-ray itself.",
    "two_pictures": "This seems to be two X-rays side by side. Cut out the one that is "
    "seen from the front.",
    "not_chest_xray": "This does not look like a chest X-ray seen from the front. "
    "Choose one, or ask for an answer anyway if you know better.",
    "no_lungs": "No lungs were found in this picture. Choose an X-ray that shows both "
    "lungs, or ask for an answer anyway if you know better.",
    "doubtful": "This file could be read only with assumptions, and what came out does "
    "not look like the chest X-rays that the network learned from. Export the X-ray as "
    "PNG from its viewer and try again.",
    "pattern": "A regular pattern lies over this picture, as in a photograph of a "
    "screen. It can change the answer. Choose the X-ray's own file.",
    "outside_population": "This looks like an adult's X-ray, or like none that the "
    "network learned from; borders, text or a screen around the X-ray can cause that, "
    "too. The network learned from children of one hospital and is known to fail on "
    "adults: it answers only when asked to, and that answer can't be trusted.",
}
"""What refuses a picture that can be read, first things first, for a layman."""

REFUSED_FOR = {
    "colour_photograph": "it is a colour picture and no X-ray",
    "negative": "black and white seem to be exchanged",
    "upside_down": "it seems to stand on its head",
    "rotated": "it seems to lie on its side",
    "surrounded": "much lies around the X-ray",
    "two_pictures": "these seem to be two X-rays",
    "not_chest_xray": "it does not look like a chest X-ray",
    "no_lungs": "no lungs were found",
    "doubtful": "the file could be read only with assumptions",
    "pattern": "a regular pattern lies over it",
    "outside_population": "it looks like an adult, or like nothing that the network "
    "learned from",
}
"""Why a picture is refused, in a few words behind a colon: for a heading or a row."""

WARNINGS = {
    "strongly_cropped": "Much of the chest seems to be cut off. The answer rests on "
    "what is left.",
    "cut_off_above": "The upper border of the picture cuts the lungs off. What lies "
    "above it has no part in the answer.",
    "cut_off_below": "The lower border of the picture cuts the lungs off. What lies "
    "below it has no part in the answer.",
    "cut_off_left": "The left border of the picture cuts a lung off. What lies outside "
    "has no part in the answer.",
    "cut_off_right": "The right border of the picture cuts a lung off. What lies "
    "outside has no part in the answer.",
    "one_lung": "Only one lung was found. The other is missing from the picture, or so "
    "dense that it could not be seen; the answer may rest on one lung alone.",
    "empty_heat_map": "No place in the picture speaks for this answer, so the heat map "
    "is empty: the answer rests on what speaks against the other one.",
}
"""What leaves an answer standing with a warning."""

SENTENCES = READER_WARNINGS | REFUSALS | WARNINGS
"""The sentence of every code that stands in `Prediction.warnings`."""

VERDICT = {
    "normal": "Normal. {said} The network answers Normal below {low:.0%}.",
    "pneumonia": "Pneumonia. {said} The network answers Pneumonia above {high:.0%}.",
    "uncertain": "Uncertain, needs a radiologist. {said} From {low:.0%} to {high:.0%} "
    "too many answers are wrong to rely on one. This one leans to {label}.",
    "not_valid": "Not valid: {why}. The network computes {p} for Pneumonia from any "
    "picture. For this one the number means nothing.",
}
"""What is said of `Prediction.verdict`."""

PROBABILITY = "The probability of pneumonia is {p}."

UNTESTED = (
    "No heat map is drawn: neither method's maps of {label} passed their test, which "
    "blurs their hottest places."
)
NO_LUNGS = "No lungs were found, so no place in them is named."
NOWHERE = "No place speaks for {label}."
OUTSIDE = "The evidence for {label} lies mostly outside of what was found as lungs."
PARTLY_OUTSIDE = (
    "The evidence for {label} lies partly outside of what was found as lungs. Within, "
    "it {where}."
)
INSIDE = "The evidence for {label} {where}."
WHERE = {
    "zone": "lies mostly in the {side} {third} zone (the patient's {side}, {seen} in "
    "the picture)",
    "zone, side unknown": "lies mostly in the {third} zone of the lung that is {seen} "
    "in the picture",
    "zones": "lies mostly in the {third} zones of both lungs",
    "lung": "lies mostly in the {side} lung (the patient's {side}, {seen} in the "
    "picture)",
    "lung, side unknown": "lies mostly in the lung that is {seen} in the picture",
    "both lungs": "is spread over both lungs",
}
"""Where within the lungs the evidence lies, for `place`."""

SIDES = {"right": "right", "left": "left"}
"""Of the patient."""

SEEN = {"right": "left", "left": "right"}
"""On which side of the picture a patient's side is seen."""

THIRDS = {"upper": "upper", "middle": "middle", "lower": "lower"}
"""Of a lung's height."""


def place(code: str, label: str, partly_outside: bool, sides_known: bool) -> str:
    """Say in one sentence where the evidence lies.

    Args:
        code: one of `zones.PLACES`.
        label: one of LABELS, that the evidence speaks for.
        partly_outside: whether a third of it or more is outside of the lungs.
        sides_known: whether sides are the patient's. Else those of the picture are
            named.
    """
    alone = {"untested": UNTESTED, "nowhere": NOWHERE, "outside": OUTSIDE}
    alone |= {"no_lungs": NO_LUNGS}
    if code in alone:
        return alone[code].format(label=label)
    first, _, second = code.partition(" ")
    if code == "both lungs":
        kind, names = code, {}
    elif second == "zones":
        kind, names = second, {"third": THIRDS[first]}
    else:
        kind = "lung" if second == "lung" else "zone"
        kind = kind if sides_known else f"{kind}, side unknown"
        names = {"side": SIDES[first], "seen": SEEN[first]}
        names |= {"third": THIRDS[second]} if second in THIRDS else {}
    sentence = PARTLY_OUTSIDE if partly_outside else INSIDE
    return sentence.format(label=label, where=WHERE[kind].format(**names))


def verdict(
    code: str, label: str, p: float, band: tuple[float, float], why: str = ""
) -> str:
    """Say an answer in plain sentences.

    Args:
        code: as in `Prediction.verdict`.
        label: one of LABELS, to which it leans.
        p: probability of pneumonia, in [0, 1].
        band: lowest and highest probability that is called uncertain.
        why: it is not valid, in a few words.
    """
    low, high = band
    said = PROBABILITY.format(p=percent(p))
    known = {"said": said, "low": low, "high": high, "label": label, "why": why}
    return VERDICT[code].format(p=percent(p), **known)


def percent(p: float) -> str:
    """Write a probability in per cent, but never as 0 or 100 %."""
    if p < 0.01:
        return "under 1%"
    return "over 99%" if p > 0.99 else f"{p:.0%}"
