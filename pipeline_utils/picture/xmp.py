"""XMP: what a picture says of itself to other programs, in the words of IPTC's Photo Metadata 2025.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

from pipeline_utils.recipe.recipe import Recipe

APP = "Second Round"
AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # which no escape helps
_TOP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:sr="urn:second-round">'
)
_END = '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'


def write(recipes: Sequence[Recipe], writer: str = "", records: str = "") -> str:
    """The packet of a file that shows pictures of these recipes. writer: who wrote the prompts, "" for not said.

    records: their records in JSON, for files that have no other place for them.
    """
    found = {
        "xmp:CreatorTool": APP,
        "Iptc4xmpExt:DigitalSourceType": AI,
        "Iptc4xmpExt:AISystemUsed": _each(recipe.model.removeprefix("local:") for recipe in recipes),
        "Iptc4xmpExt:AISystemVersionUsed": _each(recipe.revision for recipe in recipes),
        "Iptc4xmpExt:AIPromptInformation": _each(map(_prompt, recipes)),
        "Iptc4xmpExt:AIPromptWriterName": writer.strip(),
        "sr:Records": records,
    }
    lines = (f"<{name}>{_escaped(value)}</{name}>" for name, value in found.items() if value)
    return _TOP + "".join(lines) + _END


def _prompt(recipe: Recipe) -> str:
    negative = f"\nNegative prompt: {recipe.negative_prompt}" if recipe.negative_prompt else ""
    return recipe.prompt + negative


def _each(values: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(values))


def _escaped(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text), {"\r": "&#13;"})
