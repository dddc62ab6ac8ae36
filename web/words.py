"""What both apps say, in one place, so that it can be said in another language.

A refusal or a warning stands in `pneumonia/`, beside the code that finds it, because
the package says it without any app, too. Each has a code that stays:
`ImageError.reason`, or one of `Prediction.warnings`. docs/using.md lists them. A
translation replaces this file, and says by code what `explain(code)` and `str(error)`
say. The API is described for programmers, in English: `web/api.py`,
`templates/api.html`.
"""

from pneumonia import READABLE

TITLE = "Chest X-ray: Normal or Pneumonia?"
UNCERTAIN = "Uncertain: needs a reader"
NO_ANSWER = "No answer"
AGAIN = "Try another X-ray"

CHOOSE = "Chest X-ray, seen from the front"
CHOOSE_FILE = "Choose a file"
FORMATS = READABLE + ", up to {mib} MiB"
IN_MEMORY = "The picture is answered in memory and not kept."
DROP = "Drop it, paste it or choose it. " + FORMATS + ". " + IN_MEMORY
ONE = "One X-ray at a time. Choose one."
ONE_HERE = "One X-ray at a time. Choose one, or bring them all to the tab Batch."
WAITING = "The answer will appear here, with a heat map over the X-ray."
EXAMPLES = (
    "No X-ray at hand? Try one of these. The network did not learn from these "
    "children. It fails on some: wrong and uncertain answers are among them on purpose."
)
EXAMPLE = "X-ray {number}"
ATTRIBUTION = (
    "X-rays: Kermany, Zhang, Goldbaum, doi 10.17632/rscbjbr9sj, CC BY 4.0, reduced."
)
TRUTH = "Physicians called this X-ray {truth}."
INVERT = "Invert black and white"
INVERTED = "Black and white were exchanged first."
ANYWAY = "Answer anyway"
UPRIGHT = "Turn it upright"
TURNED = "The picture was turned by {degrees} degrees to the left first."
OFFERS = {"invert": INVERT, "upright": UPRIGHT, "anyway": ANYWAY}
"""What a refusal offers, by `ImageError.offers`."""
UNSENT = (
    "This could not be sent. Is the server still there, and the file where it was? "
    "Choose it once more."
)
SENDING = "Waiting for the answer"
GONE = "This picture was deleted in the meantime. Choose it once more."

RESEARCH = "Research only, not a medical device."
CERTAIN_SENTENCE = "The probability of pneumonia is {p}."
UNCERTAIN_SENTENCE = (
    "The probability of pneumonia is {p}. It leans to {label}, but in this zone too "
    "many answers are wrong to rely on one."
)
PROBABILITY = "Probability of pneumonia"
ZONES = {
    "below": "Normal: below {low}",
    "in": "Needs a reader: {low} to {high}",
    "above": "Pneumonia: above {high}",
}
"""The zones of the bar."""
ZONE_MEASURED = (
    "How far to trust it: X-rays of held-out patients, changed in the ways in which "
    "hospitals differ, got {n:,} answers in this zone. {share} of these X-rays showed "
    "pneumonia. The stated probabilities were off by {ece:.1%} on average."
)
ZONE_EMPTY = "No X-ray of a held-out patient got an answer in this zone."
ZONE_NOT_MEASURED = "How far to trust it was not measured on these weights."
MAP_HINT = (
    "The heat map has 8 x 8 cells. It is a rough hint and no outline of disease. The "
    "line is around the lungs that were found; left and right hold if the picture is "
    "not mirrored."
)
MAP_TESTED = (
    "{method}, tested on held-out X-rays: with its hottest places blurred, the answer "
    "Normal weakened {Normal:.1f} times and Pneumonia {Pneumonia:.1f} times as much as "
    "with other places blurred."
)
MAP_NOT_TESTED = "Whether {method} shows the evidence was not tested on these weights."

VIEWER = {
    "picture": "The X-ray",
    "map": "Heat map ({method}): a rough hint of what spoke for {label}",
    "empty": "No place speaks for {label}, only against the other answer.",
    "stage": "X-ray with its heat map; its keys are those of the buttons below",
    "tools": "Tools",
    "how": "Drag, or use the arrows. Ctrl with the wheel, or two fingers, zoom. A "
    "double click brings the whole picture back.",
    "compare_tool": "Compare",
    "move_tool": "Move",
    "window_tool": "Window and level",
    "larger": "Larger",
    "smaller": "Smaller",
    "pixel": "Pixel by pixel",
    "invert": "Invert",
    "fit": "Whole picture",
    "full": "Full screen",
    "compare": "Compare: how much of the plain X-ray is uncovered, from the left",
    "hint": "Drag over the picture to uncover the plain X-ray.",
    "strength": "Strength",
    "colours": "Colours",
    "evidence": "Evidence for",
    "method": "Method",
    "little": "little",
    "much": "much",
    "save": "Save this view",
    "caption": "{method}: {label}. Research only, not a medical device.",
}
"""What the viewer says, by the names under which `static/viewer.js` asks for it."""

