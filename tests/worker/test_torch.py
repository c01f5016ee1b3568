"""Says in one place, and once, that the neural engines are not tested where torch is missing."""

from importlib.util import find_spec

from tests.providers.lacking import lack


def test_torch_is_here_for_the_tests_of_the_neural_engines() -> None:
    if find_spec("torch") is None:
        lack("Without torch the neural engines are not tested; make test installs it where it can be had.")
