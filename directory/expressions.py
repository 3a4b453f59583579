"""Liquid expressions of an attribute mapping: parsed by python-liquid, reduced to what a mapping needs.

There are output expressions and literal text, and no tags; one variable,
``value``; a short list of filters. Everything is checked when the mapping is
saved, down to the number of arguments, so that little can fail for a person
later. Sizes are checked before and after every filter (see ``liquid_filters.py``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from liquid import Environment
from liquid.ast import Node
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, Nil, Path
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import FalseLiteral, FloatLiteral, IntegerLiteral, StringLiteral, TrueLiteral
from liquid.builtin.illegal import Illegal
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression as LiquidExpression

from directory.liquid_filters import FILTERS, MAX_INPUT_BYTES, NICKNAMES, as_result, text_of
from directory.sizes import Oversize, plain_copy, text_bytes
from directory.syntax import SyntaxProblem, closest

MAX_TEMPLATE_BYTES = 1024
MAX_FILTERS = 10
MAX_OUTPUTS = 10
VARIABLE = "value"

_LONG_SPACE = re.compile(r"\s{50}")
_LITERALS = (StringLiteral, IntegerLiteral, FloatLiteral, TrueLiteral, FalseLiteral, Nil)


class _OutputOnly(Environment):
    """Liquid without tags, without a loader, and with our filters only."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:  # noqa: ARG002 -- the signature is Liquid's
        """Register literal text, output expressions and the filters; everything else is illegal."""
        for tag in (Literal, Output, Illegal):
            self.add_tag(tag)
        for name, liquid_filter in FILTERS.items():
            self.add_filter(name, liquid_filter.apply)


_ENVIRONMENT = _OutputOnly()


Operand = Callable[[Any], Any]
Call = Callable[[Any, Any], Any]
Spend = Callable[[int], None]


def _nothing(_units: int) -> None:
    """Count no work."""


@dataclass(frozen=True, slots=True)
class _Output:
    """One ``{{ … }}``: where it starts, and the filters one after another.

    ``absent`` is the position of the first ``default``, from which it goes on
    where there is no value; None where there is no ``default``, or the
    expression does not start with the value.
    """

    start: Operand
    calls: tuple[Call, ...]
    absent: int | None

    def evaluate(self, value: Any, spend: Spend) -> Any:
        """Return what the filters make of a value, counting the work by the size of the texts."""
        start = self.start(value)
        if start.__class__ is str and len(start) > 64:
            spend(min(len(start), MAX_INPUT_BYTES) >> 4)
        return self._apply(start, self.calls, value, spend)

    def without_value(self) -> Any:
        """Return what is there instead of a value. Nothing stays nothing until there is a ``default``."""
        if self.absent is None:
            return self.evaluate(None, _nothing)
        return self._apply(None, self.calls[self.absent :], None, _nothing)

    @staticmethod
    def _apply(result: Any, calls: tuple[Call, ...], value: Any, spend: Spend) -> Any:
        for call in calls:
            result = call(result, value)
            if result.__class__ is list:
                spend(len(result))
            elif result.__class__ is str and len(result) > 64:
                spend(len(result) >> 4)
        return result


@dataclass(frozen=True)
class Expression:
    """A checked expression. ``has_default`` tells whether it says what to do without a value."""

    text: str
    has_default: bool
    parts: tuple[_Output | str, ...]
    cost: int

    def evaluate(self, value: Any, spend: Spend = _nothing) -> Any:
        """Return what the expression makes of a value.

        An expression alone gives its result as it is: text, number, boolean,
        list, or None. With text around it, or beside another one, it gives text.
        ``spend`` is told the units of work (see ``reading.py``).

        :raises FilterProblem: When a filter cannot work on the value, or
            something becomes too large.
        """
        spend(self.cost)
        if len(self.parts) == 1:
            return as_result(_evaluated(self.parts[0], value, spend))
        return as_result("".join(text_of(_evaluated(part, value, spend)) for part in self.parts))

    def without_value(self) -> Any:
        """Return what the expression gives where there is no value, like ``evaluate``."""
        parts = [part if isinstance(part, str) else part.without_value() for part in self.parts]
        return as_result(parts[0] if len(parts) == 1 else "".join(map(text_of, parts)))


