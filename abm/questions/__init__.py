"""Questions, requests and answers: behaviour is a question with an interchangeable answerer."""

from abm.questions.answer import Answer, Kind, Status
from abm.questions.choice import Transform, distribution, pick
from abm.questions.preview import Preview
from abm.questions.question import Question, Request, TextConstraint
from abm.questions.rows import requests_of_rows
from abm.questions.template import Prompt, Segment, Template, Value

__all__ = [
    "Answer",
    "Kind",
    "Preview",
    "Prompt",
    "Question",
    "Request",
    "Segment",
    "Status",
    "Template",
    "TextConstraint",
    "Transform",
    "Value",
    "distribution",
    "pick",
    "requests_of_rows",
]
