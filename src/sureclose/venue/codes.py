"""The venue's error codes: one table, what each means for a reducing order and what helps.

Source: the error code pages of Binance's USDS-M futures documentation, with the readings that section 3 of the
project's venue reference gives them. A code that is not listed proves nothing and is resolved by query, and so is
any code under HTTP 408 or 5xx: the class holds for the other 4xx.
"""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import msgspec

from sureclose.domain.market import Class


class VenueCode(msgspec.Struct, frozen=True):
    """One code: its name in Binance's documentation, its class, and what to do about it."""

    code: int
    name: str
    kind: Class
    remedy: str


_RETRY, _RESOLVE, _FLAT, _FIX, _ESCALATE, _WAIT = (
    Class.RETRY,
    Class.RESOLVE,
    Class.FLAT_CHECK,
    Class.FIX,
    Class.ESCALATE,
    Class.WAIT,
)
_FLAG = "the reducing flag did not arrive: alarm with the exact request"
_WHITELIST = "the venue does not accept this address: have the key's IP list checked"
_PARAMETER = "a request of ours is malformed: report it"
_AMEND = "we amend no orders: report it"
_OTHER_KINDS = "concerns kinds of orders that we don't send: report it"
_PRICE = "the band moves with the mark price: price anew"
_STOP_ONLY = "concerns stop orders only: report it"
_MARGIN_TYPE = "concerns margin settings only: report it"
_RULES = "read exchangeInfo again and size anew"
_MODE = "read the position mode again and build anew"
_RESTING = "cancel resting orders of the symbol, then a new attempt"
_REGION = "closing is restricted for this account: a person has to talk to the venue"

