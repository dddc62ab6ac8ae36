"""Who made an answer: the network that is loaded, and UIDs that follow from it."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import AlgorithmIdentification
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ..contract import PACKAGE, VERSION
from ..serving.classifier import Classifier

SCHEME = "99PNEU"
"""Of the codes that no public scheme has; docs/orthanc.md lists them."""

_SPACE = uuid.UUID("5ad6d2ae-0c61-4e0c-9b6e-2a6cf4b6a2a4")
_SERIES = 9470  # and the next ones: behind those of the machine


def own(value: str, meaning: str) -> Code:
    """Return a code of this project's."""
    return Code(value, SCHEME, meaning)


@dataclass(frozen=True, eq=False)
class Maker:
    """The network that answers.

    Attributes:
        classifier: loaded.
    """

    classifier: Classifier

    @cached_property
    def facts(self) -> str:
        """Checksum of everything that an answer follows from."""
        known = [VERSION, self.classifier.sha256, self.classifier.facts]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def uid(self, film: str, *what: str) -> str:
        """Return a UID: the same film and network give the same, all others another."""
        said = "/".join([self.facts, film, *what])
        return f"2.25.{uuid.uuid5(_SPACE, said).int}"

    def identity(self, film: str, kind: str, number: int, *what: str) -> dict[str, Any]:
        """Return what says which file it is, and who made it.

        Args:
            film: SOPInstanceUID of the film.
            kind: of file.
            number: of its kind.
            *what: else that it hangs on.
        """
        return {
            "series_instance_uid": self.uid(film, kind, "series", *what),
            "sop_instance_uid": self.uid(film, kind, *what),
            "series_number": _SERIES + number,
            "instance_number": 1,
            "series_description": f"{kind}; research, not for diagnosis",
            "manufacturer": PACKAGE,
            "manufacturer_model_name": PACKAGE,
            "software_versions": VERSION,
            "device_serial_number": self.classifier.sha256,
        }

    @property
    def parameters(self) -> dict[str, str]:
        """What the algorithm's parameters are, each in words."""
        return {"SHA-256 of the weights": self.classifier.sha256}

    def in_report(self) -> AlgorithmIdentification:
        """Return the algorithm for a report."""
        return AlgorithmIdentification(
            PACKAGE, VERSION, [f"{name}: {it}" for name, it in self.parameters.items()]
        )

    def in_segment(self) -> AlgorithmIdentificationSequence:
        """Return the algorithm for a segment."""
        return AlgorithmIdentificationSequence(
            PACKAGE,
            codes.cid7162.ArtificialIntelligence,
            VERSION,
            None,
            self.parameters,
        )
