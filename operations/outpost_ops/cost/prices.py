"""The price table: `prices.toml`, read once."""

import tomllib
from datetime import date
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """What all models of costs have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Model):
    """A list price."""

    usd: float
    source: str


class Assumed(Model):
    """What an idle environment does."""

    gp3_gb: float
    container_insights_metrics: int
    agent_metrics: int
    flow_log_gb: float
    kms_10000_requests: float
    log_group_gb: float
    seconds: dict[str, float]


class FreeTypes(Model):
    """Resource types that cost nothing of themselves."""

    types: frozenset[str]


class PriceTable(Model):
    """Prices of one region on one day."""

    date: date
    region: str
    hours: int
    price: dict[str, Price]
    always_free: dict[str, float]
    assumed: Assumed
    usage: dict[str, str]
    free: FreeTypes

    def monthly(self, name: str, count: float = 1) -> float:
        """Return what so many of something cost a month; the name says whether the price is one of an hour."""
        return self.price[name].usd * count * (self.hours if name.endswith("_hour") else 1)


@cache
def price_table() -> PriceTable:
    """Return the table."""
    text = Path(__file__).with_name("prices.toml").read_text(encoding="utf-8")
    return PriceTable.model_validate(tomllib.loads(text))
