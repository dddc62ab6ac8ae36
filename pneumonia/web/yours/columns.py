"""What the columns of a table of labels say: which words and numbers name a class."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pneumonia import LABELS

from ..tab_words import LABELLED

_WORDS = (
    {
        "normal",
        "normal chest",
        "normal lungs",
        "healthy",
        "no finding",
        "no findings",
        "nofinding",
        "no pneumonia",
        "non pneumonia",
        "nonpneumonia",
        "not pneumonia",
        "without pneumonia",
    },
    {
        "pneumonia",
        "pneumonias",
        "pnemonia",  # so in a set of Kaggle's
        "pnuemonia",
        "penumonia",
        "pneumonie",
        "neumonia",
        "neumonía",
        "bacterial pneumonia",
        "viral pneumonia",
        "pneumonia bacterial",
        "pneumonia viral",
        "pneumonia bacteria",
        "pneumonia virus",
        "lobar pneumonia",
        "bronchopneumonia",
    },
)
"""Whole cells alone: *abnormal* holds *normal*, and *no pneumonia* the other word."""

_OTHER_FINDINGS = {
    *("atelectasis", "cardiomegaly", "effusion", "pleural effusion", "infiltration"),
    *("infiltrate", "mass", "nodule", "pneumothorax", "consolidation", "edema"),
    *("emphysema", "fibrosis", "pleural thickening", "hernia", "hiatal hernia"),
    *("enlarged cardiomediastinum", "lung lesion", "lung opacity", "pleural other"),
    *("fracture", "support devices", "tuberculosis", "covid 19", "covid", "tb"),
}
"""Of the public sets. In a list, a word that is not known could be *ruled out*."""

_YES = {"1", "1.0", "yes", "y", "true", "positive", "pos", "present", "ja", "wahr"}
_NO = {"0", "0.0", "no", "n", "false", "negative", "neg", "absent", "nein", "falsch"}
_YES_NO = {"yes", "no", "y", "n", "true", "false", "ja", "nein", "j"}
_OPEN = {"", "-1", "-1.0", "nan", "na", "n/a", "null", "unknown", "uncertain", "?"}
_AROUND = {
    *("has", "is", "label", "labels", "target", "class", "finding", "diagnosis"),
    *("present", "yn", "truth", "gt", "flag", "status"),
}  # of the class in the head of a column
_TRUTH = {
    *("label", "labels", "class", "classes", "category", "diagnosis", "diagnoses"),
    *("dx", "finding", "findings", "truth", "gt", "target", "disease", "condition"),
    *("type", "impression", "reading", "pathology", "annotation", "consensus", "y"),
    *("groundtruth", "reader", "radiologist", "expert", "rater", "annotator"),
    *("befund", "befunde", "diagnose", "diagnosen", "klasse", "wahrheit", "etikett"),
    *("diagnóstico", "diagnostico", "clase", "etiqueta", "diagnostic", "classe"),
    *("étiquette", "etiquette", "diagnosi", "etichetta"),
}
_VAGUE = {"type", "condition", "reading"}
_BESIDE_TRUTH = {
    *("ground", "gold", "reference", "standard", "true", "final", "confirmed", "by"),
    *("of", "the", "for", "and", "or", "no", "yes", "image", "xray", "x", "ray", "cxr"),
    *("chest", "radiograph", "radiological", "radiologic", "radiology", "binary"),
    *("name", "text", "has", "is", "a", "b", "c", "expert", "der", "des", "bild"),
    *("normal", "pneumonia", "finding", "findings", "present"),
}
"""Words in heads of labels. Below any other head nothing is the truth: it may say what
a program found, what was asked, or what was suspected elsewhere."""

_OF_PROGRAMS = {
    *("pred", "preds", "predicted", "prediction", "predictions", "predict", "prob"),
    *("probability", "score", "output", "model", "network", "classifier", "ai", "p"),
    *("yhat", "hat", "estimate", "estimated", "inferred", "cnn", "nn", "net", "ki"),
    *("cad", "qxr", "lunit", "algorithm", "algorithmus", "software", "machine", "ia"),
    *("vit", "argmax", "vorhersage", "modell", "maschine", "bot"),
    *("automatic", "automated", "computer", "confidence", "logit", "dl", "ml", "llm"),
    *("predicción", "prédiction", "algoritmo", "algorithme", "modelo", "modèle"),
}
_NETWORKS = re.compile(
    r"resnet|densenet|vgg|inception|efficientnet|chexnet|gpt|mobilenet|convnext|"
    r"deep ?learning|machine ?learning|xception|alexnet|transformer|gemini|claude|llama"
)
_EARLIER = {
    *("previous", "prior", "past", "history", "former", "earlier", "family"),
    *("comorbidity", "comorbidities", "vorbefund", "anamnese", "vorgeschichte"),
}
_ASKED = {
    *("indication", "question", "suspected", "suspicion", "admission", "admitting"),
    *("referral", "referred", "referring", "rule", "ruled", "exclude", "excluded"),
    *("differential", "ddx", "provisional", "presumed", "working", "request", "reason"),
    *("query", "requested", "possible", "verdacht", "verdachtsdiagnose"),
    *("fragestellung", "indikation", "frage", "aufnahmediagnose", "ausschluss"),
    *("differentialdiagnose", "überweisung", "zuweisung", "differenzialdiagnose"),
}
"""Of what was asked or suspected before anybody looked."""

_NEUTRAL = {
    *("sex", "male", "female", "ap", "pa", "view", "frontal", "portable", "train"),
    *("test", "val", "validation", "valid", "split", "fold", "reviewed", "child"),
    *("adult", "inpatient", "outpatient", "icu", "copy", "id", "index", "checked"),
}
"""Of columns of yes and no that name no disease."""

_KINDS = re.compile(r"bacteri|viral|virus|lobar|broncho|fung|atypical|aspiration")
_RSNA = {"patientid", "x", "y", "width", "height", "target"}
_NAMES = {
    *("name", "names", "filename", "filenames", "imagename", "file", "files", "path"),
    *("filepath", "imagepath", "id", "ids", "uid", "patientid", "imageid", "studyid"),
    *("fileid", "subjectid", "caseid", "scanid", "datei", "dateiname", "bildname"),
    *("fichier", "archivo", "dateien", "pfad"),
}
_NAMED = {
    *("image", "img", "images", "picture", "pic", "photo", "patient", "study", "case"),
    *("subject", "scan", "series", "sop", "instance", "dicom", "dcm", "png", "jpg"),
    *("x", "ray", "xray", "radiograph", "cxr", "chest", "exam", "sample", "original"),
    *("anonymous", "anonymized", "full", "of", "the", "bild", "accession"),
}
"""Of the heads of columns in which a number alone is the name of a file."""

_SHOWN, _LETTERS = 3, 40  # words in a sentence, and how much of each

Label = int | str
"""An index into LABELS, or what stands there instead."""


class NoTruthError(ValueError):
    """No column can be taken for the truth; the message says why."""


def plain(text: str) -> str:
    """Return a word without its case, and without how its parts are joined."""
    text = unicodedata.normalize("NFKC", text).casefold().strip(" \t\r\n\"'.")
    return re.sub(r"[\s_-]+", " ", text)


def _flag(text: str) -> str:
    return text.strip().casefold()  # a minus counts: -1 is *uncertain* in some sets


def meaning(text: str) -> int | None:
    """Return the class that a word names, an index into LABELS; None for any other.

    A list, as `Pneumonia|Effusion`, is of pneumonia if that is in it. It is normal if
    nothing else is in it, and it says nothing if it holds a word that is not known.
    """
    word = plain(text)
    for label, words in enumerate(_WORDS):
        if word in words:
            return label
    parts = {plain(part) for part in re.split(r"[|;,]", word.strip("[]"))} - {""}
    said = {label for label, words in enumerate(_WORDS) if parts & words}
    if len(said) != 1 or len(parts) < 2 and not text.strip().startswith("["):
        return None
    (label,) = said
    known = _WORDS[1] | _OTHER_FINDINGS if label else _WORDS[0]
    return label if parts <= known else None


def _of_head(text: str) -> int | None:
    """Return the class that the head of a column names, as in `has_pneumonia`."""
    beside = " ".join(re.findall(r"\(([^)]*)", text))
    if not {*_words_of(beside)} <= _TRUTH | _BESIDE_TRUTH | _YES_NO:
        return None  # it may turn the meaning round, or say whose answer it is
    bare = plain(re.sub(r"\(.*?\)|[?:]", " ", text))
    words = [word for word in bare.split() if word not in _AROUND]
    forms = {bare.strip(), " ".join(words)}
    return next((n for n, known in enumerate(_WORDS) if forms & known), None)


def names_by_number(head: str) -> bool:
    """Whether a number below this head is a name, and counts or measures nothing.

    Every word counts: the *file size* and the *number of files* name none.
    """
    words = {*_words_of(head)}
    if words <= {"accession", "number"}:
        return "accession" in words
    return bool(words & _NAMES) and words <= _NAMES | _NAMED


def is_value(text: str) -> bool:
    """Whether a cell is such as stands below the head of a column of labels."""
    return meaning(text) is not None or _flag(text) in (_YES | _NO)


def labels(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    file: int,
    files: Sequence[str],
) -> tuple[list[Label], list[str]]:
    """Return what each row says, and which column and words were taken for what.

    Args:
        head: of each column; empty where it has none.
        rows: of files that came, each as long as the head.
        file: the column that names the file.
        files: which file each row is of; a file that says a word twice counts once.

    Raises:
        NoTruthError: no column names the class, or two contradict each other.
    """
    columns = {n: [row[n] for row in rows] for n in range(len(head)) if n != file}
    asked = {
        n: cells
        for n, cells in columns.items()
        if not _is_program(head[n]) and _EARLIER.isdisjoint(_words_of(head[n]))
    }
    flags = _flags(head, asked)
    read: dict[str, list[Label]] = {}
    said: list[str] = []
    if flags:
        read[" and ".join(map(repr, (head[n] for n in flags)))] = _of_flags(
            head, asked, flags
        )
        for n in flags:
            (cells,) = _once(files, asked[n])
            said.append(_say_flag(head, n, cells, flags))
    words = {
        n: [_or_word(cell) for cell in cells]
        for n, cells in asked.items()
        if n not in flags and _is_of_labels(head, n)
    }
    chosen = {n: found for n, found in words.items() if {0, 1} <= {*found}}
    if not (chosen or flags):
        chosen = {n: found for n, found in words.items() if _is_of_one(head[n], found)}
    for n, found in chosen.items():
        name = called(head, n)
        if name in read:  # two columns of one head
            name = f"{name} ({LABELLED['column'].format(number=n + 1)})"
        read[name] = found
        said.append(_say_words(name, *_once(files, asked[n], found)))
    if not read:
        raise NoTruthError(_describe(head, columns))
    (first, theirs), *others = read.items()
    for name, found in others:
        count = sum({a, b} == {0, 1} for a, b in zip(theirs, found, strict=True))
        if count:
            said_ = LABELLED["clash"].format(one=first, two=name, count=count)
            raise NoTruthError(said_)
    return [together(row) for row in zip(*read.values(), strict=True)], said


def _once(
    files: Sequence[str], cells: Sequence[str], *more: Sequence[Label]
) -> Iterator[tuple[Any, ...]]:
    """Leave out what a file has said before; give what is left of each sequence."""
    said = zip(files, cells, strict=True)
    first = {each: n for n, each in reversed([*enumerate(said)])}
    return (tuple(of[n] for n in sorted(first.values())) for of in (cells, *more))


def together(said: Sequence[Label]) -> Label:
    """Return what several rows or columns say of one file together.

    Pneumonia beside another finding is pneumonia; normal beside one is not normal.
    """
    classes = {label for label in said if isinstance(label, int)}
    words = sorted({word for word in said if isinstance(word, str) and word})
    if classes == {1} or (classes and len(classes) == 1 and not words):
        return classes.pop()
    return ", ".join([*(LABELS[label] for label in sorted(classes)), *words][:_SHOWN])


def called(head: Sequence[str], n: int) -> str:
    """Return what a column is called in a sentence."""
    return repr(head[n]) if head[n] else LABELLED["column"].format(number=n + 1)


def _is_program(head: str) -> bool:
    return not _OF_PROGRAMS.isdisjoint(_words_of(head)) or bool(
        _NETWORKS.search(plain(head))
    )


def _words_of(head: str) -> list[str]:
    """Return the words of a head, as in `pred.label`, `AIResult` or `Dx (AI)`."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", head)
    return re.findall(r"[^\W_]+", plain(apart))