def _evaluated(part: _Output | str, value: Any, spend: Spend) -> Any:
    return part if isinstance(part, str) else part.evaluate(value, spend)


def parse_expression(text: str) -> Expression:
    """Read an expression.

    :raises SyntaxProblem: When it does not parse, or uses something that a
        mapping may not use; its column is a place in ``text``.
    """
    _check_outline(text)
    try:
        template = _ENVIRONMENT.from_string(text)
    except LiquidError as error:
        raise _unparsable(error, text) from error
    for node in template.nodes:
        _check_node(node)
    filters = [used for node in template.nodes for used in _filters(node)]
    if len(filters) > MAX_FILTERS:
        reason = f"There are more than {MAX_FILTERS} filters."
        raise SyntaxProblem(reason, column=filters[MAX_FILTERS].token.start_index + 1)
    parts = tuple(_compiled(node) for node in template.nodes)
    has_default = any(isinstance(part, _Output) and part.absent is not None for part in parts)
    return Expression(text, has_default, parts, cost=len(parts) + len(filters))


@dataclass(frozen=True)
class OutputOutline:
    """One ``{{ … }}`` as it was written: what it starts from, and the filters with their arguments, in order.

    ``start`` is None for the value at the path; ``attribute`` names what is read of it, if anything.
    """

    start: Any
    attribute: str | None
    filters: tuple[tuple[str, tuple[Any, ...]], ...]


def outline_expression(text: str) -> list[OutputOutline | str]:
    """Return a checked expression in parts that can be put into words: plain texts and outputs.

    An argument that is read of the value is shown as it was written.
    """
    return [_outlined(node) for node in _ENVIRONMENT.from_string(text).nodes]


def _outlined(node: Node) -> OutputOutline | str:
    if isinstance(node, ContentNode):
        return str(node.text)
    assert isinstance(node, OutputNode)
    assert isinstance(node.expression, FilteredExpression)
    left = node.expression.left
    is_path = isinstance(left, Path)
    attribute = str(left).partition(".")[2] or None if is_path else None
    filters = tuple((used.name, tuple(_written(one.value) for one in used.args)) for used in _filters(node))
    return OutputOutline(None if is_path else _constant(left), attribute, filters)


def _written(operand: LiquidExpression) -> Any:
    return str(operand) if isinstance(operand, Path) else _constant(operand)


def _check_outline(text: str) -> None:
    """Check what can be seen without parsing; it also keeps Liquid's own scanner from backtracking for long."""
    if text_bytes(text, MAX_TEMPLATE_BYTES) > MAX_TEMPLATE_BYTES:
        raise SyntaxProblem(f"The expression is longer than {MAX_TEMPLATE_BYTES} bytes.")
    tag = text.find("{%")
    if tag >= 0:
        raise SyntaxProblem("Liquid tags {% … %} cannot be used here, only expressions {{ … }}.", column=tag + 1)
    opening = text.rfind("{{")
    if opening >= 0 and "}}" not in text[opening:]:
        raise SyntaxProblem("This {{ is never closed by }}.", column=opening + 1)
    if opening < 0 or text.count("{{") > MAX_OUTPUTS:
        raise SyntaxProblem(f"There must be from 1 to {MAX_OUTPUTS} expressions {{{{ … }}}}.", column=1)
    space = _LONG_SPACE.search(text)
    if space:
        raise SyntaxProblem("There is too much space here.", column=space.start() + 1)


def _unparsable(error: LiquidError, text: str) -> SyntaxProblem:
    at_end = error.token is None or error.token.start_index < 0
    column = len(text) if error.token is None or at_end else error.token.start_index + 1
    return SyntaxProblem(f"The Liquid expression does not parse: {error.message}.", column=column)


def _check_node(node: Node) -> None:
    if isinstance(node, ContentNode):
        return
    expression = node.expression if isinstance(node, OutputNode) else None
    if not isinstance(expression, FilteredExpression):
        raise SyntaxProblem("Only expressions {{ … }} can be used here.", column=node.token.start_index + 1)
    _check_operand(expression.left)
    for used in expression.filters or []:
        _check_filter(used)


def _filters(node: Node) -> list[Filter]:
    """Return the filters of a checked node."""
    expression = node.expression if isinstance(node, OutputNode) else None
    return list(expression.filters or []) if isinstance(expression, FilteredExpression) else []


