"""Run one agent to its end or limit, as a harness does, in a process of its own.

`python limited_agent.py COMMAND [AGENT]`: COMMAND is `AgentCommand` as JSON, the output `AgentEnd` as JSON; AGENT's
reader takes the output. Without isolation all descendants of the harness's process count as the agent's and are ended
with it; in the tests' own process those would be everybody's services.
"""

import sys

from pydantic import TypeAdapter

from outpost.domain.agents import Agent
from worker.adapters import ADAPTERS
from worker.adapters.transcript import Transcript
from worker.agent_output import AgentOutput
from worker.agent_process import AgentCommand, AgentEnd, run_agent
from worker.isolation import NoIsolation, adopt_orphans
from worker.stop import StopSignal


def main() -> None:
    command = TypeAdapter(AgentCommand).validate_json(sys.argv[1])
    adopt_orphans()
    transcript = ADAPTERS[Agent(sys.argv[2])].transcript() if sys.argv[2:] else Transcript()
    end = run_agent(command, NoIsolation(), StopSignal(), AgentOutput(transcript, lambda _: None))
    print(TypeAdapter(AgentEnd).dump_json(end).decode())


if __name__ == "__main__":
    main()
