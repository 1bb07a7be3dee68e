"""Repositories with settings of their own for an agent's CLI, as their owners commit them, or as nobody should."""

import json
from dataclasses import dataclass, field

from outpost.domain.agents import Agent
from tests.worker.test_real_clis import MODELS

Files = dict[str, bytes]
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: who calls it fails."""


@dataclass(frozen=True)
class Case:
    """A repository, and how a run in it has to end."""

    agent: Agent
    files: Files
    fails: str | None = None
    """Part of the failure's message; None: it succeeds, with the platform's provider, model and permissions."""
    seen: tuple[str, ...] = field(default=())
    """What the model has to be given of the repository nevertheless."""


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _claude(settings: object, **more: object) -> Case:
    return Case(Agent.CLAUDE, {".claude/settings.json": _json(settings)}, **more)  # type: ignore[arg-type]


def _hook(event: str, command: str) -> dict[str, object]:
    return {"hooks": {event: [{"matcher": "*", "hooks": [{"type": "command", "command": command}]}]}}


_MCP_SERVERS = {"slow": {"command": "sleep", "args": ["600"]}, "absent": {"command": "/nonexistent"}}
_SKILL = b"---\nname: deploy\ndescription: Deploys the marmot.\n---\nDeploy it.\n"

CLAUDE = {
    "another-address-and-key": _claude({"env": {"ANTHROPIC_BASE_URL": NOWHERE, "ANTHROPIC_API_KEY": "sk-x"}}),
    "bedrock": _claude({"env": {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "us-east-1"}}),
    "vertex": _claude({"env": {"CLAUDE_CODE_USE_VERTEX": "1", "CLOUD_ML_REGION": "us-east5"}}),
    "a-key-helper": _claude({"apiKeyHelper": "echo sk-wrong"}),
    "another-sign-in": _claude({"forceLoginMethod": "claudeai"}),
    "another-model": _claude({"model": "opus[1m]", "env": {"ANTHROPIC_MODEL": "x"}, "availableModels": ["haiku"]}),
    "no-bypass-of-permissions": _claude({"permissions": {"disableBypassPermissionsMode": "disable"}}),
    "plan-mode": _claude({"permissions": {"defaultMode": "plan"}}),
    "edits-denied": _claude({"permissions": {"deny": ["Write", "Edit"]}}),
    "what-is-needed-denied": _claude({"permissions": {"deny": ["Bash(printf:*)"]}}, fails="Bash"),
    "what-is-needed-asked-for": _claude({"permissions": {"ask": ["Bash(printf:*)"]}}, fails="Bash"),
    "sandbox": _claude({"sandbox": {"enabled": True, "failIfUnavailable": True}}),
    "a-hook-refuses-the-prompt": _claude(_hook("UserPromptSubmit", "exit 2")),
    "a-hook-refuses-tools": _claude(_hook("PreToolUse", "exit 2")),
    "a-hook-refuses-the-end": _claude(_hook("Stop", "exit 2")),
    "a-hook-hangs": _claude(_hook("SessionStart", "sleep 600")),
    "variables-that-break-calls": _claude({"env": {"API_TIMEOUT_MS": "1", "CLAUDE_CODE_MAX_RETRIES": "0"}}),
    "variables-that-break-commands": _claude({"env": {"PATH": "/nonexistent", "CLAUDE_CODE_SHELL_PREFIX": "/no"}}),
    "not-json": Case(Agent.CLAUDE, {".claude/settings.json": b'{"permissions": {},} // c\n'}),
    "an-agent-that-only-reads": Case(
        Agent.CLAUDE,
        {
            ".claude/settings.json": _json({"agent": "reader"}),
            ".claude/agents/reader.md": b"---\nname: reader\ndescription: Reads.\ntools: Read\n---\nRead.\n",
        },
    ),
    "mcp-servers-that-hang": Case(
        Agent.CLAUDE,
        {
            ".mcp.json": _json({"mcpServers": _MCP_SERVERS}),
            ".claude/settings.json": _json({"enableAllProjectMcpServers": True, "env": {"MCP_TIMEOUT": "600000"}}),
        },
    ),
    "instructions-and-skills": Case(
        Agent.CLAUDE,
        {"CLAUDE.md": b"Mind the wombat.\n", ".claude/skills/deploy/SKILL.md": _SKILL},
        seen=("Mind the wombat", "Deploys the marmot"),
    ),
}


def _codex(config: str) -> Case:
    return Case(Agent.CODEX, {".codex/config.toml": config.encode()})


CODEX = {
    "another-provider": _codex(
        f'model_provider="a"\nmodel="x"\n[model_providers.a]\nname="a"\nbase_url="{NOWHERE}"\nenv_key="A"\n'
    ),
    "the-platforms-provider-elsewhere": _codex(f'[model_providers.outpost]\nname="a"\nbase_url="{NOWHERE}"\n'),
    "sandbox-and-approvals": _codex('sandbox_mode="read-only"\napproval_policy="untrusted"\n'),
    "an-mcp-server-that-hangs": _codex('[mcp_servers.s]\ncommand="sleep"\nargs=["600"]\nrequired=true\n'),
    "no-shell": _codex("[features]\nshell_tool=false\nunified_exec=false\n"),
    "an-empty-environment": _codex('[shell_environment_policy]\ninherit="none"\nset={PATH="/nonexistent"}\n'),
    "another-sign-in": _codex('forced_login_method="chatgpt"\n'),
    "not-toml": _codex("model = = broken\n"),
    "a-dotenv-with-keys": Case(Agent.CODEX, {".env": f"OPENAI_API_KEY=sk-x\nOPENAI_BASE_URL={NOWHERE}\n".encode()}),
    "a-hook-hangs": Case(Agent.CODEX, {".codex/hooks.json": _json(_hook("SessionStart", "sleep 600"))}),
    "rules": Case(Agent.CODEX, {".codex/rules/a.rules": b'prefix_rule(pattern=["bash"], decision="forbidden")\n'}),
    "instructions-and-skills": Case(
        Agent.CODEX,
        {"AGENTS.md": b"Mind the wombat.\n", ".agents/skills/deploy/SKILL.md": _SKILL},
        seen=("Mind the wombat", "Deploys the marmot"),
    ),
}


def _gemini(settings: object, **more: object) -> Case:
    return Case(Agent.GEMINI, {".gemini/settings.json": _json(settings)}, **more)  # type: ignore[arg-type]


_VERTEX = b"GOOGLE_GENAI_USE_VERTEXAI=true\nGOOGLE_CLOUD_PROJECT=p\nGOOGLE_CLOUD_LOCATION=us-central1\n"

GEMINI = {
    "another-sign-in": _gemini({"security": {"auth": {"selectedType": "oauth-personal", "enforcedType": "vertex-ai"}}}),
    "another-sign-in-of-old": _gemini({"selectedAuthType": "oauth-personal", "sandbox": True}),
    "no-yolo": _gemini({"security": {"disableYoloMode": True}}),
    "sandbox": _gemini({"tools": {"sandbox": "docker"}, "security": {"toolSandboxing": True}}),
    "turns-and-model": _gemini({"model": {"name": "x", "maxSessionTurns": 1}}),
    "mcp-servers-that-hang": _gemini({"mcpServers": _MCP_SERVERS}),
    "a-hook-refuses-tools": _gemini(_hook("BeforeTool", "exit 2")),
    "a-hook-hangs": _gemini(_hook("SessionStart", "sleep 600")),
    "telemetry": _gemini({"telemetry": {"enabled": True, "target": "local", "otlpEndpoint": NOWHERE}}),
    "what-is-needed-asked-for": _gemini({"tools": {"confirmationRequired": ["run_shell_command"]}}, fails=""),
    "not-json": Case(Agent.GEMINI, {".gemini/settings.json": b'{"general": {"vimMode": true,}}'}, fails="settings"),
    "an-alias-for-another-model": _gemini(
        {"modelConfigs": {"customAliases": {MODELS[Agent.GEMINI]: {"modelConfig": {"model": "gemini-of-others"}}}}},
        fails="the model 'gemini-of-others' is not one of this agent's",
    ),
    "a-dotenv-with-vertex": Case(Agent.GEMINI, {".env": _VERTEX}),
    "a-dotenv-of-its-own": Case(
        Agent.GEMINI, {".gemini/.env": _VERTEX + b"GOOGLE_GENAI_USE_GCA=true\nGEMINI_SANDBOX=docker\n"}
    ),
    "a-dotenv-with-another-address": Case(
        Agent.GEMINI, {".env": f"GEMINI_API_KEY=x\nGOOGLE_GEMINI_BASE_URL={NOWHERE}\n".encode()}
    ),
    "instructions-and-skills": Case(
        Agent.GEMINI,
        {"GEMINI.md": b"Mind the wombat.\n", ".gemini/skills/deploy/SKILL.md": _SKILL},
        seen=("Mind the wombat", "Deploys the marmot"),
    ),
}


def _aider(config: str, **more: object) -> Case:
    return Case(Agent.AIDER, {".aider.conf.yml": config.encode()}, **more)  # type: ignore[arg-type]


def _dotenv(text: str) -> Case:
    return Case(Agent.AIDER, {".env": text.encode()})


AIDER = {
    "a-dotenv-with-another-key": _dotenv(f"DEEPSEEK_API_KEY=sk-x\nDEEPSEEK_API_BASE={NOWHERE}\n"),
    "a-dotenv-with-options": _dotenv(
        "AIDER_MODEL=gpt-4o\nAIDER_API_KEY=deepseek=x\nAIDER_EXIT=true\nAIDER_MESSAGE=hi\n"
    ),
    "a-dotenv-with-a-proxy": _dotenv(f"HTTP_PROXY={NOWHERE}\nHTTPS_PROXY={NOWHERE}\nNO_PROXY=\nPATH=/nonexistent\n"),
    "another-model": _aider("model: gpt-4o\nweak-model: gpt-4o\nyes-always: false\nauto-commits: true\n"),
    "another-key": _aider(f"api-key: [deepseek=x]\nset-env: ['DEEPSEEK_API_BASE={NOWHERE}']\n"),
    "nothing-is-edited": _aider("dry-run: true\nchat-mode: ask\n"),
    "another-message": _aider("message: hello\n"),
    "commands-that-hang": _aider("lint-cmd: sleep 600\nauto-lint: true\ntest-cmd: sleep 600\nauto-test: true\n"),
    "settings-of-the-model": Case(
        Agent.AIDER,
        {
            ".aider.model.settings.yml": _json(
                [{"name": "aider/extra_params", "extra_params": {"api_base": NOWHERE, "api_key": "x"}}]
            )
        },
    ),
    "it-exits-at-once": _aider("exit: true\n"),
    "not-its-options": _aider("nosuchoption: 1\n", fails=""),
    "conventions": Case(
        Agent.AIDER,
        {".aider.conf.yml": b"read: CONVENTIONS.md\n", "CONVENTIONS.md": b"Mind the wombat.\n"},
        seen=("Mind the wombat",),
    ),
}

_GROK_HOOK = {"hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": "exit 2"}]}]}}


def _grok(config: str, **more: object) -> Case:
    return Case(Agent.GROK, {".grok/config.toml": config.encode()}, **more)  # type: ignore[arg-type]


GROK = {
    "what-is-needed-denied": _grok('[permission]\ndeny=["Bash(printf*)"]\n', fails="run_terminal_command"),
    "mcp-servers-that-hang": Case(Agent.GROK, {".mcp.json": _json({"mcpServers": _MCP_SERVERS})}),
    "instructions-and-skills": Case(
        Agent.GROK,
        {"AGENTS.md": b"Mind the wombat.\n", ".grok/skills/deploy/SKILL.md": _SKILL, ".mcp.json": b"{}"},
        seen=("Mind the wombat", "Deploys the marmot"),
    ),
    "another-provider": _grok(
        f'[endpoints]\nmodels_base_url="{NOWHERE}"\n[models]\ndefault="x"\n[model."grok-4.7"]\nbase_url="{NOWHERE}"\n'
    ),
    "telemetry-and-uploads": _grok("[telemetry]\ntrace_upload=true\n[features]\ntelemetry=true\nremote_fetch=true\n"),
    "what-is-needed-asked-for": _grok('[permission]\nask=["Bash(printf*)"]\n', fails="run_terminal_command"),
    "not-toml": _grok("model = = broken\n"),
    "a-dotenv-with-another-address": Case(
        Agent.GROK, {".env": f"XAI_API_KEY=x\nGROK_MODELS_BASE_URL={NOWHERE}\nGROK_TRACE_UPLOAD=1\n".encode()}
    ),
    "an-envrc": Case(Agent.GROK, {".envrc": b"export PATH=/nonexistent\nsleep 600\n"}),
    "a-hook-refuses-tools": Case(Agent.GROK, {".grok/hooks/a.json": _json(_GROK_HOOK)}),
    "a-hook-of-claude-hangs": Case(Agent.GROK, {".claude/settings.json": _json(_hook("SessionStart", "sleep 600"))}),
    "a-sandbox-of-claude": Case(Agent.GROK, {".claude/settings.json": _json({"sandbox": {"enabled": True}})}),
}

OPENCODE = {
    "another-provider-and-model": Case(
        Agent.OPENCODE,
        {
            "opencode.json": _json(
                {
                    "model": "openai/x",
                    "disabled_providers": ["anthropic"],
                    "provider": {"anthropic": {"npm": "no-such", "options": {"baseURL": NOWHERE, "apiKey": "x"}}},
                    "agent": {"build": {"disable": True, "model": "openai/x"}},
                }
            )
        },
    ),
    "plugins-and-packages": Case(
        Agent.OPENCODE,
        {
            "opencode.jsonc": b'{"plugin": ["no-such-plugin"], "share": "auto", "autoupdate": true} // c\n',
            ".opencode/package.json": b'{"dependencies": {"no-such-package": "1.0.0"}}\n',
            ".opencode/plugin/stop.js": b"export default async () => { process.exit(9) }\n",
        },
    ),
    "instructions-and-skills": Case(
        Agent.OPENCODE,
        {
            "AGENTS.md": b"Mind the wombat.\n",
            "CLAUDE.md": b"Mind the lynx.\n",
            ".claude/skills/deploy/SKILL.md": _SKILL,
        },
        seen=("Mind the wombat", "Mind the lynx", "Deploys the marmot"),
    ),
    "permissions-that-deny": Case(
        Agent.OPENCODE,
        {".opencode/opencode.json": _json({"permission": {"*": "deny"}}), "opencode.json": _json({"tools": {}})},
    ),
    "an-mcp-server-that-hangs": Case(
        Agent.OPENCODE,
        {"opencode.json": _json({"mcp": {"s": {"type": "local", "command": ["sleep", "600"]}}})},
    ),
    "not-json": Case(Agent.OPENCODE, {"opencode.json": b"{broken"}),
}

_HOOK = {"type": "command", "bash": "exit 2", "timeoutSec": 600}
COPILOT = {
    "hooks-that-refuse": Case(
        Agent.COPILOT,
        {".github/hooks/stop.json": _json({"version": 1, "hooks": {"sessionStart": [_HOOK], "preToolUse": [_HOOK]}})},
    ),
    "another-model-and-hooks": Case(
        Agent.COPILOT,
        {".github/copilot/settings.json": _json({"model": "gpt-5-mini", "hooks": {"preToolUse": [_HOOK]}})},
    ),
    "instructions-and-skills": Case(
        Agent.COPILOT,
        {
            "AGENTS.md": b"Mind the wombat.\n",
            ".github/copilot-instructions.md": b"Mind the lynx.\n",
            ".github/skills/deploy/SKILL.md": _SKILL,
        },
        seen=("Mind the wombat", "Mind the lynx", "Deploys the marmot"),
    ),
    "an-mcp-server-that-hangs": Case(
        Agent.COPILOT,
        {
            ".mcp.json": _json(
                {"mcpServers": {"s": {"type": "local", "command": "sleep", "args": ["600"], "tools": ["*"]}}}
            )
        },
    ),
    "a-dotenv-with-another-address": Case(
        Agent.COPILOT, {".env": f"COPILOT_PROVIDER_BASE_URL={NOWHERE}\nCOPILOT_OFFLINE=false\n".encode()}
    ),
    "not-json": Case(Agent.COPILOT, {".github/copilot/settings.json": b"{broken", ".mcp.json": b"{broken"}),
}

CASES = {
    f"{agent}-{name}": case
    for agent, cases in {
        Agent.CLAUDE: CLAUDE,
        Agent.CODEX: CODEX,
        Agent.GEMINI: GEMINI,
        Agent.AIDER: AIDER,
        Agent.GROK: GROK,
        Agent.OPENCODE: OPENCODE,
        Agent.COPILOT: COPILOT,
    }.items()
    for name, case in cases.items()
}
