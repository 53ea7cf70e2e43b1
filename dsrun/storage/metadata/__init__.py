"""What a picture says of itself: PNG, JPEG and WebP, changed without decoding them.

Begin with `tag`, the facts, and `pictures`, which puts them in and takes them out again.
"""
