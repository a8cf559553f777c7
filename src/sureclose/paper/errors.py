"""Binance's refusals as data: code to HTTP status and message (reference: Binance futures error codes)."""

from typing import Any

from sureclose.paper.wire import encode

NUMBER_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID_RANGE = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"

REFUSALS: dict[int, tuple[int, str]] = {
    -1000: (500, "An unknown error occurred while processing the request."),
    -1001: (503, "Internal error; unable to process your request. Please try again."),
    -1002: (401, "You are not authorized to execute this request."),
    -1003: (
        429,
        "Too many requests; current limit of IP({ip}) is {limit} requests per minute. Please use the websocket for live updates to avoid polling the API.",
    ),
    -1006: (500, "An unexpected response was received from the message bus. Execution status unknown."),
    -1007: (
        408,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
    -1008: (
        503,
        "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again.",
    ),
    -1015: (429, "Too many new orders; current limit is {limit} orders per {interval}."),
    -1013: (400, "Invalid message."),
    -1014: (400, "Unsupported order combination."),
    -1016: (503, "This service is no longer available."),
    -1020: (400, "This operation is not supported."),
    -1021: (400, "Timestamp for this request is outside of the recvWindow."),
    -1022: (400, "Signature for this request is not valid."),
    -1100: (400, "Illegal characters found in parameter '{name}'; legal range is '{legal}'."),
    -1101: (400, "Duplicate values for parameter '{name}' detected."),
    -1102: (400, "Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
    -1105: (400, "Parameter '{name}' was empty."),
    -1106: (400, "Parameter '{name}' sent when not required."),
    -1111: (400, "Precision is over the maximum defined for this asset."),
    -1112: (400, "No orders on book for symbol."),
    -1114: (400, "TimeInForce parameter sent when not required."),
    -1115: (400, "Invalid timeInForce."),
    -1116: (400, "Invalid orderType."),
    -1117: (400, "Invalid side."),
    -1118: (400, "New client order ID was empty."),
    -1119: (400, "Original client order ID was empty."),
    -1120: (400, "Invalid interval."),
    -1121: (400, "Invalid symbol."),
    -1122: (400, "Invalid symbol status."),
    -1125: (400, "This listenKey does not exist."),
    -1128: (400, "Combination of optional parameters invalid."),
    -1130: (400, "Data sent for parameter '{name}' is not valid."),
    -1131: (400, "recvWindow must be less than 60000"),
    -1136: (400, "Invalid newOrderRespType"),
    -2010: (400, "NEW_ORDER_REJECTED"),
    -2011: (400, "Unknown order sent."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action, request ip: {ip}"),
    -2017: (400, "API Keys are locked on this account."),
    -2018: (400, "Balance is insufficient."),
    -2019: (400, "Margin is insufficient."),
    -2020: (400, "Unable to fill."),
    -2021: (400, "Order would immediately trigger."),
    -2022: (400, "ReduceOnly Order is rejected."),
    -2023: (400, "User in liquidation mode now."),
    -2024: (400, "Position is not sufficient."),
    -2025: (400, "Reach max open order limit."),
    -2026: (400, "This OrderType is not supported when reduceOnly."),
    -2027: (400, "Exceeded the maximum allowable position at current leverage."),
    -2028: (400, "Leverage is smaller than permitted: insufficient margin balance."),
    -4001: (400, "Price less than 0."),
    -4002: (400, "Price greater than max price."),
    -4003: (400, "Quantity less than or equal to zero."),
    -4004: (400, "Quantity less than min quantity."),
    -4005: (400, "Quantity greater than max quantity."),
    -4013: (400, "Price less than min price."),
    -4014: (400, "Price not increased by tick size."),
    -4015: (400, "Client order id is not valid. Client order id length should not be more than 36 chars."),
    -4016: (400, "Limit price can't be higher than {limit}."),
    -4023: (400, "Quantity not increased by step size."),
    -4024: (400, "Limit price can't be lower than {limit}."),
    -4028: (400, "Leverage {leverage} is not valid"),
    -4045: (400, "Reach max stop order limit."),
    -4046: (400, "No need to change margin type."),
    -4047: (400, "Margin type cannot be changed if there exists open orders."),
    -4048: (400, "Margin type cannot be changed if there exists position."),
    -4059: (400, "No need to change position side."),
    -4060: (400, "Invalid position side."),
    -4061: (400, "Order's position side does not match user's setting."),
    -4062: (400, "Invalid or improper reduceOnly value."),
    -4067: (400, "Position side cannot be changed if there exists open orders."),
    -4068: (400, "Position side cannot be changed if there exists position."),
    -4087: (400, "User can only place reduce only order"),
    -4088: (400, "User can not place order currently."),
    -4109: (400, "This account is inactive, please activate the account first."),
    -4116: (400, "ClientOrderId is duplicated."),
    -4117: (400, "stop order is triggering"),
    -4118: (400, "ReduceOnly Order Failed. Please check your existing position and open orders."),
    -4120: (
        400,
        "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    ),
    -4131: (400, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."),
    -4137: (400, "Quantity must be zero with closePosition equals true"),
    -4138: (400, "Reduce only must be true with closePosition equals true"),
    -4140: (400, "Invalid symbol status for opening position"),
    -4141: (400, "Symbol is closed"),
    -4142: (400, "REJECT: take profit or stop order will be triggered immediately"),
    -4164: (400, "Order's notional must be no smaller than {notional} (unless you choose reduce only)."),
    -4192: (400, "Trading forbidden due to cooling-off period."),
    -4400: (
        400,
        "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, please try again later.",
    ),
    -5000: (404, "Path {path}, Method {method} is invalid"),
    -5021: (
        400,
        "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be recorded in the order history.",
    ),
    -5022: (
        400,
        "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be recorded in the order history.",
    ),
    -5027: (400, "No need to modify the order."),
    -5028: (400, "Timestamp for this request is outside of the ME recvWindow."),
    -5040: (400, "goodTillDate must be more than 600 seconds ahead of the current time."),
}


class VenueError(Exception):
    """A refusal as Binance words it. Raising it means: nothing was executed."""

    def __init__(
        self,
        code: int,
        /,
        *,
        status: int | None = None,
        retry_after: int | None = None,
        message: str = "",
        **fields: Any,
    ) -> None:
        usual, template = REFUSALS[code]
        self.code = code
        self.status = usual if status is None else status
        self.message = message or template.format(**fields)
        self.retry_after = retry_after
        super().__init__(f"{code} {self.message}")

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "msg": self.message}

    def as_json(self) -> bytes:
        return encode(self.as_dict())


def banned(ip: str, until: int, seconds: int) -> VenueError:
    """418: the address `ip` is shut out until `until`, ms, `seconds` from now."""
    message = f"Way too many requests; IP({ip}) banned until {until}. Please use the websocket for live updates to avoid bans."
    return VenueError(-1003, status=418, retry_after=seconds, message=message)


def example(code: int, ip: str) -> VenueError:
    """The refusal `code` with values in its blanks that Binance could have written there."""
    limit = {-1003: 2400, -1015: 300}.get(code, 1)
    return VenueError(
        code,
        ip=ip,
        limit=limit,
        interval="10 SECOND",
        name="quantity",
        legal=NUMBER_RANGE,
        leverage=0,
        notional=5,
        path="/fapi/v1/order",
        method="POST",
    )
