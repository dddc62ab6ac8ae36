"""Bundles on the Hugging Face Hub: fetched once, then read from this machine.

`huggingface_hub` comes with the apps. Without it, everything but `hf://` works.
"""

import re
from pathlib import Path

from ..contract import PACKAGE, VERSION
from .classifier import BundleError

_ADDRESS = re.compile(r"hf://([^/@\s]+/[^/@\s]+)(?:@([^@\s]+))?")
_FILES = ("*.json", "classifier.onnx")  # not the weights for Keras


def fetch(address: str) -> Path:
    """Return the folder of a bundle on the Hub.

    What was fetched before is taken as it is, and nobody is asked. A branch that moved
    on is therefore not seen; name a revision to have that one.

    Args:
        address: `hf://OWNER/NAME`, with `@REVISION` behind it where one is asked for.

    Returns:
        A folder in the cache of `huggingface_hub`.

    Raises:
        BundleError: the address is none, nothing is there, or nobody can be reached.
    """
    parts = _ADDRESS.fullmatch(address)
    if not parts:
        raise BundleError(f"Expected hf://OWNER/NAME, and {address} came.")
    try:
        from huggingface_hub import errors, snapshot_download
    except ModuleNotFoundError as error:
        raise BundleError(
            f"{address} needs the package huggingface_hub, which comes with the apps: "
            "pip install huggingface_hub"
        ) from error
    name, revision = parts.groups()

    def look(here: bool) -> Path:
        folder = snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(_FILES),
            local_files_only=here,
            library_name=PACKAGE,
            library_version=VERSION,
        )
        return Path(str(folder))

    try:
        try:
            return look(here=True)
        except errors.LocalEntryNotFoundError:
            return look(here=False)
    except errors.HFValidationError as error:
        raise BundleError(f"Expected hf://OWNER/NAME, and {address} came.") from error
    except errors.RepositoryNotFoundError as error:
        raise BundleError(
            f"There is no {address}, or it is not open to you; `hf auth login` logs in."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise BundleError(f"{name} has no revision {revision} on the Hub.") from error
    except (
        errors.LocalEntryNotFoundError,
        errors.HTTPError,  # type: ignore[attr-defined]  # of httpx, in each version
        ConnectionError,
    ) as error:
        raise BundleError(
            f"{address} was never fetched to this machine, and the Hub can't be "
            f"reached ({type(error).__name__}). Connect and try again, or name a "
            "folder."
        ) from error
    except OSError as error:
        raise BundleError(
            f"{address} can't be kept on this machine: {error.strerror} "
            f"({error.filename}). The variable HF_HOME names another place."
        ) from error
