"""Aider: `--message-file` runs one prompt and ends; its output is text."""

import json
import re
from collections.abc import Iterator

from outpost.domain.agents import Alias
from worker.adapters.base import Adapter, Invocation, Run
from worker.adapters.transcript import Message, Transcript, Verdict

_OPTIONS = (
    *("--yes-always", "--no-auto-commits", "--no-gitignore", "--no-pretty", "--no-fancy-input", "--no-detect-urls"),
    *("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--analytics-disable"),
    *("--edit-format=diff", "--no-auto-lint", "--no-auto-test", "--no-dry-run", "--no-watch-files", "--no-copy-paste"),
    *("--no-notifications", "--no-gui", "--git", "--verify-ssl", "--timeout=600"),
)
"""The edit format is that of DeepSeek's models: a file could set one in which nothing is edited."""
_OFF = (
    "APPLY_CLIPBOARD_EDITS",
    "COMMIT",
    "EXIT",
    "LINT",
    "TEST",
    "SHOW_REPO_MAP",
    "UPGRADE",
    "INSTALL_MAIN_BRANCH",
    "JUST_CHECK_UPDATE",
)
_EMPTY = ("APPLY", "LIST_MODELS", "LOAD", "MESSAGE")
"""Options that make no model call, as variables (AIDER_...): they replace those of a repository's `.env`. What has
a value comes before the configuration file as well; a switch there, such as `exit: true`, nothing outside can undo.
"""
_ENV_FILE = ".outpost/aider.env"
_MODEL_SETTINGS = ".outpost/aider-models.yml"
_PRICES = ".aider/caches/model_prices_and_context_window.json"


def _aider_variables(run: Run) -> dict[str, str]:
    """Return Aider's own variables, against those of a repository's `.env` and against its configuration file."""
    values = dict.fromkeys(_OFF, "false") | dict.fromkeys(_EMPTY, "")
    if run.model:
        values["ALIAS"] = f"{run.model}:{run.model}"  # of itself: no file makes another model of it
    for name, token in run.tokens.items():
        values["API_KEY"] = f"{name.removesuffix('_API_KEY').lower()}={token}"
        values["SET_ENV"] = f"DEEPSEEK_API_BASE={run.base_url}/v1"
    return {f"AIDER_{name}": value for name, value in values.items()}


def _model_settings(run: Run) -> list[dict[str, object]]:
    """Return settings (YAML takes JSON) that are merged over those of every model."""
    if run.base_url is None:
        return []
    reached = {"api_base": f"{run.base_url}/v1", "api_key": next(iter(run.tokens.values()), None)}
    return [{"name": "aider/extra_params", "extra_params": reached}]


_TOKENS = re.compile(r"Tokens: [\d.,]+[kM]? sent,(?: .* cache \w+,)? (?P<received>[\d.,]+)[kM]? received")
_CALL_ERRORS = re.compile(
    r"litellm\.\w*(Error|Timeout)|The API provider|Empty response received from LLM|Insufficient credits with the API"
)
"""Lines in place of a response; Aider may try again after them (aider/exceptions.py, coders/base_coder.py)."""
_STOPS = re.compile(
    r"Model \S+ has hit a token limit!|Only \d+ reflections allowed, stopping\.|Unable to (write file|create) "
)
_MALFORMED = "The LLM did not conform to the edit format."
_NOT_APPLIED = (_MALFORMED, "Exception while updating files:")
"""Lines after a response whose edits failed; it is asked again then (coders/base_coder.py, `apply_updates`)."""
_CONFIRMED = re.compile(r"https://\S+/edit-errors|Traceback \(most recent call last\):")
"""What follows them before the next response has ended; where a response quotes them, it does not."""
_SKIPPED = re.compile(r"Skipping (edits to )?(?P<file>.+) that matches (git|aider)ignore spec\.")
_APPLIED = "Applied edit to "


class _Text(Transcript):
    """Each response ends with a line that counts its tokens, the final event; then follows what became of its edits."""

    has_final_event = True

    def __init__(self) -> None:
        super().__init__()
        self._response: list[str] = []
        self._responded = False
        """Whether a response has ended: what comes before is its text, whatever it quotes."""
        self._unapplied = ""
        """Why the edits of a response were not applied."""
        self._before: tuple[str, Verdict | None, list[str]] | None = None
        """What was known before a line that says so, or that an edit was skipped, until it is confirmed; None when none
        waits for that."""

    def read(self, line: str) -> Iterator[Message]:
        """Yield the line, and record what it says."""
        if counted := _TOKENS.match(line):
            self._forget_quoted()
            if counted["received"] != "0":
                self.verdict = Verdict(False, self._unapplied) if self._unapplied else Verdict(True)
            self._responded = True
            self.final_message = "\n".join(self._response).strip() or None
            self._response = []
        elif line.startswith("Repo-map: "):
            self._response = []
        else:
            self._response.append(line)
            self._follow(line)
        yield Message(line, progress=bool(line.strip()))

    def _forget_quoted(self) -> None:
        """Take a line back that was not confirmed: the response that ends here quotes it."""
        if self._before is not None:
            self._unapplied, self.verdict, self.refused_tools = self._before
            self._before = None

    def _remember(self) -> None:
        self._before = self._before or (self._unapplied, self.verdict, [*self.refused_tools])

    def _follow(self, line: str) -> None:
        if self._responded and line in _NOT_APPLIED:
            self._remember()
            self._unapplied, self.verdict = line, Verdict(False, line)
        elif _CONFIRMED.match(line):
            self._before = None
        elif self._responded and (skipped := _SKIPPED.fullmatch(line)):
            self._remember()
            self.refuse(f"edit of {skipped['file']}")
        elif line.startswith(_APPLIED) and self._unapplied:
            self._unapplied, self.verdict = "", Verdict(True)
        elif _CALL_ERRORS.match(line) or _STOPS.match(line):
            self.verdict = Verdict(False, line)


class Aider(Adapter):
    """aider-chat.

    The command line comes before variables, and they before `.aider.conf.yml`; of `.env` files and of settings of
    models the last one read wins, which is the one that an option names (aider.chat, "Configuration").
    """

    transcript = _Text
    litter = ("/.aider*", "!/.aiderignore", "!/.aider.conf.yml", "!/.aider.model.*")
    settings_files = (".aider.conf.yml", ".aider.model.settings.yml", ".aider.model.metadata.json", ".env")

    def invocation(self, run: Run) -> Invocation:
        """Return the call. Commits are the platform's business, history files go home."""
        argv = ["aider", f"--message-file={run.task_file}", *_OPTIONS]
        argv += [f"--{kind}-history-file={run.home / f'.aider.{kind}'}" for kind in ("chat", "input")]
        argv += [f"--env-file={run.home / _ENV_FILE}", f"--model-settings-file={run.home / _MODEL_SETTINGS}"]
        # Model prices would be looked up on the internet at each start.
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        if run.base_url:
            environment["DEEPSEEK_API_BASE"] = f"{run.base_url}/v1"
        if run.model:
            argv += [f"--model={run.model}", f"--weak-model={run.model_for(Alias.FAST)}"]
        pinned = {**run.environment, **environment, **run.tokens, **_aider_variables(run)}
        home_files = {
            _ENV_FILE: "".join(f"{name}={json.dumps(value)}\n" for name, value in pinned.items()),
            _MODEL_SETTINGS: json.dumps(_model_settings(run)),
            _PRICES: json.dumps({"sample_spec": {}}),
        }
        return Invocation(tuple(argv), environment, home_files=home_files)
