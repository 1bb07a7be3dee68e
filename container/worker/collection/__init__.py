"""Collecting what an agent did: which files are its results, and which commits, submodules and outputs it made.

Runs when nothing of the agent lives any more. Everything here that reads the agent's files is a program with the
agent's rights; decisions are pure functions. The agent's git directory is data of an enemy: it is read by programs
that take no configuration, hook, filter or remote from it.
"""
