"""What the model knows tools by is what providers allow, and never one name for two tools."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.mcp.names import model_name

ALLOWED = re.compile(r"[a-zA-Z0-9_-]{1,64}")
IDS = st.from_regex(r"[a-z0-9]{1,10}(-[a-z0-9]{1,9}){0,2}", fullmatch=True)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("search", "bmcp_docs_search"),
        ("Read-File_2", "bmcp_docs_Read-File_2"),
        ("x" * 54, f"bmcp_docs_{'x' * 54}"),
        ("x" * 55, f"bmcp_docs_{'x' * 45}_d5e28568"),
        ("read file", "bmcp_docs_read_file_1214148e"),
        ("a/b", "bmcp_docs_a_b_c14cddc0"),
        ("a.b", "bmcp_docs_a_b_2e7336dc"),
        ("größe", "bmcp_docs_gr__e_d353a267"),
    ],
)
def test_names_are_the_same_for_ever(tool, name):
    """They are in prompt caches, in records and in operators' rules."""
    assert model_name("docs", tool) == name


@given(IDS, st.text(max_size=200))
def test_every_name_is_allowed(server, tool):
    name = model_name(server, tool)
    assert ALLOWED.fullmatch(name)
    assert name.startswith(f"bmcp_{server}_")


@given(st.lists(st.text(st.sampled_from("ab_ /.é"), min_size=1, max_size=120), unique=True))
def test_no_two_tools_of_a_server_have_one_name(tools):
    assert len({model_name("docs", tool) for tool in tools}) == len(tools)


@given(st.lists(st.tuples(IDS, st.text("ab-_", min_size=1, max_size=60)), unique=True))
def test_no_two_servers_tools_have_one_name(pairs):
    assert len({model_name(*pair) for pair in pairs}) == len(pairs)


def test_the_longest_id_leaves_room():
    name = model_name("i" * 32, "x" * 200)
    assert ALLOWED.fullmatch(name)
    assert name != model_name("i" * 32, "x" * 199)
