"""Policies: who answers, by which assignment, and what becomes of failures."""

from abm.policies.answering import Answerer, FailureHandling, Outcome, Skipped, Ticket
from abm.policies.assignment import Assignment, Mixture, PerQuestion, assigned, peek_assigned
from abm.policies.base import Policy
from abm.policies.coverage import as_measured, judged
from abm.policies.llm import LLMPolicy, text_seed
from abm.policies.permutation import PermutationAverage
from abm.policies.reasoning import ReasoningPolicy
from abm.policies.router import Every, Novel, Router, Trigger, When, text_cost
from abm.policies.rule import ByQuestion, Columns, RulePolicy
from abm.policies.surrogate import FitReport, SurrogatePolicy

__all__ = [
    "Answerer",
    "Assignment",
    "ByQuestion",
    "Columns",
    "Every",
    "FailureHandling",
    "FitReport",
    "LLMPolicy",
    "Mixture",
    "Novel",
    "Outcome",
    "PerQuestion",
    "PermutationAverage",
    "Policy",
    "ReasoningPolicy",
    "Router",
    "RulePolicy",
    "Skipped",
    "SurrogatePolicy",
    "Ticket",
    "Trigger",
    "When",
    "as_measured",
    "assigned",
    "judged",
    "peek_assigned",
    "text_cost",
    "text_seed",
]
