"""What MiniStack 1.5.33 lacks or does differently from AWS: modules of patches, in a folder for each service.

Each module's docstring has the reason and AWS's source. They use MiniStack's internals: its version is pinned.
"""
