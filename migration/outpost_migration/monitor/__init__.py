"""Watches the day after the cutover: samples taken in the account, evaluated by pure functions."""
