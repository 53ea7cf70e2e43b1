"""A local DashScope: the published calls, limits and failures, for tests and dry runs.

Shares no code with the client side except the operation files, so that the two cannot agree on
the same mistake.
"""

from dsrun.emulator.app import Emulator, start_emulator
from dsrun.emulator.faults import FAULTS, Fault, parse_fault
from dsrun.emulator.options import EmulatorOptions

__all__ = ["FAULTS", "Emulator", "EmulatorOptions", "Fault", "parse_fault", "start_emulator"]
