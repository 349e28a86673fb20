"""The engine: Mesa models and agents on one SimPy clock, with decisions answered on demand."""

from abm.engine.agent import Agent
from abm.engine.decision import Decision
from abm.engine.decision_log import DecisionLog
from abm.engine.desk import Desk
from abm.engine.environment import Environment
from abm.engine.interventions import Intervention
from abm.engine.mesa_adapter import Priority
from abm.engine.messages import Message
from abm.engine.model import Model
from abm.engine.process import Process
from abm.engine.view import View, frozen, view_of

__all__ = [
    "Agent",
    "Decision",
    "DecisionLog",
    "Desk",
    "Environment",
    "Intervention",
    "Message",
    "Model",
    "Priority",
    "Process",
    "View",
    "frozen",
    "view_of",
]
