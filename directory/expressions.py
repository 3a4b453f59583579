"""Liquid expressions of an attribute mapping: parsed by python-liquid, reduced to what a mapping needs.

There are output expressions and literal text, and no tags; one variable,
``value``; a short list of filters. Everything is checked when the mapping is
saved, down to the number of arguments, so that little can fail for a person
later. Sizes are checked before and after every filter (see ``liquid_filters.py``).
"""

import re
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
from liquid.context import RenderContext
from liquid.exceptions import LiquidError
from liquid.expression import Expression as LiquidExpression
from liquid.template import BoundTemplate

from directory.liquid_filters import FILTERS, NICKNAMES, as_result, text_of
from directory.sizes import text_bytes
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


@dataclass(frozen=True)
class Expression:
    """A checked expression. ``has_default`` tells whether it says what to do without a value."""

    text: str
    has_default: bool
    template: BoundTemplate

    def evaluate(self, value: Any) -> Any:
        """Return what the expression makes of a value.

        An expression alone gives its result as it is: text, number, boolean,
        list, or None. With text around it, or beside another one, it gives text.

        :raises FilterProblem: When a filter cannot work on the value, or
            something becomes too large.
        """
        context = RenderContext(self.template, globals={VARIABLE: value})
        nodes = self.template.nodes
        if len(nodes) == 1:
            return as_result(_evaluate(nodes[0], context))
        return as_result("".join(text_of(_evaluate(node, context)) for node in nodes))


def _evaluate(node: Node, context: RenderContext) -> Any:
    if isinstance(node, OutputNode):
        return node.expression.evaluate(context)
    assert isinstance(node, ContentNode)
    return node.text


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
    filters = [used for node in template.nodes for used in _checked_filters(node)]
    if len(filters) > MAX_FILTERS:
        reason = f"There are more than {MAX_FILTERS} filters."
        raise SyntaxProblem(reason, column=filters[MAX_FILTERS].token.start_index + 1)
    return Expression(text, any(used.name == "default" for used in filters), template)


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


def _checked_filters(node: Node) -> list[Filter]:
    """Return the filters of a node, after checking all that it uses."""
    if isinstance(node, ContentNode):
        return []
    expression = node.expression if isinstance(node, OutputNode) else None
    if not isinstance(expression, FilteredExpression):
        raise SyntaxProblem("Only expressions {{ … }} can be used here.", column=node.token.start_index + 1)
    _check_operand(expression.left)
    filters = expression.filters or []
    for used in filters:
        _check_filter(used)
    return filters


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
        return
    if not isinstance(operand, Path):
        raise SyntaxProblem(f"{str(operand)!r} cannot be used here, only value, texts and numbers.", column=column)
    name, *rest = operand.path
    if name != VARIABLE:
        reason = f"There is no {str(operand)!r} here. What stands at the path is called {VARIABLE!r}."
        raise SyntaxProblem(reason, column=column, suggestion=VARIABLE)
    for segment in rest:
        if isinstance(segment, Path) or (isinstance(segment, str) and segment.startswith("_")):
            raise SyntaxProblem(f"{str(operand)!r} cannot be read.", column=column)
