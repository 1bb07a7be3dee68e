"""Aider: `--message-file` runs one prompt and ends; its output is text."""

import re
from collections.abc import Iterator

from outpost.domain.agents import Alias
from outpost.domain.usage import Tokens
from worker.adapters.base import Adapter, Invocation, Run, Said, Transcript

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


_TOKENS = re.compile(r"Tokens: (?P<sent>[\d.,]+k?) sent,(?: .* cache \w+,)? (?P<received>[\d.,]+k?) received")
_TROUBLE = re.compile(r"litellm\.\w*Error|The API provider is not able to authenticate you")


class _Text(Transcript):
    """Each answer of the model ends with a line that counts its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: list[str] = []

    def read(self, line: str) -> Iterator[Said]:
        if counted := _TOKENS.match(line):
            self.tokens = (self.tokens or Tokens()) + Tokens(
                input=_number(counted["sent"]), output=_number(counted["received"])
            )
            self.final_message = "\n".join(self._answer).strip() or None
            self._answer = []
            self.failure = None
        elif line.startswith("Repo-map: "):
            self._answer = []
        else:
            self._answer.append(line)
        if _TROUBLE.match(line):
            self.failure = line
        yield Said(line, progress=bool(line.strip()))


def _number(text: str) -> int:
    """Read Aider's short form: `812`, `2.3k`."""
    plain = text.replace(",", "")
    return round(float(plain.removesuffix("k")) * (1000 if plain.endswith("k") else 1))