def _or_word(cell: str) -> Label:
    label = meaning(cell)
    return cell.strip()[:_LETTERS] if label is None else label


def _is_of_one(head: str, found: Sequence[Label]) -> bool:
    """Whether a column of labels that knows one class alone is still one.

    *Pneumonia* is; *normal* may be the type of an image, that is not inverted.
    """
    return 1 in found or (0 in found and _VAGUE.isdisjoint(_words_of(head)))


def _is_of_labels(head: Sequence[str], n: int) -> bool:
    """Whether words in a column are labels: its head says so, or there is none at all.

    Every word of it counts: an *admission diagnosis* is of another day.
    """
    if not _ASKED.isdisjoint(_words_of(head[n])):
        return False
    if not any(re.search(r"[^\W\d]", name) for name in head):
        return True  # pandas numbers columns without heads
    words = {re.sub(r"(?<=\w)\d+$", "", word) for word in _words_of(head[n])}
    words = {word for word in words if not word.isdigit()}
    if _of_head(head[n]) is not None or {"normal", "pneumonia"} == words - {"or"}:
        return True
    return bool(words & _TRUTH) and words <= _TRUTH | _BESIDE_TRUTH


def _flags(head: Sequence[str], columns: dict[int, list[str]]) -> dict[int, int]:
    """Return columns of yes and no whose head names a class, and that class."""
    of_rsna = {plain(name) for name in head} >= _RSNA
    found = {}
    for n, cells in columns.items():
        asked = not _ASKED.isdisjoint(_words_of(head[n]))
        label = None if asked else _of_head(head[n])
        if of_rsna and plain(head[n]) == "target":
            label = 1  # the challenge for pneumonia, known by its columns
        said = {_flag(cell) for cell in cells}
        if label is not None and said & (_YES | _NO) and said <= _YES | _NO | _OPEN:
            found[n] = label
    return found


