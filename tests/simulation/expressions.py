"""DynamoDB's expressions, compiled once each: conditions, key conditions and updates, as the store writes them.

Values stay in DynamoDB's encoding (`{"S": "text"}`). Grammar: DynamoDB Developer Guide, "Condition and filter
expressions, operators, and functions" and "Using update expressions".
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

Item = dict[str, dict[str, Any]]
Values = dict[str, dict[str, Any]]
Condition = Callable[[Item, Values], bool]
Operand = Callable[[Item, Values], dict[str, Any] | None]
Update = Callable[[Item, Values], Item]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|:\w+|#?[A-Za-z_][\w.]*)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


class ExpressionError(Exception):
    """The expression is not of the grammar that the fake knows."""


class MissingAttributeError(ExpressionError):
    """An update refers to an attribute that the item does not have."""


def plain(value: dict[str, Any]) -> Any:  # noqa: ANN401 - a string, a number, a set, ...
    """Return what is compared: numbers as numbers, sets as sets."""
    ((kind, content),) = value.items()
    if kind == "N":
        return Decimal(content)
    return frozenset(content) if kind in ("SS", "NS") else content


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str, names: tuple[tuple[str, str], ...]) -> None:
        self._tokens = _TOKEN.findall(text)
        if "".join(self._tokens) != re.sub(r"\s", "", text):
            raise ExpressionError(text)
        self._names = dict(names)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token.upper() != expected):
            raise ExpressionError(f"{expected or 'more'} expected at {self._tokens[self._at :]}")
        self._at += 1
        return token

    def accept(self, expected: str) -> bool:
        if self.peek().upper() != expected:
            return False
        self._at += 1
        return True

    def name(self) -> str:
        token = self.take()
        return self._names[token] if token.startswith("#") else token

    def condition(self) -> Condition:
        left = self._conjunction()
        while self.accept("OR"):
            left = _either(left, self._conjunction())
        return left

    def _conjunction(self) -> Condition:
        left = self._negation()
        while self.accept("AND"):
            left = _both(left, self._negation())
        return left

    def _negation(self) -> Condition:
        if self.accept("NOT"):
            inner = self._negation()
            return lambda item, values: not inner(item, values)
        if self.accept("("):
            inner = self.condition()
            self.take(")")
            return inner
        if self.peek() in _FUNCTIONS:
            return self._function()
        return self._comparison()

    def _function(self) -> Condition:
        function = _FUNCTIONS[self.take()]
        self.take("(")
        name = self.name()
        argument = self.operand() if self.accept(",") else None
        self.take(")")
        return function(name, argument)

    def _comparison(self) -> Condition:
        left = self.operand()
        if self.accept("BETWEEN"):
            low = self.operand()
            self.take("AND")
            return _both(_compared(low, "<=", left), _compared(left, "<=", self.operand()))
        if self.accept("IN"):
            self.take("(")
            found = _compared(left, "=", self.operand())
            while self.accept(","):
                found = _either(found, _compared(left, "=", self.operand()))
            self.take(")")
            return found
        return _compared(left, self.take(), self.operand())

    def operand(self) -> Operand:
        if self.peek().startswith(":"):
            value = self.take()
            return lambda _, values: values[value]
        if self.peek() == "if_not_exists":
            return self._if_not_exists()
        if self.peek() == "size":
            self.take()
            self.take("(")
            measured = self.name()
            self.take(")")
            return lambda item, _: {"N": str(len(plain(item[measured])))} if measured in item else None
        name = self.name()
        return lambda item, _: item.get(name)

    def _if_not_exists(self) -> Operand:
        self.take()
        self.take("(")
        name = self.name()
        self.take(",")
        otherwise = self.operand()
        self.take(")")
        return lambda item, values: item[name] if name in item else otherwise(item, values)

    def update(self) -> Update:
        actions: list[Callable[[Item, Item, Values], None]] = []
        while self.peek():
            clause = self.take().upper()
            actions.append(_CLAUSES[clause](self))
            while self.accept(","):
                actions.append(_CLAUSES[clause](self))

        def change(item: Item, values: Values) -> Item:
            changed = dict(item)
            for action in actions:
                action(item, changed, values)
            return changed

        return change

    def set_action(self) -> Callable[[Item, Item, Values], None]:
        name = self.name()
        self.take("=")
        left = self.operand()
        sign = self.take() if self.peek() in ("+", "-") else ""
        right = self.operand() if sign else left

        def action(item: Item, changed: Item, values: Values) -> None:
            value = _present(left(item, values), name)
            if sign:
                other = _present(right(item, values), name)
                value = _number(plain(value) + (plain(other) if sign == "+" else -plain(other)))
            changed[name] = value

        return action

    def remove_action(self) -> Callable[[Item, Item, Values], None]:
        name = self.name()
        return lambda item, changed, values: void(changed.pop(name, None))

    def add_action(self) -> Callable[[Item, Item, Values], None]:
        name, value = self.name(), self.operand()

        def action(item: Item, changed: Item, values: Values) -> None:
            added = _present(value(item, values), name)
            ((kind, content),) = added.items()
            if name not in item:
                changed[name] = added
            elif kind == "N":
                changed[name] = _number(plain(item[name]) + plain(added))
            else:
                changed[name] = {kind: sorted({*item[name][kind], *content})}

        return action

    def delete_action(self) -> Callable[[Item, Item, Values], None]:
        name, value = self.name(), self.operand()

        def action(item: Item, changed: Item, values: Values) -> None:
            ((kind, content),) = _present(value(item, values), name).items()
            left = sorted({*item.get(name, {kind: []})[kind]} - {*content})
            changed.pop(name, None)
            if left:
                changed[name] = {kind: left}

        return action


_CLAUSES = {
    "SET": _Parser.set_action,
    "REMOVE": _Parser.remove_action,
    "ADD": _Parser.add_action,
    "DELETE": _Parser.delete_action,
}


def void(_: object) -> None:
    """Drop a value: an action returns nothing."""


def _present(value: dict[str, Any] | None, name: str) -> dict[str, Any]:
    if value is None:
        raise MissingAttributeError(f"the expression for {name} refers to an attribute that does not exist")
    return value


def _number(value: Decimal) -> dict[str, Any]:
    return {"N": format(value.normalize(), "f") if value else "0"}


def _both(left: Condition, right: Condition) -> Condition:
    return lambda item, values: left(item, values) and right(item, values)


def _either(left: Condition, right: Condition) -> Condition:
    return lambda item, values: left(item, values) or right(item, values)


def _compared(left: Operand, operator: str, right: Operand) -> Condition:
    compare = _COMPARE[operator]

    def holds(item: Item, values: Values) -> bool:
        a, b = left(item, values), right(item, values)
        if a is None or b is None or a.keys() != b.keys():
            return operator == "<>" and a is not b
        return compare(plain(a), plain(b))

    return holds


def _exists(name: str, _: Operand | None) -> Condition:
    return lambda item, values: name in item


def _is_missing(name: str, _: Operand | None) -> Condition:
    return lambda item, values: name not in item


def _begins(name: str, argument: Operand | None) -> Condition:
    if argument is None:
        raise ExpressionError("begins_with takes two arguments")
    return lambda item, values: name in item and item[name]["S"].startswith((argument(item, values) or {"S": ""})["S"])


def _contains(name: str, argument: Operand | None) -> Condition:
    if argument is None:
        raise ExpressionError("contains takes two arguments")
    return lambda item, values: name in item and plain(argument(item, values) or {"S": ""}) in plain(item[name])


_FUNCTIONS: dict[str, Callable[[str, Operand | None], Condition]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": _is_missing,
    "begins_with": _begins,
    "contains": _contains,
}


@cache
def compile_condition(text: str, names: tuple[tuple[str, str], ...] = ()) -> Condition:
    """Return the condition as a function. Raises `ExpressionError`."""
    parser = _Parser(text, names)
    condition = parser.condition()
    if parser.peek():
        raise ExpressionError(f"{text}: {parser.peek()} is too much")
    return condition


@cache
def compile_update(text: str, names: tuple[tuple[str, str], ...] = ()) -> Update:
    """Return the update as a function from the item as it is to the item as it will be. Raises `ExpressionError`."""
    return _Parser(text, names).update()


@cache
def compile_key_condition(text: str, names: tuple[tuple[str, str], ...] = ()) -> tuple[str, str, Condition]:
    """Return the partition key's attribute, the value that it is compared with, and what the sort key must satisfy."""
    parser = _Parser(text, names)
    attribute = parser.name()
    parser.take("=")
    value = parser.take()
    sort = parser.condition() if parser.accept("AND") else (lambda item, values: True)
    return attribute, value, sort
