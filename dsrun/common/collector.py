"""How often Python looks for cycles of garbage: what dsrun makes by the million has hardly any."""

import gc

_OBJECTS = 20_000  # made since the last look; Python itself looks after 700


def collect_seldom() -> None:
    """For this whole process, so it must be dsrun's own. A plan takes a twelfth less time."""
    gc.set_threshold(_OBJECTS, 50, 50)