def _check_filter(used: Filter) -> None:
    column = used.token.start_index + 1
    known = FILTERS.get(used.name)
    if known is None:
        suggestion = closest(used.name, FILTERS, NICKNAMES)
        hint = f" Did you mean {suggestion!r}?" if suggestion else f" There are: {', '.join(FILTERS)}."
        raise SyntaxProblem(f"There is no filter {used.name!r}.{hint}", column=column, suggestion=suggestion)
    named = [argument.name for argument in used.args if isinstance(argument, KeywordArgument)]
    unknown = [name for name in named if name not in known.named or named.count(name) > 1]
    if unknown:
        raise SyntaxProblem(f"The filter {used.name!r} has no argument named {unknown[0]!r}.", column=column)
    count = len(used.args) - len(named)
    if not known.fewest <= count <= known.most:
        raise SyntaxProblem(f"The filter {used.name!r} needs {known.arguments}, not {count}.", column=column)
    for argument in used.args:
        _check_operand(argument.value)


def _check_operand(operand: LiquidExpression) -> None:
    column = operand.token.start_index + 1
    if isinstance(operand, _LITERALS):
        try:
            plain_copy(_constant(operand), MAX_TEMPLATE_BYTES)
        except Oversize as error:
            raise SyntaxProblem("This number is too large.", column=column) from error
        return
    if not isinstance(operand, Path):
        written = str(operand) or operand.token.value
        raise SyntaxProblem(f"{written!r} cannot be used here, only value, texts and numbers.", column=column)
    name, *rest = operand.path
    if name != VARIABLE:
        reason = f"There is no {str(operand)!r} here. What stands at the path is called {VARIABLE!r}."
        raise SyntaxProblem(reason, column=column, suggestion=VARIABLE)
    for segment in rest:
        if isinstance(segment, Path) or (isinstance(segment, str) and segment.startswith("_")):
            raise SyntaxProblem(f"{str(operand)!r} cannot be read.", column=column)


# -- From what Liquid parsed to functions ----------------------------------------------


def _compiled(node: Node) -> _Output | str:
    """Return a checked node as plain functions, so that nothing of Liquid runs for a person."""
    if isinstance(node, ContentNode):
        return str(node.text)
    assert isinstance(node, OutputNode)
    assert isinstance(node.expression, FilteredExpression)
    left, filters = node.expression.left, _filters(node)
    positions = [position for position, used in enumerate(filters) if used.name == "default"]
    absent = positions[0] if positions and isinstance(left, Path) else None
    return _Output(_operand(left), tuple(_call(used) for used in filters), absent)


def _operand(operand: LiquidExpression) -> Operand:
    if not isinstance(operand, Path):
        constant = _constant(operand)
        return lambda _: constant
    segments = operand.path[1:]
    if not segments:
        return lambda value: value

    def read(value: Any) -> Any:
        for segment in segments:
            value = _item(value, segment)
        return value

    return read


def _constant(operand: LiquidExpression) -> Any:
    return None if isinstance(operand, Nil) else getattr(operand, "value", None)


def _item(value: Any, segment: Any) -> Any:
    """Return an item of plain data: an attribute, an element, or a ``size``, ``first``, ``last`` of Liquid; or None."""
    if isinstance(value, dict):
        return value[segment] if segment in value else len(value) if segment == "size" else None
    if segment == "size" and isinstance(value, str | list):
        return len(value)
    if isinstance(value, list):
        index = {"first": 0, "last": -1}.get(segment, segment)
        return value[index] if isinstance(index, int) and -len(value) <= index < len(value) else None
    return None


def _call(used: Filter) -> Call:
    apply = FILTERS[used.name].apply
    named = {argument.name: argument.value for argument in used.args if isinstance(argument, KeywordArgument)}
    plain = [argument.value for argument in used.args if not isinstance(argument, KeywordArgument)]
    if any(isinstance(operand, Path) for operand in (*plain, *named.values())):
        operands, options = [_operand(operand) for operand in plain], {n: _operand(o) for n, o in named.items()}
        return lambda result, value: apply(
            result, *(read(value) for read in operands), **{name: read(value) for name, read in options.items()}
        )
    arguments, constants = [_constant(operand) for operand in plain], {n: _constant(o) for n, o in named.items()}
    return lambda result, _: apply(result, *arguments, **constants)
