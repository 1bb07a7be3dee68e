"""The steps: each reads the world, changes what is not as it should be, and reports what it then finds."""
