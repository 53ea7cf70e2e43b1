"""What the emulator draws and speaks: made from the request alone, the same each time.

Begin with `orders`, what a request asks for, then `picture` and `speech`.
"""