def _of_flags(
    head: Sequence[str], columns: dict[int, list[str]], flags: dict[int, int]
) -> list[Label]:
    """Read columns of yes and no.

    That there is no pneumonia counts as Normal, unless a column says what is normal, or
    another column of yes and no says yes: it may be another disease. That there is none
    of one kind, such as bacterial, says nothing of the others.
    """
    others = [
        n
        for n in columns
        if n not in flags
        and (plain(head[n]) in _OTHER_FINDINGS or _may_be_disease(head[n], columns[n]))
    ]
    sick = [n for n, label in flags.items() if label == 1]
    found: list[Label] = []
    for row in range(len(columns[next(iter(flags))])):
        cells = {n: _flag(columns[n][row]) for n in (*flags, *others)}
        yes = [n for n, cell in cells.items() if cell in _YES]
        if yes:
            found.append(together([flags.get(n, head[n]) for n in yes]))
        elif (
            sick == [*flags]
            and all(cells[n] in _NO for n in sick)
            and not all(_KINDS.search(plain(head[n])) for n in sick)
        ):
            found.append(0)
        else:
            found.append(_say_open(head, {n: columns[n][row] for n in flags}))
    return found


def _say_open(head: Sequence[str], cells: dict[int, str]) -> str:
    """Say which cells leave open what a row says; nothing if all are empty."""
    said = [
        LABELLED["cell"].format(cell=cell.strip(), column=called(head, n))
        for n, cell in cells.items()
        if cell.strip()
    ]
    return " and ".join(said[:_SHOWN])


