"""Every fault as a scenario: data, played with real processes, and judged by the exchange's own records.

``make faults`` plays them all and writes ``docs/faults.md``; ``make storm`` mixes them by chance over many closes.
"""