TAB_ONE = "One X-ray"
TAB_MANY = "Batch"
TAB_MEANING = "What does this number mean?"
TAB_READING = "Read it yourself"

CHOOSE_MANY = "Many X-rays, or a zip of them"
DROP_MANY = (
    "At most {files} files and {mib} MiB at once. A file that can't be answered gets "
    "a row that says why, and stops nothing."
)
ANYWAY_MANY = "Also answer pictures that would be refused"
QUEUED = "Waiting for its turn"
STOP = "Stop"
STOPPED = "Stopped; {count} files were not looked at."
BUSY_BATCH = "A batch is running. Stop it, or wait until it is answered."
TOO_MUCH = "These have {size} MiB together; at most {limit} are taken. Choose fewer."
PROGRESS = "{done} of {count} answered"
UNCERTAIN_SHORT = "Uncertain"
BAD_ZIP = "This part of the zip is damaged, encrypted or packed in an unusual way."
EMPTY_ZIP = "This zip holds no file. Choose another."
NESTED_ZIP = "This is a zip inside of a zip. Unpack it, and choose what it holds."
LEFT_OUT = "{count} more were left out: at most {limit} are answered at once."
DOWNLOAD_CSV = "Table as CSV"
DOWNLOAD_OVERLAYS = "Overlays as zip"
TABLE = "Answers, one row each"
PICTURE = "Picture"
COLUMNS = {
    "file": "File",
    "kind": "Answer",
    "probability": "Probability of pneumonia",
    "certain": "Uncertain",
    "zone": "Evidence",
    "reason": "Reason",
}
IS_UNCERTAIN = {"true": "no", "false": "yes", "": ""}
"""What the column says, by the `certain` of a row."""
PREVIOUS = "Previous"
NEXT = "Next"
CLOSE = "Close"

NO_REPORT = (
    "Nothing was measured of these weights yet. `python -m pneumonia evaluate DIR "
    "--validation-only --stress --bundle BUNDLE --out BUNDLE` does, and this page "
    "shows it from the next start on."
)
NO_GATE = (
    "This bundle has no gate: it answers whatever can be read, adults and cats as "
    "well. `python -m pneumonia gate DIR --bundle BUNDLE` fits one."
)
MEASURED = (
    "Measured on {patients} held-out patients, children of the hospital that the "
    "network learned from: {Pneumonia} X-rays with pneumonia, {Normal} without. "
    "Elsewhere expect worse."
)
BAND_MEANING = (
    "From {low} to {high} the answer is called uncertain and left to a reader. What "
    "that buys:"
)
PATIENTS = "Held-out patients"
AS_THEY_ARE = "as they are"
UNDER_STRESS = "under stress"
BAND_COLUMNS = {
    "coverage": "Answers outside of the band",
    "error_outside": "Wrong among those",
    "error_inside": "Wrong inside of it",
}
MEANING = {
    "people": "Of 1000 people",
    "prevalence": "How many of them have pneumonia",
    "low": "Answers Normal below",
    "high": "Answers Pneumonia above",
    "reset": "As shipped",
    "rates": "Of {ill} held-out X-rays with pneumonia, {found} get the answer "
    "Pneumonia (95 % interval {found_ends}). Of {well} without, {clear} get the "
    "answer Normal ({clear_ends}).",
    "own": "Your X-ray got {p}, which is in this zone.",
    "positive": "{told} are told Pneumonia. {found} of them have it.",
    "left": "{told} are left to a reader. {ill} of them have pneumonia.",
    "negative": "{told} are told Normal. {missed} of them have pneumonia.",
    "found": "{count} have pneumonia and are told Pneumonia",
    "doubted": "{count} have pneumonia and are left to a reader",
    "missed": "{count} have pneumonia and are told Normal",
    "alarm": "{count} have none and are told Pneumonia",
    "asked": "{count} have none and are left to a reader",
    "clear": "{count} have none and are told Normal",
    "grid": "1000 people as marks, in six groups",
    "note": "Among the held-out X-rays {share} show pneumonia, far more than among all "
    "children with a cough. The fewer people are sick, the more of the answers "
    "Pneumonia are false alarms.",
    "roc": "Each threshold finds some and alarms some",
    "roc_x": "false alarms among those without",
    "roc_y": "found among those with pneumonia",
    "roc_note": "The two dots are the ends of the zone that is left to a reader. Lines "
    "through a dot are 95 % intervals, as if each X-ray were of another patient.",
    "reliability": "Does 80% mean 80%?",
    "reliability_x": "stated probability",
    "reliability_y": "share that had pneumonia",
    "reliability_note": "Larger dots stand for more X-rays. On the dashed line, the "
    "stated probability is right.",
    "benefit": "Would it help to follow it?",
    "benefit_x": "probability from which one would treat",
    "benefit_y": "net benefit, of what is possible",
    "benefit_note": "A decision curve (Vickers and Elkin 2006), at the number of sick "
    "people above. Thick: treat whom the network calls sick. Thin: treat everybody. "
    "Dashed: treat nobody. Whoever treats from 10 % on accepts nine treatments in vain "
    "for one that helps.",
}
"""What `static/meaning.js` says."""

