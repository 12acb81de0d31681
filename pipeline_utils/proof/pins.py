"""Why a picture no longer comes out equal, and the versions that made it. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline_utils.errors import InputError
from pipeline_utils.recipe.recipe import Recipe

# Lines of a fingerprint, those first that change bits most often when they differ.
SUSPECTS = (
    "device", "cuda", "hip", "cpu_capability", "torch", "cudnn", "matmul_tf32", "cudnn_tf32", "sdpa",
    "full determinism", "offload", "threads", "diffusers", "transformers", "driver", "multiprocessors",
    "memory_mib", "system",
)  # fmt: skip
PACKAGES = ("torch", "diffusers", "transformers")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6}){1,4}((a|b|rc|\.dev|\.post)[0-9]{1,8})?(\+[a-z0-9.]{1,40})?")
_BUILD = re.compile(r"\+(cpu|cu[0-9]{2,3}|rocm[0-9.]{1,6}|xpu)$")  # what PyTorch's own index has


def differing_lines(there: Mapping, here: Mapping) -> list[tuple[str, object, object]]:
    """(name, value there, value here) where two fingerprints differ, the likeliest to change bits first; nothing
    when one is unknown."""
    if not there:
        return []
    names = dict.fromkeys([*SUSPECTS, *here, *there])
    return [(name, there.get(name), here.get(name)) for name in names if there.get(name) != here.get(name)]


def compared(one: Recipe, other: Recipe) -> list[tuple[str, object, object]]:
    """(field, value of the one, of the other) where two recipes differ, in the order of their fields."""
    a, b = one.to_dict(), other.to_dict()
    return [(name, a[name], b[name]) for name in a if a[name] != b[name]]


def pip_line(there: Mapping, here: Mapping) -> str:
    """The command that gets the packages back that were others there; "" where none was.

    What a file says of them is text from anywhere: only what is a version gets into the command.
    """
    wanted = [f"{name}=={there[name]}" for name in PACKAGES if _known(there, name) and there[name] != here.get(name)]
    return f"pip install {' '.join(wanted)}{_index(wanted)}" if wanted else ""


def constraints(fingerprint: Mapping, what: str) -> str:
    """A constraints file of pip with the versions that made a picture. Raises InputError where none is known."""
    wanted = [f"{name}=={fingerprint[name]}" for name in PACKAGES if _known(fingerprint, name)]
    if not wanted:
        raise InputError("fingerprint", what, "it says no version of a package, so there is nothing to pin")
    used = f"# pip install -r requirements.txt -c THIS_FILE{_index(wanted)}"
    return "\n".join([f"# What made the picture of {what}.", used, *wanted, ""])


def _known(fingerprint: Mapping, name: str) -> bool:
    version = fingerprint.get(name)
    return isinstance(version, str) and _VERSION.fullmatch(version) is not None


def _index(wanted: list[str]) -> str:
    """The option that finds a build of torch that the package index lacks."""
    build = next((found[1] for each in wanted if each.startswith("torch==") and (found := _BUILD.search(each))), None)
    if build is None:
        return ""
    return f" --extra-index-url https://download.pytorch.org/whl/{build}"