_ROWS: Final[tuple[tuple[int | range, str, Class, str], ...]] = (
    (-1000, "UNKNOWN", _RESOLVE, "query the order"),
    (-1001, "DISCONNECTED", _RESOLVE, "documented as a failure, but one query is cheap: query the order"),
    (-1002, "UNAUTHORIZED", _ESCALATE, "the key may not do this: check its permissions"),
    (-1003, "TOO_MANY_REQUESTS", _WAIT, "wait as long as the venue says"),
    (-1004, "IP_WHITELIST", _ESCALATE, _WHITELIST),
    (-1005, "IP_WHITELIST", _ESCALATE, _WHITELIST),
    (-1006, "UNEXPECTED_RESP", _RESOLVE, "execution unknown: query the order"),
    (-1007, "TIMEOUT", _RESOLVE, "execution unknown: query the order"),
    (
        -1008,
        "SERVER_BUSY",
        _RETRY,
        "query the order; reducing orders are exempt from this throttle: " + _FLAG,
    ),
    (-1010, "ERROR_MSG_RECEIVED", _FIX, _PARAMETER),
    (-1011, "IP_WHITELIST", _ESCALATE, _WHITELIST),
    (-1013, "INVALID_MESSAGE", _FIX, _PARAMETER),
    (-1014, "UNKNOWN_ORDER_COMPOSITION", _FIX, _PARAMETER),
    (-1015, "TOO_MANY_ORDERS", _WAIT, "wait for the next interval of the order limit"),
    (
        -1016,
        "SERVICE_SHUTTING_DOWN",
        _RETRY,
        "query the order, then try again; when it stays, a person has to look",
    ),
    (-1020, "UNSUPPORTED_OPERATION", _FIX, _PARAMETER),
    (-1021, "INVALID_TIMESTAMP", _RETRY, "measure the clock, then a new attempt"),
    (-1022, "INVALID_SIGNATURE", _FIX, "the secret does not belong to the key"),
    (-1099, "NOT_FOUND", _ESCALATE, "not authenticated: check key and environment"),
    (range(-1105, -1099), "PARAMETER_FAMILY", _FIX, _PARAMETER),
    (-1106, "PARAM_NOT_REQUIRED", _FIX, _PARAMETER),
    (-1111, "BAD_PRECISION", _RETRY, _RULES),
    (-1112, "NO_DEPTH", _RETRY, "the book is empty: try again; when it stays, a person has to look"),
    (-1114, "TIF_NOT_REQUIRED", _FIX, _PARAMETER),
    (-1115, "INVALID_TIF", _FIX, _PARAMETER),
    (-1116, "INVALID_ORDER_TYPE", _FIX, _PARAMETER),
    (-1117, "INVALID_SIDE", _FIX, _PARAMETER),
    (-1118, "EMPTY_NEW_CL_ORD_ID", _FIX, _PARAMETER),
    (-1119, "EMPTY_ORG_CL_ORD_ID", _FIX, _PARAMETER),
    (-1121, "BAD_SYMBOL", _FIX, "the venue lists no such symbol"),
    (-1122, "INVALID_SYMBOL_STATUS", _ESCALATE, "the symbol is not trading: a person has to look"),
    (-1125, "INVALID_LISTEN_KEY", _RETRY, "make a new listen key"),
    (-1130, "INVALID_PARAMETER", _FIX, _PARAMETER),
    (-1136, "INVALID_NEW_ORDER_RESP_TYPE", _FIX, _PARAMETER),
    (-2010, "NEW_ORDER_REJECTED", _FLAT, "read the position; when it is open, a person has to look"),
    (-2011, "CANCEL_REJECTED", _RESOLVE, "that order is gone: query it"),
    (-2013, "NO_SUCH_ORDER", _RESOLVE, "proves nothing before the order's deadline"),
    (-2014, "BAD_API_KEY_FMT", _ESCALATE, "the API key is malformed: check SURECLOSE__VENUE__API_KEY"),
    (-2015, "REJECTED_MBX_KEY", _ESCALATE, "key, address or permission refused: check key and environment"),
    (-2017, "API_KEYS_LOCKED", _ESCALATE, "the account's keys are locked"),
    (-2018, "BALANCE_NOT_SUFFICIENT", _ESCALATE, "should not occur when reducing: " + _FLAG),
    (-2019, "MARGIN_NOT_SUFFICIENT", _ESCALATE, "should not occur when reducing: " + _FLAG),
    (-2020, "UNABLE_TO_FILL", _RETRY, "try again on a fresh book"),
    (-2021, "ORDER_WOULD_IMMEDIATELY_TRIGGER", _FIX, "concerns stop orders only: report it"),
    (-2022, "REDUCE_ONLY_REJECT", _FLAT, "zero is success; else the side is wrong or " + _RESTING),
    (-2023, "USER_IN_LIQUIDATION", _ESCALATE, "the venue is liquidating: watch the position"),
    (-2024, "POSITION_NOT_SUFFICIENT", _FLAT, "read the position and size anew"),
    (-2025, "MAX_OPEN_ORDER_EXCEEDED", _RETRY, _RESTING),
    (-2026, "REDUCE_ONLY_ORDER_TYPE_NOT_SUPPORTED", _FIX, _PARAMETER),
    (-2027, "MAX_LEVERAGE_RATIO", _RETRY, _RESTING),
    (-2028, "MIN_LEVERAGE_RATIO", _RETRY, _RESTING),
    (-4003, "QTY_LESS_THAN_ZERO", _FLAT, "the quantity rounded to nothing: read the position"),
    (-4004, "QTY_LESS_THAN_MIN_QTY", _ESCALATE, "dust below the venue's minimum: a person has to look"),
    (-4005, "QTY_GREATER_THAN_MAX_QTY", _RETRY, "split by the market lot size: " + _RULES),
    # the reference says FIX for the four prices; a limit order is priced within rules and band as last read, and a
    # new attempt reads both again, as it does for quantities
    (-4013, "PRICE_LESS_THAN_MIN_PRICE", _RETRY, _RULES),
    (-4014, "PRICE_NOT_INCREASED_BY_TICK_SIZE", _RETRY, _RULES),
    (-4015, "INVALID_CL_ORD_ID_LEN", _FIX, "the client order id is malformed: check the prefix"),
    (-4016, "PRICE_HIGHTER_THAN_MULTIPLIER_UP", _RETRY, _PRICE),
    (-4023, "QTY_NOT_INCREASED_BY_STEP_SIZE", _RETRY, _RULES),
    (-4024, "PRICE_LOWER_THAN_MULTIPLIER_DOWN", _RETRY, _PRICE),
    (-4028, "INVALID_LEVERAGE", _FIX, _MARGIN_TYPE),
    (-4044, "BALANCE_TYPE_FAMILY", _FIX, _MARGIN_TYPE),
    (-4045, "MAX_STOP_ORDER_EXCEEDED", _FIX, _STOP_ONLY),
    (range(-4055, -4045), "MARGIN_TYPE_FAMILY", _FIX, _MARGIN_TYPE),
    (-4059, "NO_NEED_TO_CHANGE_POSITION_SIDE", _FIX, _MARGIN_TYPE),
    (-4060, "INVALID_POSITION_SIDE", _RETRY, _MODE),
    (-4061, "POSITION_SIDE_NOT_MATCH", _RETRY, _MODE),
    (-4062, "REDUCE_ONLY_CONFLICT", _RETRY, _MODE),
    (-4067, "POSITION_SIDE_CHANGE_EXISTS_OPEN_ORDERS", _FIX, _MARGIN_TYPE),
    (-4068, "POSITION_SIDE_CHANGE_EXISTS_QUANTITY", _FIX, _MARGIN_TYPE),
    (-4087, "REDUCE_ONLY_ORDER_PERMISSION", _FIX, _FLAG),
    (-4088, "NO_PLACE_ORDER_PERMISSION", _ESCALATE, _REGION),
    (-4105, "REDUCE_ONLY_SYMBOL", _FIX, _FLAG),
    (-4106, "REDUCE_ONLY_SIDE", _FIX, _FLAG),
    (-4107, "REDUCE_ONLY_POSITION", _FIX, _FLAG),
    (-4109, "INACTIVE_ACCOUNT", _ESCALATE, _REGION),
    (-4116, "DUPLICATED_CLIENT_ORDER_ID", _RESOLVE, "an order of this id is open: it is ours, query it"),
    (-4117, "STOP_ORDER_TRIGGERING", _RETRY, "a stop is triggering: read the position and size anew"),
    (-4118, "REDUCE_ONLY_MARGIN_CHECK_FAILED", _FLAT, "zero is success; else " + _RESTING),
    (-4120, "STOP_ORDER_SWITCH_ALGO", _FIX, _PARAMETER),
    (
        -4131,
        "MARKET_ORDER_REJECT",
        _RETRY,
        "the book is outside the price band: try again shortly, then with a limit price inside it",
    ),
    (range(-4139, -4136), "CLOSE_POSITION_FAMILY", _FIX, _PARAMETER),
    (-4140, "INVALID_OPENING_POSITION_STATUS", _FIX, _FLAG),
    (-4141, "SYMBOL_ALREADY_CLOSED", _ESCALATE, "the symbol is closed: a person has to look"),
    (-4142, "STRATEGY_INVALID_TRIGGER_PRICE", _FIX, _PARAMETER),
    (-4164, "MIN_NOTIONAL", _FIX, "reducing orders are exempt: " + _FLAG),
    (-4189, "REDUCE_ONLY_ACCOUNT", _FIX, _FLAG),
    (-4192, "COOLING_OFF_PERIOD", _ESCALATE, _REGION),
    (-4400, "TRADING_QUANTITATIVE_RULE", _FIX, "reducing orders are still allowed: " + _FLAG),
    (-4401, "LARGE_POSITION_SYM_RULE", _FIX, "reducing orders are still allowed: " + _FLAG),
    (-4402, "COMPLIANCE_BLACK_SYMBOL_RESTRICTION", _ESCALATE, _REGION),
    (-4403, "ADJUST_LEVERAGE_COMPLIANCE_FAILED", _ESCALATE, _REGION),
    (-4531, "MODE_CHANGE_NEEDS_SYNC", _FIX, _MARGIN_TYPE),
    (-5021, "FOK_ORDER_REJECT", _RETRY, _OTHER_KINDS),
    (-5022, "GTX_ORDER_REJECT", _RETRY, _OTHER_KINDS),
    (range(-5027, -5023), "AMEND_FAMILY", _FIX, _AMEND),
    (-5028, "ME_RECVWINDOW_REJECT", _RETRY, "too late at the matching engine: a new attempt"),
    (range(-5041, -5036), "PRICE_MATCH_FAMILY", _FIX, _OTHER_KINDS),
    (-5043, "AMEND_FAMILY", _FIX, _AMEND),
)


def _rows() -> Iterator[VenueCode]:
    for codes, name, kind, remedy in _ROWS:
        for code in codes if isinstance(codes, range) else (codes,):
            yield VenueCode(code, name, kind, remedy)


CODES: Final = MappingProxyType({row.code: row for row in _rows()})
"""Every code we know, by number."""

NO_SUCH_ORDER: Final = -2013
CANCEL_REJECTED: Final = -2011
INVALID_TIMESTAMP: Final = -1021
INVALID_LISTEN_KEY: Final = -1125
PARAM_NOT_REQUIRED: Final = -1106

STALE_RULES: Final = frozenset({-1111, -1121, -4003, -4004, -4005, -4013, -4014, -4023})
"""After these the cached exchangeInfo is in doubt."""

STALE_MODE: Final = frozenset({PARAM_NOT_REQUIRED, -4060, -4061, -4062})
"""After these the cached position mode is in doubt."""
