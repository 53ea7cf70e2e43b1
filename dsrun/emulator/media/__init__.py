"""What the emulator draws, films, speaks and writes: made from the request alone, always the same.

Begin with `orders`, what a request asks for, then `picture`, `movie`, `speech`, `writing`, `solid`.
"""
