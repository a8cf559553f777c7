"""The names of everything the journal keeps in the log.

All of them start with the streams' prefix: on a cluster the prefix holds the hash tag, and what one script touches
must share it.
"""

import msgspec


class Keys(msgspec.Struct, frozen=True):
    """The keys of one account. ``account`` is the environment and the configured name, such as ``paper:main``."""

    prefix: str
    account: str

    def _key(self, name: str) -> str:
        return f"{self.prefix}sureclose:{self.account}:{name}"

    @property
    def journal(self) -> str:
        """The stream of records."""
        return self._key("journal")

    @property
    def open(self) -> str:
        """Sorted set of unfinished closes by the time they were admitted: a start never scans."""
        return self._key("open")

    @property
    def lease(self) -> str:
        """Hash of owner and epoch, with a time to live."""
        return self._key("lease")

    @property
    def epoch(self) -> str:
        """Counter that only grows; each lease takes the next value."""
        return self._key("epoch")

    @property
    def log(self) -> str:
        """Hash of the log's identity and the count of scripts that have written to it."""
        return self._key("log")

    @property
    def orphans(self) -> str:
        """Hash by client order id: orders of ours that the venue has and the log had lost."""
        return self._key("orphans")

    @property
    def reconciliation(self) -> str:
        """Hash of what the last comparison with the venue after a loss of the log found."""
        return self._key("reconciliation")

    @property
    def grant(self) -> str:
        """Hash of the component that may execute machine closes."""
        return self._key("grant")

    @property
    def freeze(self) -> str:
        """Present while no grant counts."""
        return self._key("freeze")

    @property
    def leased(self) -> str:
        """Hash of the last lease of a controller: component, owner, epoch, when it was renewed or given up."""
        return self._key("leased")

    @property
    def reigns(self) -> str:
        """Stream of the leases that were taken, one entry each: the record of starts and takeovers."""
        return self._key("reigns")

    @property
    def components(self) -> str:
        """Hash of what each process last announced of each component that it runs, by component and host."""
        return self._key("components")

    @property
    def audits(self) -> str:
        """Hash by audit id: what each audit found, and the hash of its evidence."""
        return self._key("audits")

    @property
    def safety(self) -> str:
        """Hash of the safety controller's arming."""
        return self._key("safety")

    @property
    def safety_fired(self) -> str:
        """Hash by symbol, side and rule: the episode of the last safety close, which try it was, its plan.

        Bounded by the venue's symbols: one field of a side and rule, overwritten by the next.
        """
        return self._key("safety_fired")

    @property
    def safety_health(self) -> str:
        """What the safety controller last said of itself, one JSON document."""
        return self._key("safety_health")

    @property
    def safety_said(self) -> str:
        """List of the ids of its health's events, oldest first."""
        return self._key("safety_said")

    def safety_right(self, intent_id: str) -> str:
        """The safety controller's right to one close; holds its plan and the epoch, and expires by itself."""
        return self._key(f"safety_right:{intent_id}")

    @property
    def backlog(self) -> str:
        """Stream of what backlog drains recorded, one entry for each batch that was acknowledged with it."""
        return self._key("backlog")

    @property
    def pulse(self) -> str:
        """Hash of what the executor last reported of itself."""
        return self._key("pulse")

    @property
    def alarms(self) -> str:
        """Hash of the alarms that stand, by kind and subject: who told of them is decided here."""
        return self._key("alarms")

    def close(self, plan_id: str) -> str:
        """Hash of one close: head of its chain, number of attempts, state, ids of its records."""
        return self._key(f"close:{plan_id}")

    @property
    def parked(self) -> str:
        """Sorted set of the closes that wait for a person, by the time they were parked."""
        return self._key("parked")

    @property
    def finished(self) -> str:
        """Sorted set of closes that have their outcome, by the time from which on they may leave the log."""
        return self._key("finished")

    @property
    def anchors(self) -> str:
        """Stream of one entry a segment, whose id is the segment's number."""
        return self._key("anchors")

    def burnt(self, generation: int, bucket: str) -> str:
        """Hash of ids that are used up, of closes and orders that have left the log."""
        return self._key(f"burnt:{generation}:{bucket}")

    def claims(self, generation: int, bucket: str) -> str:
        """Hash of intents at positions: the plan by which each was sent."""
        return self._key(f"claims:{generation}:{bucket}")

    def flights(self, symbol: str) -> str:
        """Hash by position side: which close may have an order of this symbol and side in flight."""
        return self._key(f"flights:{symbol}")

    def order(self, client_order_id: str) -> str:
        """The plan that an order of ours belongs to."""
        return self._key(f"order:{client_order_id}")

    def warrant(self, intent_id: str) -> str:
        """A person's right to one close; holds the plan it is for and expires by itself."""
        return self._key(f"warrant:{intent_id}")

    def asked(self, intent_id: str) -> str:
        """Hash of a wish that came through a door: what was asked for, by whom, and the entry that says so."""
        return self._key(f"asked:{intent_id}")

    def idempotency(self, name: str) -> str:
        """The request that an Idempotency-Key belongs to."""
        return self._key(f"idempotency:{name}")

    @property
    def refused(self) -> str:
        """Stream of the wishes that were refused before they became a close."""
        return self._key("refused")
