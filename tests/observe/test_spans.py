"""The table of spans is whole."""

from aibridged.observe.spans import REQUEST, SPANS, SpanName


def test_every_span_has_one_row():
    assert sorted(span.name for span in SPANS) == sorted([REQUEST, *SpanName])


def test_every_parent_stands_above_its_children():
    above = {None}
    for span in SPANS:
        assert span.parent in above
        above.add(span.name)


def test_the_rows_are_sentences_and_no_attribute_is_named_twice():
    for span in SPANS:
        assert span.help.endswith(".")
        assert len(span.attributes) == len(set(span.attributes))
