"""Aider: `--message-file` runs one prompt and ends; its output is text."""

import re
from collections.abc import Iterator

from outpost.domain.agents import Alias
from worker.adapters.base import Adapter, Invocation, Run
from worker.adapters.transcript import Message, Transcript, Verdict

_OPTIONS = (
    *("--yes-always", "--no-auto-commits", "--no-gitignore", "--no-pretty", "--no-fancy-input", "--no-detect-urls"),
    *("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--analytics-disable"),
)


class Aider(Adapter):
    """aider-chat."""

    litter = ("/.aider*",)

    def invocation(self, run: Run) -> Invocation:
        """Return the call. Commits are the platform's business, history files go home."""
        history = [f"--{kind}-history-file={run.home / f'.aider.{kind}'}" for kind in ("chat", "input")]
        # Model prices would be looked up on the internet at each start.
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        if run.base_url:
            environment["DEEPSEEK_API_BASE"] = f"{run.base_url}/v1"
        model = (f"--model={run.model}", f"--weak-model={run.model_for(Alias.FAST)}") if run.model else ()
        return Invocation(
            argv=("aider", f"--message-file={run.task_file}", *_OPTIONS, *history, *model), environment=environment
        )

    def transcript(self) -> Transcript:
        """Return a reader of the text."""
        return _Text()


_TOKENS = re.compile(r"Tokens: [\d.,]+[kM]? sent,(?: .* cache \w+,)? (?P<received>[\d.,]+)[kM]? received")
_CALL_ERRORS = re.compile(
    r"litellm\.\w*(Error|Timeout)|The API provider|Empty response received from LLM|Insufficient credits with the API"
)
"""Lines in place of a response; Aider may try again after them (aider/exceptions.py, coders/base_coder.py)."""
_STOPS = re.compile(r"Model \S+ has hit a token limit!|Only \d+ reflections allowed, stopping\.")
_MALFORMED = "The LLM did not conform to the edit format."
_APPLIED = "Applied edit to "


class _Text(Transcript):
    """Each response of the model ends with a line that counts its tokens: the last of them is the final event.

    What follows it says whether the edits of that response were applied.
    """

    has_final_event = True

    def __init__(self) -> None:
        super().__init__()
        self._response: list[str] = []
        self._unapplied = False

    def read(self, line: str) -> Iterator[Message]:
        """Yield the line, and record what it says."""
        if counted := _TOKENS.match(line):
            if counted["received"] != "0":
                self.verdict = Verdict(False, _MALFORMED) if self._unapplied else Verdict(True)
            self.final_message = "\n".join(self._response).strip() or None
            self._response = []
        elif line.startswith("Repo-map: "):
            self._response = []
        else:
            self._response.append(line)
            self._follow(line)
        yield Message(line, progress=bool(line.strip()))

    def _follow(self, line: str) -> None:
        if line == _MALFORMED:
            self._unapplied, self.verdict = True, Verdict(False, line)
        elif line.startswith(_APPLIED) and self._unapplied:
            self._unapplied, self.verdict = False, Verdict(True)
        elif _CALL_ERRORS.match(line) or _STOPS.match(line):
            self.verdict = Verdict(False, line)
