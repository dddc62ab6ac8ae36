"""What the gate says, by the code of each reason."""

from ..reading.picture import READER_WARNINGS

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

NOT_VALID = "NOT VALID"
"""Stands over the picture of an answer that was asked for after a refusal."""

NO_CHEST = {"no_lungs", "not_chest_xray", "two_pictures"}
"""Refusals with which what was found as lungs is not to be shown as lungs."""

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
