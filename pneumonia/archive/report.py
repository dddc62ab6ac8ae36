"""The answer as a structured report (Comprehensive SR, TID 1500): codes and numbers."""

import highdicom as hd
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from .. import words
from ..contract import NOTICE, PACKAGE
from ..serving.prediction import Prediction, explain, say_place, verdict
from .film import Film
from .maker import SCHEME, Maker, own

_CHEST_XRAY = Code("399208008", "SCT", "Plain chest X-ray")
_FINDINGS = {
    "normal": codes.SCT.Normal,
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "uncertain": codes.SCT.Indeterminate,
}
_BANDS = {
    "normal": own("band-normal", "Normal"),
    "uncertain": own("band-uncertain", "Uncertain, needs a radiologist"),
    "pneumonia": own("band-pneumonia", "Pneumonia"),
}
_BAND = own("band", "Band of the answer")
_P = own("p-pneumonia", "Probability of pneumonia")
_FROM = own("uncertain-from", "Lowest probability of pneumonia called uncertain")
_TO = own("uncertain-to", "Highest probability of pneumonia called uncertain")
_WARNING = own("warning", "Warning about the film")
_REASON = own("no-answer", "Why there is no answer")
_LONGEST = 64  # letters of a code's meaning


def write(maker: Maker, film: Film, answer: Prediction | str) -> hd.SOPClass:
    """Write the report.

    Args:
        maker: the network.
        film: that it is of.
        answer: or the code of why the network refused to answer.
    """
    said = _refused(answer) if isinstance(answer, str) else _answered(maker, answer)
    evaluations, measurements, texts = said
    uid = film.facts.SOPInstanceUID
    group = sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(maker.uid(uid, "chest"), "chest"),
        algorithm_id=maker.in_report(),
        measurements=measurements or None,
        qualitative_evaluations=[sr.QualitativeEvaluation(*one) for one in evaluations],
        source_images=[
            sr.SourceImageForMeasurementGroup(film.facts.SOPClassUID, uid),
        ],
    )
    for text in [*texts, NOTICE]:
        group[0].ContentSequence.append(
            sr.TextContentItem(
                codes.DCM.Comment, text, sr.RelationshipTypeValues.CONTAINS
            )
        )
    device = sr.DeviceObserverIdentifyingAttributes(
        maker.uid("", "device"),
        name=PACKAGE,
        manufacturer_name=PACKAGE,
        model_name=PACKAGE,
        serial_number=maker.classifier.sha256,
    )
    content = sr.MeasurementReport(
        sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
        ),
        _CHEST_XRAY,
        [group],
    )
    report = sr.ComprehensiveSR(
        [film.facts],
        content,
        is_complete=not isinstance(answer, str),
        is_final=False,
        is_verified=False,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                SCHEME, f"Codes of {PACKAGE}", responsible_organization=PACKAGE
            )
        ],
        **maker.identity(uid, "Report", 1),
    )
    if isinstance(answer, str):
        report.CompletionFlagDescription = _meaning(answer)
    return report


Said = tuple[list[tuple[Code, Code]], list[sr.Measurement], list[str]]


def _answered(maker: Maker, answer: Prediction) -> Said:
    """Return evaluations, measurements and sentences of an answer."""
    evaluations = [
        (codes.DCM.Finding, _FINDINGS[answer.verdict]),
        (_BAND, _BANDS[answer.verdict]),
        *((_WARNING, own(code, _meaning(code))) for code in answer.warnings),
    ]
    percents = zip(
        (_P, _FROM, _TO),
        (answer.p_pneumonia, *maker.classifier.uncertain_band),
        strict=True,
    )
    measurements = [
        sr.Measurement(name, round(100 * share, 2), codes.UCUM.Percent)
        for name, share in percents
    ]
    sentences = [verdict(maker.classifier, answer), say_place(answer)]
    return evaluations, measurements, [*sentences, *map(explain, answer.warnings)]


def _refused(reason: str) -> Said:
    """Return the same of a refusal."""
    evaluations = [
        (
            codes.DCM.CADProcessingAndFindingsSummary,
            codes.DCM.NoAlgorithmsSucceededWithoutFindings,
        ),
        (_REASON, own(reason, _meaning(reason))),
    ]
    return evaluations, [], [f"No answer. {explain(reason)}"]


def _meaning(code: str) -> str:
    """Return what a code means, in few words."""
    text = words.REFUSED_FOR.get(code, code.replace("_", " "))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
