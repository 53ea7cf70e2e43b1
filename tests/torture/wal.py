"""What a disk that fails, or a hand that copies, does to a write-ahead log."""

KINDS = ("removed", "cut", "garbled")
_MOST_GARBLED = 64  # bytes


def damage(log, kind, rng):
    """Spoil the file; whether there was anything to spoil."""
    size = log.stat().st_size if log.exists() else 0
    if not size:
        return False
    if kind == "removed":
        log.unlink()
    elif kind == "cut":
        with log.open("r+b") as file:
            file.truncate(rng.randrange(size))
    else:
        with log.open("r+b") as file:
            file.seek(rng.randrange(size))
            file.write(rng.randbytes(rng.randint(1, _MOST_GARBLED)))
    return True
