"""A picture and its sidecar: two parts, one receipt, and the sidecar is there first."""

from __future__ import annotations

from dataclasses import replace

from frameferry.delivery.parts import sidecar_part, sidecar_path
from frameferry.delivery.renaming import After, Resend, Staged, outcome_of
from frameferry.domain.records import Consignment, Intent, Receipt, sha256_hex
from frameferry.ftp.client import FerryFTP


def sidecar_consignment(consignment: Consignment, content: bytes) -> Consignment:
    """Make the sidecar's own consignment from its picture's."""
    return replace(
        consignment,
        remote_path=sidecar_path(consignment.remote_path),
        size_bytes=len(content),
        sha256=sha256_hex(content),
        sidecar=None,
    )


def outcome_of_pair(
    ftp: FerryFTP, intent: Intent, content: bytes, *, base: str, after: After
) -> Staged | Receipt | Resend:
    """
    Find out what became of an open intent for a picture with a sidecar, by both parts.

    Both are sent again if either has to be, or if the order was not ours: a picture that was
    renamed while its sidecar still waits.

    Raises:
        FtpUnavailable: No clear answer; nothing is concluded from silence.
    """
    beside = replace(
        intent,
        remote_path=sidecar_path(intent.remote_path),
        part_path=sidecar_part(intent.part_path),
        size_bytes=len(content),
        sha256=sha256_hex(content),
        sidecar=None,
    )
    sidecar = outcome_of(ftp, beside, base=base, after=after)
    picture = outcome_of(ftp, intent, base=base, after=after)
    match sidecar, picture:
        case Receipt(), Staged() | Receipt():
            return picture
        case Staged(), Staged():
            return replace(picture, sidecar=sidecar)
        case _:
            return Resend(intent.record_id, intent.part_path)