def _may_be_disease(head: str, cells: Sequence[str]) -> bool:
    """Whether a column answers yes or no, and its head is not known to be harmless."""
    said = {_flag(cell) for cell in cells}
    asks = bool(said & _YES) and said <= _YES | _NO | _OPEN
    return asks and bool(head) and _NEUTRAL.isdisjoint(_words_of(head))


def _say_flag(
    head: Sequence[str], n: int, cells: Sequence[str], flags: dict[int, int]
) -> str:
    yes, no = (
        _quoted(Counter(c.strip() for c in cells if _flag(c) in known))
        for known in (_YES, _NO)
    )
    said = [LABELLED["is"].format(words=yes, label=LABELS[flags[n]])] if yes else []
    if no and {*flags.values()} == {1} and not _KINDS.search(plain(head[n])):
        said.append(LABELLED["no"].format(words=no, label=LABELS[0]))
    if not said:
        words = _quoted(Counter(c.strip() for c in cells if c.strip()))
        neither = " nor ".join(LABELS)
        said.append(LABELLED["no_class"].format(words=words, neither=neither))
    return LABELLED["column_says"].format(column=repr(head[n]), how=", ".join(said))


def _say_words(name: str, cells: Sequence[str], found: Sequence[Label]) -> str:
    said = []
    for label, class_ in enumerate(LABELS):
        words = Counter(
            cell.strip()[:_LETTERS]
            for cell, of in zip(cells, found, strict=True)
            if of == label
        )
        if words:
            said.append(LABELLED["is"].format(words=_quoted(words), label=class_))
    return LABELLED["column_says"].format(column=name, how=", ".join(said))


