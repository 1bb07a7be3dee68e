"""Where v1 lies on its host: eight scripts, called through SSM Run Command, and a folder for each run."""

BASE = "/home/ubuntu/claude-executor"
SCRIPTS_FOLDER = f"{BASE}/scripts"
RUNS_FOLDER = f"{BASE}/runs"
DISPATCH_SCRIPTS = (
    "dispatch.sh",
    "dispatch-unified.sh",
    "dispatch-codex.sh",
    "dispatch-gemini.sh",
    "dispatch-aider.sh",
    "dispatch-grok.sh",
)
READING_SCRIPTS = ("get-results.sh", "list-runs.sh")
SCRIPTS = (*DISPATCH_SCRIPTS, *READING_SCRIPTS)
"""All that v1 consists of."""
DISABLED = ".DISABLED"
"""Suffix of a script that the cutover took out of use."""
DOCUMENT = "AWS-RunShellScript"
"""The SSM document that v1's clients run."""
OUTPUT_LIMIT = 24_000
"""Characters of standard output that SSM returns; the rest is cut off."""
