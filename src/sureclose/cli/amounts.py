"""How much of a position, as a person writes it."""

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import click


class Amount(NamedTuple):
    """How much of a position; all of it where neither is said."""

    fraction: Decimal | None
    quantity: Decimal | None


class QuantityType(click.ParamType[Decimal]):
    """A decimal above 0."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            quantity = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number; a quantity is in base units, such as 0.25", param, ctx)
        if not quantity.is_finite() or quantity <= 0:
            self.fail(f"{value} is not above 0; a quantity is in base units, such as 0.25", param, ctx)
        return quantity


class FractionType(click.ParamType[Decimal]):
    """A decimal above 0 and at most 1."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            fraction = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number; half is 0.5", param, ctx)
        if not fraction.is_finite() or not 0 < fraction <= 1:
            self.fail(f"{value} is not above 0 and at most 1; half is 0.5, all is 1", param, ctx)
        return fraction