def _quoted(words: Counter[str]) -> str:
    """Return the most frequent words with their counts, for a sentence."""
    said = [f"{word!r} ({count})" for word, count in words.most_common(_SHOWN)]
    more = len(words) - _SHOWN
    return ", ".join(said + ([LABELLED["more"].format(count=more)] if more > 0 else []))


def _describe(head: Sequence[str], columns: dict[int, list[str]]) -> str:
    """Say what stands in columns none of which is one of labels."""
    said = []
    for n, cells in columns.items():
        words = Counter(cell.strip()[:_LETTERS] for cell in cells if cell.strip())
        if words and _is_program(head[n]) and any(map(is_value, words)):
            said.insert(0, LABELLED["program"].format(column=called(head, n)))
        elif any(map(is_value, words)) and not (_EARLIER | _ASKED).isdisjoint(
            _words_of(head[n])
        ):
            said.insert(0, LABELLED["asked"].format(column=called(head, n)))
        elif {0, 1} & {meaning(word) for word in words} and not _is_of_labels(head, n):
            said.insert(0, LABELLED["no_truth"].format(
                column=called(head, n), words=_quoted(words)))  # fmt: skip
        elif words and {_flag(word) for word in words} <= _YES | _NO | _OPEN:
            said.insert(0, LABELLED["bare"].format(
                column=called(head, n), words=_quoted(words)))  # fmt: skip
        elif words and (
            _of_head(head[n]) is not None or len(words) < max(3, len(cells))
        ):  # where no two are alike, there are no labels
            said.append(LABELLED["holds"].format(
                column=called(head, n), words=_quoted(words)))  # fmt: skip
    return " ".join(said[:_SHOWN]) or LABELLED["no_words"].format(
        columns=", ".join(called(head, n) for n in [*columns][: 2 * _SHOWN])
    )
