"""A source says where a value is to be changed."""

from aibridged.config.resolution import DEFAULT, Source


def test_a_source_is_called_by_its_name() -> None:
    assert str(Source("environment", "CODER_VERBOSE")) == "CODER_VERBOSE"
    assert str(Source("file", "a.yaml:3")) == "a.yaml:3"
    assert str(DEFAULT) == "default"
