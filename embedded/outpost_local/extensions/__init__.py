"""What MiniStack 1.5.33 lacks or does differently from AWS, one small module per gap.

Each module's docstring says why it exists; its test fails when a newer MiniStack no longer needs it. They use
MiniStack's internals: its version is pinned.
"""
