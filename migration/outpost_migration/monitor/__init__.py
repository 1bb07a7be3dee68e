"""Watches the day after the cutover: samples taken in the account, judged by pure functions."""
