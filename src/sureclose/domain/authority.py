"""The words of authority: who there is, why a grant ends, and why an account is frozen."""

from enum import StrEnum


class Component(StrEnum):
    """What a process can be in the pipeline. A grant names one of the first two."""

    EXECUTION_SERVICE = "execution_service"
    HARVEST_BRAIN = "harvest_brain"
    INTENT_EXECUTOR = "intent_executor"
    APPLY_LAYER = "apply_layer"
    SAFETY_CONTROLLER = "safety_controller"


class Level(StrEnum):
    """What a component is for the scope "exit", computed from what it does."""

    CONTROLLER = "CONTROLLER"
    OBSERVER = "OBSERVER"
    DEAD = "DEAD"


class Ground(StrEnum):
    """Why a grant is taken away. All but the last need nothing but the absence of proof."""

    PATH_BROKEN = "PATH_BROKEN"
    """Approved, and neither filled nor given another outcome."""
    GHOST = "GHOST"
    """Entries wait unread while the lease is held."""
    FAILURE_UNSAFE = "FAILURE_UNSAFE"
    """It failed in a way that leaves a close stuck, or went through zero."""
    SCOPE_VIOLATED = "SCOPE_VIOLATED"
    """An order of ours does not reduce."""
    BREACH = "BREACH"
    """An order of our prefix is not in the journal."""
    COMMAND = "COMMAND"
    """A person said so."""


class Trigger(StrEnum):
    """Why an account is frozen."""

    FIRST_START = "FIRST_START"
    """Nothing is proven yet."""
    ABSENCE = "ABSENCE"
    """Nobody held a valid lease for too long."""
    DEMOTED = "DEMOTED"
    """The last grant was taken away."""
    UNVERIFIABLE = "UNVERIFIABLE"
    """Whether the path works could not be judged for too long."""
    TWO_GRANTS = "TWO_GRANTS"
    """Two grants claim the scope."""
    BREACH = "BREACH"
    """What must never be so is so."""
    LOG_LOST = "LOG_LOST"
    """The log lacks the authority record that was known: unknown means frozen."""
    COMMAND = "COMMAND"
    """A person said so."""
