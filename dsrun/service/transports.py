"""Opens the transport of a run: the fast one where it is installed, wanted and able."""

import logging
from typing import TYPE_CHECKING

from dsrun.common import fast
from dsrun.service.bodies import Patience

if TYPE_CHECKING:
    from dsrun.service.fast_transport import FastTransport
    from dsrun.service.transport import Transport

_log = logging.getLogger(__name__)


def open_transport(
    *, fresh_creates: bool = True, patience: Patience | None = None
) -> "Transport | FastTransport":
    """As `Transport`, whose rules both keep. Raises SetupError."""
    if fast.uses_pyreqwest():
        from pyreqwest.exceptions import BuilderError  # noqa: PLC0415  # an extra

        from dsrun.service.fast_transport import FastTransport  # noqa: PLC0415  # as above

        try:
            return FastTransport(fresh_creates=fresh_creates, patience=patience)
        except BuilderError as error:  # a system without certificates, which http needs not
            _log.debug("pyreqwest cannot be used: %s", error)
    from dsrun.service.transport import Transport  # noqa: PLC0415  # the other one may do without

    return Transport(fresh_creates=fresh_creates, patience=patience)
