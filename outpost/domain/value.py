"""What most of the domain's models are: values, which never change."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Value(BaseModel):
    """A model that nothing changes; a changed one is another."""

    model_config = ConfigDict(frozen=True)


class CamelValue(Value):
    """A value whose fields have camelCase names in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
