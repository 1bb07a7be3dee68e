"""The planner: reads demand and supply, plans, and launches at the rate that the account may launch at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.ids import made_at
from outpost.domain.launches import Intent
from outpost.domain.slots import Slots
from outpost.fleet.metrics import emit
from outpost.names import Metric
from outpost.store.launches import Launches
from outpost.store.planner_lock import LockLostError, PlannerLock, Term
from outpost.store.workers import Workers
from planner.demand import Demand
from planner.launcher import Launcher, NoResponseError, is_throttle
from planner.plan import Fleet, batches, plan, ration

logger = Logger(service="planner")

PACE_SECONDS = 0.5
"""Between two rounds while the launch rate is the bottleneck: ten tasks, one RunTask call."""
UNANSWERED_ROUNDS = 3
"""Rounds in a row in which ECS did not respond to a launch, before the run fails; the next one repeats the launch."""
UNLIMITED = 10**9


@dataclass(frozen=True)
class Planner:
    """One at a time, by the planner's lock. `now` and `sleep` are a clock's."""

    agents: Mapping[Agent, AgentSettings]
    demand: Demand
    workers: Workers
    launches: Launches
    lock: PlannerLock
    launcher: Launcher
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    revisions: Mapping[Agent, int] = field(default_factory=dict)
    """Latest revision of each agent's task definition; an agent that is missing drains nobody."""

    def work(self, owner: str, until: datetime) -> None:
        """Make supply equal to demand, as long as there is something to launch, at most `until`.

        Raises `NoResponseError` when ECS does not respond.
        """
        term = self.lock.acquire(owner)
        if term is None:
            logger.info("another planner is at work and will look again")
            return
        try:
            self._work(term, until)
        except LockLostError:
            logger.info("another planner has taken over")
        except Exception:
            term.abandon()
            raise

    def _work(self, term: Term, until: datetime) -> None:
        unanswered = 0
        while self.now() < until:
            try:
                missing = self.run(term, until)
                unanswered = 0
            except NoResponseError:
                unanswered += 1
                if unanswered == UNANSWERED_ROUNDS:
                    raise
                missing = 1
            if missing > 0:
                self.sleep(PACE_SECONDS)
            elif term.release():
                return
            term.keep()
        term.abandon()  # the next start continues

    def run(self, term: Term, until: datetime) -> int:
        """Launch what is missing and the rate allows; return how many are still missing.

        Begins no call of ECS after `until`. Raises `LockLostError`; `NoResponseError` when the outcome of a launch is
        not known, of this round or an earlier one, after all others.
        """
        settled = 1
        while settled:
            fleets, demand = self._read(term)
            settled, unanswered = self._repeat(fleets, demand, term, until)
        at = self.now()
        wanted = plan(demand, fleets, at)
        for agent, fleet in fleets.items():
            for worker in fleet.retirable(demand[agent], at):
                logger.info("retiring", extra={"agent": agent, "worker": worker.worker_id})
                self.workers.retire(worker)
        launched = self._launch(wanted, term, until)
        if unanswered:
            raise NoResponseError(f"RunTask was repeated, and {unanswered} batches have no response")
        return sum(wanted.values()) - launched

    def _read(self, term: Term) -> tuple[dict[Agent, Fleet], dict[Agent, int]]:
        """Return supply and demand, read in this order: a worker that claims meanwhile is missing in neither."""
        fleets = {agent: self._fleet(agent, settings, term) for agent, settings in self.agents.items()}
        return fleets, self._demand(term)

    def _repeat(
        self, fleets: Mapping[Agent, Fleet], demand: Mapping[Agent, int], term: Term, until: datetime
    ) -> tuple[int, int]:
        """Repeat launches without a response, as far as they are wanted; return how many are settled and are not."""
        at, settled = self.now(), 0
        intents = [intent for agent, fleet in fleets.items() for intent in fleet.repeatable(demand[agent], at)]
        for intent in intents:
            term.keep()
            if self.now() < until and self.launcher.repeat(intent):
                settled += 1
        return settled, len(intents) - settled

    def _launch(self, wanted: Mapping[Agent, int], term: Term, until: datetime) -> int:
        """Launch each agent's share, until a batch is refused; return how many need not be tried again at once."""
        rate, done, unanswered = self.launches.rate(self.now()), 0, None
        for agent, count in ration(wanted, int(rate.tokens)).items():
            logger.info("launching", extra={"agent": agent, "count": count, "wanted": wanted[agent]})
            for size in batches(count):
                if self.now() >= until:
                    return done
                rate = rate.take(size)
                try:
                    refusal = self.launcher.launch(agent, size, rate, term)
                except NoResponseError as error:
                    unanswered = error
                    break
                if refusal and is_throttle(refusal):
                    self.launches.keep_rate(rate.model_copy(update={"tokens": 0.0}))
                    return done
                if refusal:
                    break
            done += count
        if unanswered:
            raise unanswered
        return done

    def _demand(self, term: Term) -> dict[Agent, int]:
        """Count the dispatches that are runnable now, or will be in a moment; at least up to each agent's limit."""
        at, enough = self.now(), {agent: settings.limit for agent, settings in self.agents.items()}
        begin = self.launches.cursor()
        walk = self.demand.walk(enough, lambda slots, limit: slots.soon_free(limit, at), begin, term.keep)
        if walk.after != begin:
            self.launches.keep_cursor(walk.after)
        return {agent: walk.count(agent) for agent in self.agents}

    def emit_backlog(self) -> None:
        """Emit how many dispatches are runnable, and for how long the oldest has been there."""
        everything = dict.fromkeys(self.agents, UNLIMITED)
        walk, at = self.demand.walk(everything, Slots.free, self.launches.cursor()), self.now()
        for agent in self.agents:
            ids = walk.found.get(agent, [])
            emit(Metric.QUEUE_DEPTH, len(ids), Agent=agent)
            oldest = (at - made_at(min(ids))).total_seconds() if ids else 0.0
            emit(Metric.OLDEST_RUNNABLE, max(oldest, 0.0), Agent=agent)

    def _fleet(self, agent: Agent, settings: AgentSettings, term: Term) -> Fleet:
        term.keep()
        return Fleet(
            # Before the workers: tasks are written as workers before their intent is removed.
            intents=[intent for intent in self.launches.intents(agent) if not self._gives_up(intent)],
            alive=self.workers.alive(agent),
            failure=self.launches.failure(agent),
            warm=settings.warm_at(self.now()),
            limit=settings.limit,
            revision=self.revisions.get(agent, 0),
        )

    def _gives_up(self, intent: Intent) -> bool:
        """Remove an intent whose outcome will not be known; return whether it is one."""
        if not intent.forgotten(self.now()):
            return False
        logger.warning("what was launched is not known", extra={"agent": intent.agent, "batch": intent.batch_id})
        self.launches.settle(intent)
        return True
