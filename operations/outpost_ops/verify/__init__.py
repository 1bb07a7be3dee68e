"""Live checks of a deployed environment."""