READING_ABOUT = (
    "A game to learn how far such a network can be trusted; it trains nobody to read "
    "X-rays. You see an X-ray of a child and commit to an answer. Then you see what "
    "the network says, and may change yours. Then you learn what physicians called it. "
    "The network did not learn from these children. Wrong and uncertain answers of it "
    "are far more frequent here than among all X-rays, on purpose. Your answers stay "
    "in this page."
)
READING = {
    "begin": "Begin",
    "picture": "An X-ray of a child",
    "place": "X-ray {number} of {count}. Keys 1 to 5 answer.",
    "alone": "What do you see?",
    "aided": "You have seen the network's answer. What do you say now?",
    "steps": [
        "surely normal",
        "probably normal",
        "unsure",
        "probably pneumonia",
        "surely pneumonia",
    ],
    "truth": "Physicians called this X-ray {truth}.",
    "next": "Next X-ray",
    "end": "Finish",
    "done": "These were all X-rays that ship.",
    "restart": "Begin again",
    "failed": "The network could not be asked. Is the server still there?",
    "again": "Try again",
    "score": "Your score after {count} X-rays",
    "table": "Your score",
    "columns": ["Pneumonias found", "Normals left alone", "Area under the ROC curve"],
    "you_alone": "You, alone",
    "you_aided": "You, aided",
    "network": "The network",
    "changed": "Its answer mended {mended} of yours, and spoilt {spoilt}.",
    "counted": "From step 4 on, your answer counts as Pneumonia; unsure counts as "
    "Normal. The network's uncertain answers count by the side to which they lean. In "
    "parentheses: 95 % intervals.",
    "save": "Save as CSV",
}
"""What `static/reading.js` says."""

REPORT_TITLE = "Case report: chest X-ray, Normal or Pneumonia?"
REPORT_HTML = "Report as page"
REPORT_PDF = "Report as PDF"
REPORT_ZONE = "Where in the lungs"
REPORT_MEASURED = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
REPORT_ON = "{figure}, 95% interval, on {n} held-out X-rays, uncertain ones among them"
REPORT_DONE = "What was done to the picture"
REPORT_ANSWERS = "What it answers"
REPORT_CHECKSUM = "Weights (SHA-256)"
REPORT_DATE = "Answered"
REPORT_CAVEATS = (
    "Known limits: the network fails on adults and on tightly cropped pictures. It "
    "knows no disease but pneumonia. Its figures come from the hospital that it "
    "learned from; elsewhere expect worse."
)

TOO_OFTEN = "Too many requests; wait."
FOREIGN = "Pages of other origins may not send pictures here."
NEEDS_PASSWORD = "This needs a user's name and password."
UPLOAD_TOO_LARGE = "This upload is too large; at most {limit} MiB are taken."
BUSY = "Too many pictures at once. Try again in a few seconds."
NO_ROOM = "There is no room for uploads right now. Try again later."
STOPPING = "This server is about to stop."
TOO_SLOWLY = "This request came too slowly."

REASONS = "Reasons and warnings"
REASONS_ABOUT = (
    "What the gate says of a picture: as the reason of an error, or among the warnings "
    "of an answer. A file that can't be read has a reason of its own, and its message "
    "says what to do."
)
PREDICT = "Predict"
CHOOSE_AGAIN = (
    "To have it answered all the same, tick a box below and choose the file again: it "
    "was not kept."
)
KEPT = (
    "To have it answered all the same, tick a box above and press Predict again: the "
    "file is still chosen."
)
ANYWAY_FORM = "Also answer a picture that would be refused"
PREVIEW = "What you chose"
WORKING = "The picture is being answered"
