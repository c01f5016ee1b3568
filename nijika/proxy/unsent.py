"""How it is said within the proxy that another upstream may take a call."""

from nijika.errors import Problem


class Unsent(Exception):
    """Nothing of the call was sent, or all of it can be sent again; `problem` is told if nobody else helps."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem
