"""What both apps say, in one place, so that it can be said in another language.

What the package says without any app, too, stands in `pneumonia/words.py`: verdicts,
places, refusals and warnings, each by the code that `Prediction` or `ImageError.reason`
holds. docs/using.md lists them. A translation replaces that file, this one and
`tab_words.py`, and says by `reason` what `str(error)` says. The API is described for
programmers, in English: `form/api.py`, `templates/api.html`.
"""

from pneumonia import READABLE

from .tab_words import MEANING, READING, YOURS  # noqa: F401

TITLE = "Chest X-ray: Normal or Pneumonia?"
UNCERTAIN = "Uncertain: needs a radiologist"
NOT_VALID = "Not valid: {why}"
NOT_VALID_SHORT = "Not valid"
NO_ANSWER = "No answer"
AGAIN = "Try another X-ray"

CHOOSE = "Chest X-ray, seen from the front"
CHOOSE_FILE = "Choose a file"
FORMATS = READABLE + ", up to {mib} MB"
IN_MEMORY = "It is answered in memory and not kept."
DROP_HERE = "Drop a chest X-ray here, or paste it"
ONE = "One X-ray at a time. Choose one."
ONE_HERE = "One X-ray at a time. Choose one, or bring them all to the tab Batch."
FOLDER = "This is a folder. Drop the X-ray itself."
FOLDER_HERE = (
    "This is a folder. Drop one X-ray of it here, or all of it in the tab Batch."
)
UNREAD_FOLDER = "No file could be read in this folder. Drop the files themselves."
NO_FILE = (
    "No file came along: this page fetches nothing from other pages. Save the picture "
    "there first, then drop the file or choose it."
)
WAITING = "The answer will appear here, with a heat map over the X-ray."
EXAMPLES = "Or try one. On purpose, the network is wrong or unsure about some."
AN_EXAMPLE = "Example"
EXAMPLE = "X-ray {number}"
ATTRIBUTION = (
    "Children whom the network did not learn from. X-rays: Kermany, Zhang, Goldbaum, "
    "doi 10.17632/rscbjbr9sj, CC BY 4.0, reduced."
)
TRUTH = "Physicians called this X-ray {truth}."
WRONG_HERE = "The network is wrong here."
INVERT = "Invert black and white"
INVERTED = "Black and white were exchanged first."
ANYWAY = "Answer anyway"
UPRIGHT = "Turn it upright"
TURNED = {
    90: "The picture was turned a quarter to the left first.",
    180: "The picture was turned upside down first.",
    270: "The picture was turned a quarter to the right first.",
}
"""By how many degrees it was turned to the left."""
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
    "The probability of pneumonia is {p}. It leans to {label}, but too many such "
    "answers are wrong."
)
NOT_VALID_SENTENCE = (
    "The network computes a number from any picture. For this one it is {p}, which "
    "means nothing."
)
PROBABILITY = "Probability of pneumonia"
BANDS = {
    "below": "Normal: below {low}",
    "in": "Needs a radiologist: {low} to {high}",
    "above": "Pneumonia: above {high}",
}
"""The bands of the bar."""
BAND_NAMES = {"below": "Normal", "in": "Needs a radiologist", "above": "Pneumonia"}
"""The same where the edges stand below the bar as numbers."""
TRUST = "How far to trust it"
BAND_MEASURED = (
    "In tests, {of_100} of 100 X-rays with this answer had pneumonia, if half of all "
    "do. The probability is for that case, too. It was off by {ece:.1%} on average. "
    "{n:,} X-rays got this answer: children of the training hospital whom the network "
    "did not learn from, some of them changed to look like another hospital's. "
    "Elsewhere expect worse."
)
HARDLY_ANY = "fewer than 1"
NEARLY_ALL = "more than 99"
BAND_EMPTY = "No X-ray of a held-out patient got an answer in this band."
BAND_NOT_MEASURED = "How far to trust it was not measured on these weights."
WHY = "Why"
WHY_REFUSED = "Why it was refused"
MAP_HINT = (
    "The heat map is coarse: 8 x 8 places. It is a hint, and no outline of disease. "
    "The line goes around the lungs that were found. Left and right are those of the "
    "patient only if the file says so."
)
MAP_PASSED = {
    (True, True): "{method} passed its test: its warm places matter more for both "
    "answers than other places do.",
    (True, False): "{method} passed its test for {yes}, and failed it for {no}: there, "
    "its warm places matter no more than others do.",
    (False, False): "{method} failed its test for both answers: its warm places matter "
    "no more than others do.",
}
"""Whether a method's maps passed for all, for some or for none of the labels."""
MAP_NOT_VALID = (
    "The heat map shows where in the picture the number came from. It says nothing "
    "about a disease, because the answer is not valid."
)
MAP_NOT_TESTED = "Whether {method} shows the evidence was not tested on these weights."

