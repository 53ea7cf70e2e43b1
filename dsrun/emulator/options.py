"""The options of an emulator."""

from dataclasses import dataclass

from dsrun.emulator.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """`operations` has the texts of operation files to serve beside the bundled ones."""

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str | None = None
    task_time_s: float = 1.0
    queue_time_s: float = 0.2
    limits: bool = True
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    url_life_s: float = 86400.0
    picture_scale: float = 1.0
    operations: tuple[str, ...] = ()
