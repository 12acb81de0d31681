"""Content Credentials (C2PA): signed with the user's own certificate, and checked. c2pa-python is optional."""

from __future__ import annotations

import io
import json
import re

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.picture import xmp
from pipeline_utils.picture.picture import Picture

MISSING = "Content Credentials need c2pa-python: pip install -r requirements-credentials.txt -c constraints.txt"
_MARK = b"c2pa"  # in every manifest, wherever a format keeps it
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def sign(data: bytes, form: str, picture: Picture, pem: str) -> bytes:
    """The file `data` of `picture`, signed as the last thing that is done to it. form: PNG, JPEG or WEBP.

    pem: certificates, the signer's first, and the signer's key, of an elliptic curve or Ed25519, without a password.
    Raises InputError where they cannot sign, UserError without c2pa-python.
    """
    try:
        from c2pa import Builder, C2paError, C2paSignerInfo, Context, Signer
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise UserError(MISSING) from None
    action = {"action": "c2pa.created", "digitalSourceType": xmp.AI, "softwareAgent": {"name": xmp.APP}}
    manifest = {
        "claim_generator_info": [{"name": xmp.APP}],
        "title": f"picture {picture.id}",
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": "second-round.record", "data": picture.record()},
        ],
    }
    blocks = [found[0] for found in re.finditer("-----BEGIN ([A-Z ]+)-----.*?-----END \\1-----", pem, re.DOTALL)]
    chain = "\n".join(block for block in blocks if "BEGIN CERT" in block).encode()
    key = next((block for block in blocks if "KEY-----" in block), "").encode()
    try:
        curve = getattr(load_pem_private_key(key, None), "curve", None)
        info = C2paSignerInfo(_CURVES[curve.name] if curve else "ed25519", chain, key, None)
        signed, small = io.BytesIO(), {"builder": {"thumbnail": {"enabled": False}}}
        with (
            Signer.from_info(info) as signer,
            Context.from_dict(small) as context,
            Builder(json.dumps(manifest), context) as builder,
        ):
            builder.sign(signer, f"image/{form.lower()}", io.BytesIO(data), signed)
            return signed.getvalue()
    except (C2paError, KeyError, TypeError, ValueError) as error:
        raise InputError("sign", "PEM", f"certificates and a key that can sign ({str(error)[:200]})") from None


def told(data: bytes, form: str = "PNG", trusted: str = "") -> str:
    """A sentence on the Content Credentials in a file: valid, changed, or of an unknown signer; "" without any.

    trusted: certificates, PEM, of authorities whose word is taken. Nothing is fetched.
    """
    if _MARK not in data:
        return ""
    try:
        from c2pa import C2paError, Context, Reader
    except ImportError:
        return f"It may carry Content Credentials, which were not checked. {MISSING}."
    known = {"user_anchors": trusted} if trusted else {}
    offline = {"remote_manifest_fetch": False, "ocsp_fetch": False}
    try:
        with (
            Context.from_dict({"verify": offline, "trust": known}) as context,
            Reader(f"image/{form.lower()}", io.BytesIO(data), context=context) as reader,
        ):
            found = json.loads(reader.json())
            active = found["manifests"][found["active_manifest"]]
    except (C2paError, KeyError, ValueError) as error:
        return "" if "ManifestNotFound" in str(error) else "Content Credentials: they are damaged."
    signer = str(active.get("signature_info", {}).get("common_name") or "somebody")[:80]
    codes = {each.get("code") for each in found.get("validation_status") or []} - {"signingCredential.untrusted"}
    if codes:
        return f"Content Credentials: changed after {signer} signed it."
    known = found.get("validation_state") == "Trusted"
    return f"Content Credentials: valid, signed by {signer}{'' if known else ', an unknown signer'}."
