"""Opens the transport of a run: the fast one where it is installed and wanted."""

from typing import TYPE_CHECKING

from dsrun.common import fast
from dsrun.service.bodies import Patience

if TYPE_CHECKING:
    from dsrun.service.fast_transport import FastTransport
    from dsrun.service.transport import Transport


def open_transport(
    *, fresh_creates: bool = True, patience: Patience | None = None
) -> "Transport | FastTransport":
    """As `Transport`, whose rules both keep. Raises SetupError."""
    if fast.uses_httptools():
        from dsrun.service.fast_transport import FastTransport  # noqa: PLC0415  # an extra

        return FastTransport(fresh_creates=fresh_creates, patience=patience)
    from dsrun.service.transport import Transport  # noqa: PLC0415  # the other one may do without

    return Transport(fresh_creates=fresh_creates, patience=patience)
