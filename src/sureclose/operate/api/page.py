"""The door's page for people: one file of HTML that needs nothing from elsewhere, made from the OpenAPI document."""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from sureclose.operate.api.problems import Kind

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "code,pre{font-family:ui-monospace,monospace;background:#f3f3f3;border-radius:3px;padding:0 .2em}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;text-align:left;padding:.3rem .6rem .3rem 0;"
    "vertical-align:top}h2{margin-top:2.5rem}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code,pre{background:#2a2a2a}td,th{border-color:#444}}"
)


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    body = "".join(
        [
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
            (
                "<p>Each request carries <code>Authorization: Bearer TOKEN</code>. For machines: "
                '<a href="/v1/openapi.json">openapi.json</a>.</p>'
            ),
            *(
                _operation(method, path, operation)
                for path, methods in document["paths"].items()
                for method, operation in methods.items()
            ),
            "<h1>Documents</h1>",
            *(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
            "<h1>Problems</h1><p>An error is a document of RFC 9457; its <code>type</code> is one of these.</p><table>",
            "<tr><th>type</th><th>status</th><th>what is wrong</th></tr>",
            *(
                f'<tr id="{kind}"><td><code>{kind}</code></td><td>{kind.status.value}</td>'
                f"<td>{escape(kind.heading)}</td></tr>"
                for kind in Kind
            ),
            "</table>",
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _operation(method: str, path: str, one: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{escape(parameter['description'])}</td></tr>"
        for parameter in one["parameters"]
    )
    takes = ""
    if "requestBody" in one:
        [content] = one["requestBody"]["content"].values()
        takes = f"<p>Takes {_kind(content['schema'])}.</p>"
    answers = "".join(
        f"<tr><td>{status}</td><td>{escape(answer['description'])}</td>"
        f"<td>{', '.join(_kind(content['schema']) for content in answer['content'].values())}</td></tr>"
        for status, answer in one["responses"].items()
    )
    return (
        f'<h2 id="{escape(one["operationId"])}"><code>{method.upper()} {escape(path)}</code></h2>'
        f"<p>{escape(one['description'])}</p>{takes}"
        + (f"<table><tr><th>parameter</th><th>in</th><th></th></tr>{rows}</table>" if rows else "")
        + f"<table><tr><th>answer</th><th></th><th></th></tr>{answers}</table>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    head = f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
    if "enum" in schema:
        return f"{head}<p>{', '.join(f'<code>{escape(str(word))}</code>' for word in schema['enum'])}</p>"
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_kind(kind)}</td><td>{escape(_said(kind))}</td></tr>"
        for field, kind in schema["properties"].items()
    )
    return f"{head}<table>{rows}</table>"


def _kind(schema: dict[str, Any]) -> str:
    return ", or ".join(dict.fromkeys(_kinds(schema)))


def _kinds(schema: dict[str, Any]) -> Iterator[str]:
    if "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _kinds(choice)
    elif "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        yield f'<a href="#{name}">{name}</a>'
    elif "items" in schema:
        yield f"list of {_kind(schema['items'])}"
    else:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        yield from (escape(kind) for kind in kinds if kind != "null")


def _said(schema: dict[str, Any]) -> str:
    said: str = schema.get("description", "")
    return said or next(
        (choice["description"] for choice in schema.get("anyOf", ()) if "description" in choice), ""
    )