VIEWER = {
    "picture": "The X-ray",
    "map": "Heat map ({method}): a rough hint of what spoke for {label}",
    "empty": "No place speaks for {label}, only against the other answer.",
    "stage": "X-ray with its heat map; its keys are those of the buttons below",
    "tools": "Tools",
    "how": "Drag the picture, or use the arrow keys. To zoom, use two fingers, or Ctrl "
    "with the wheel. A double click resets the view.",
    "compare_tool": "Compare",
    "move_tool": "Move",
    "window_tool": "Window and level",
    "larger": "Zoom in",
    "smaller": "Zoom out",
    "pixel": "Pixel by pixel",
    "invert": "Invert",
    "fit": "Reset",
    "full": "Full screen",
    "keys": "Keys",
    "gestures": {
        "Arrows": "Move, window or divide, whatever dragging does",
        "Ctrl + wheel": "Zoom; in full screen the wheel alone",
        "Double click": "The whole picture, as it was",
        "Esc": "Leave the full screen",
    },
    "close": "Close",
    "shades": "Level {level}, width {width}.",
    "fewer": "This shows {side} of the file's {all} pixels along its longer side.",
    "perhaps_fewer": "This shows {side} pixels along the longer side, the most that "
    "this page loads. The file may hold more.",
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

UNLIKE = {
    "button": "Show what is unlike the training X-rays",
    "label": "Unlike the training X-rays",
    "methods": {"shapes": "Shapes", "whole": "Whole look"},
    "where": "Unlike the training X-rays: {count} of {cells} places. A place is "
    "coloured if 19 of 20 training X-rays are nearer to what is usual there.",
    "nowhere": "No place is farther off than is usual among the training X-rays.",
    "caption": "That is no sign of disease: a tube, an adult's ribs and a cat are "
    "unlike them, too. Only the part around the lungs is compared.",
    "captions": {
        "shapes": "Shapes are what the network sees in its third block. They "
        "tell well where something foreign lies.",
        "whole": "The whole look is what the network's fourth block sees. With the "
        "third it refuses pictures that are far off. It tells less well where.",
    },
    "viewer": {
        "map": "Map of what is unlike the training X-rays",
        "empty": "No place is farther off than is usual among the training X-rays.",
        "caption": "Warm: unlike the training X-rays. Research only, not a medical "
        "device.",
        "method": "Compared by",
        "little": "usual",
        "much": "unlike",
    },
}
"""What is said of the map of what is unlike the training X-rays."""

TAB_ONE = "One X-ray"
TAB_MANY = "Batch"
TAB_MEANING = "What does this number mean?"
TAB_READING = "Read it yourself"
TAB_YOURS = "Test it on yours"
TAB_COMPARE = "Compare two"

COMPARE_WITH = "Compare with another"
COMPARE_ABOUT = (
    "Two X-rays side by side, each with its answer: of today and of last week, or one "
    "and itself. Zoom, place and window are the same in both. Dates in DICOM files are "
    "not read: which one is older, you know."
)
COMPARE_SIDES = ("First X-ray", "Second X-ray")
COMPARE_SELVES = "Or compare the first one with itself:"
COMPARE_LINKED = "Same zoom, place and window in both"
COMPARE = {
    "selves": {"mirror": "mirrored", "invert": "inverted"},
    "two": "Two X-rays at a time. Choose two.",
}
"""What `static/compare.js` says."""

CHOOSE_MANY = "Drop many X-rays, a folder or a zip here, or press to choose files"
DROP_MANY = (
    "At most {files} files and {mib} MB at once; a folder can be dropped, too. A file "
    "that can't be answered gets a row that says why, and stops nothing."
)
ANYWAY_MANY = "Also answer pictures that would be refused"
QUEUED = "Waiting for its turn"
STOP = "Stop"
STOPPED = "Stopped; {count} files were not looked at."
BUSY_BATCH = "A batch is running. Stop it, or wait until it is answered."
TOO_MUCH = "These have {size} MB together; at most {limit} are taken. Choose fewer."
PROGRESS = "{done} of {count} answered"
UNCERTAIN_SHORT = "Uncertain"
BAD_ZIP = "This zip is damaged, or this part of it. Pack or download it once more."
LOCKED_ZIP = "This part of the zip is encrypted. Pack it without a password."
ODD_ZIP = (
    "This part of the zip is packed with {method}, which is not read. Pack it as a "
    "plain zip (deflate)."
)
LINK_IN_ZIP = "This part of the zip is a link. Pack the file that it leads to."
CROWDED_ZIP = "This zip holds more than {limit:,} files. Pack fewer at a time."
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
    "place": "Evidence",
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
    "Measured on {patients} children of the hospital that the network learned from. "
    "It never saw these children: {Pneumonia} X-rays with pneumonia, {Normal} without. "
    "Elsewhere expect worse."
)
BAND_MEANING = (
    "From {low} to {high} the answer is uncertain, and left to a radiologist. That "
    "gains this:"
)
PATIENTS = "X-rays of these children"
AS_THEY_ARE = "as they are"
UNDER_STRESS = "changed to look like another hospital's"
BAND_COLUMNS = {
    "coverage": "Answered Normal or Pneumonia",
    "error_outside": "Wrong among these",
    "error_inside": "Wrong among the uncertain",
}
READING_ABOUT = (
    "A game to learn how far such a network can be trusted; it trains nobody to read "
    "X-rays. You see an X-ray of a child and commit to an answer. Then you see what "
    "the network says, and may change yours. Then you learn what physicians called it. "
    "The network did not learn from these children. Wrong and uncertain answers of it "
    "are far more frequent here than among all X-rays, on purpose. Your answers stay "
    "in this page."
)
CHOOSE_YOURS = "Your own labelled X-rays: a zip, a folder or files"
CHOOSE_FILES = "Choose files"
DROP_YOURS = (
    "Does it work where you are? Bring X-rays whose truth is known: in folders NORMAL "
    "and PNEUMONIA, or anywhere with a CSV file of names and labels. At most {files:,} "
    "files and {mib} MB at once. They are answered in parts, in memory, and stay in "
    "your browser. In a clone, without any upload:"
)
YOURS_COMMAND = "python -m pneumonia yours FOLDER --out report.html"

REPORT_TITLE = "Case report: chest X-ray, Normal or Pneumonia?"
REPORT_HTML = "Report as page"
REPORT_PDF = "Report as PDF"
REPORT_PLACE = "Where in the lungs"
REPORT_MEASURED = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
REPORT_ON = "{figure}, 95% interval, on {n} test X-rays, uncertain ones included"
REPORT_DONE = "What was done to the picture"
REPORT_ANSWERS = "What it answers"
REPORT_CHECKSUM = "Weights (SHA-256)"
REPORT_DATE = "Answered"
REPORT_NOT_VALID = (
    "No figure stands here for how good the network is: none was measured for pictures "
    "that it refuses."
)
REPORT_CAVEATS = (
    "Known limits: the network fails on adults, and errs more often on pictures of "
    "few pixels and on poor JPEG files. It knows no disease but pneumonia. Its figures "
    "come from the hospital that it learned from; elsewhere expect worse."
)

NO_SUCH = "No X-ray of that name ships."
TOO_OFTEN = "Too many requests; wait."
FOREIGN = "Pages of other origins may not send pictures here."
NEEDS_PASSWORD = "This needs a user's name and password."
UPLOAD_TOO_LARGE = "This upload is too large; at most {limit} MB are taken."
BUSY = "Too many pictures at once. Try again in a few seconds."
NO_ROOM = "There is no room for uploads right now. Try again later."
NO_ROOM_FOR = (
    "There is room for {room} MB of uploads right now, and this has {size} MB. Send "
    "fewer at once, or try again in some minutes."
)
NO_PLACE = (
    "There is no private folder for uploads with {least} MiB of room. Mount one, as "
    "`docker run --tmpfs /tmp` does, or name one in TMPDIR."
)
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
NOT_KEPT = (
    "Neither this page nor the picture is kept. Once you leave it, the browser can't "
    "bring it back: choose the X-ray again."
)
PREVIEW = "What you chose"
WORKING = "The picture is being answered"
