"""Reads the YAML file: values with their line numbers, and mistakes.

The file is parsed into nodes and not Python values, because nodes know their line, and because
duplicate keys would be lost silently otherwise.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from aibridged.config import coder_entries, kinds
from aibridged.config.entries import NO_VALUE, VALUE_OR_NOTHING, Entry, EntryList
from aibridged.config.key_mistakes import WrongTextError, file_text
from aibridged.config.lists import LISTS
from aibridged.config.mappings import as_json
from aibridged.config.options import OPTIONS
from aibridged.config.resolution import Mistake, Source
from aibridged.config.sources import Given
from aibridged.config.unknown import unknown_key
from aibridged.config.yaml_syntax import NO_SPACE, lacks_space, syntax_mistake
from aibridged.config.yaml_tree import NotJsonError, tree_as_json

MAX_FILE = 1024 * 1024
"""Bytes of a file that are read."""

_LIST_OF = {name: declared for declared in LISTS for name in declared.yamls}
_KIND_OF = {name: option.kind for option in OPTIONS for name in option.yamls}
_SETTINGS = frozenset(_KIND_OF)
_GROUPS = frozenset(
    ".".join(name.split(".")[:depth])
    for name in _SETTINGS
    for depth in range(1, name.count(".") + 1)
)
_CAMEL_CASED = frozenset({"aibridge", "ai_gateway"})


@dataclass
class YamlFile:
    """A file's contents: text by dotted key, and the entries of the lists by the lists' names."""

    path: Path
    settings: dict[str, Given] = field(default_factory=dict)
    lists: dict[str, list[Entry]] = field(default_factory=dict)
    list_keys: dict[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def where(self, node: yaml.Node, key: str = "") -> str:
        return f"{self.path}:{node.start_mark.line + 1} {key}".rstrip()

    def source(self, node: yaml.Node) -> Source:
        return Source("file", f"{self.path}:{node.start_mark.line + 1}")

    def wrong(self, node: yaml.Node, key: str, what: str, remedy: str) -> None:
        self.mistakes.append(Mistake(self.where(node, key), what, remedy))


def read(path: Path) -> YamlFile:
    """Read the file; everything wrong with it, syntax included, is in `mistakes`."""
    file = YamlFile(path)
    text = ""
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise WrongTextError(f"is larger than {MAX_FILE >> 20} MiB", "Is it the right file?")
        text = file_text(content)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        remedy = "Set --config or CODER_CONFIG_PATH to a readable file."
        file.mistakes.append(Mistake(str(path), f"can't be read: {error.strerror}", remedy))
    except WrongTextError as error:
        file.mistakes.append(Mistake(str(path), str(error), error.remedy))
    except (yaml.YAMLError, RecursionError) as error:
        file.mistakes.append(syntax_mistake(path, text, error))
    else:
        if root is not None:
            _take_group(file, root, "")
    return file


def _take_group(file: YamlFile, node: yaml.Node, prefix: str) -> None:
    if _is_null(node):
        return
    if not isinstance(node, yaml.MappingNode):
        file.wrong(node, prefix, *_no_group(node, prefix))
        return
    for name, key_node, value in _pairs(file, node, prefix):
        key = _present_name(f"{prefix}.{name}" if prefix else name)
        if key in _SETTINGS:
            _take_setting(file, key, key_node, value)
        elif key in _LIST_OF:
            _take_list(file, _LIST_OF[key], key, key_node, value)
        elif key in _GROUPS or (coder_entries.is_group(key) and not _is_plain(value)):
            _take_group(file, value, key)
        elif not _is_plain(value) or not coder_entries.says_nothing(key, _plain_text(value)):
            known = [*_SETTINGS, *_GROUPS, *_LIST_OF]
            file.mistakes.append(unknown_key(file.where(key_node, key), key, known))


def _present_name(key: str) -> str:
    """The name of an entry that some versions of Coder wrote in camel case."""
    group, _, name = key.rpartition(".")
    snake = f"{group}.{re.sub('[A-Z]', lambda letter: f'_{letter[0].lower()}', name)}"
    return snake if group in _CAMEL_CASED and key not in _SETTINGS and snake in _SETTINGS else key


def _is_plain(node: yaml.Node) -> bool:
    """Whether it is a value, or a list of values, or empty."""
    if isinstance(node, yaml.SequenceNode):
        return all(isinstance(item, yaml.ScalarNode) for item in node.value)
    return isinstance(node, yaml.ScalarNode) or not node.value


def _plain_text(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return kinds.joined([item.value for item in node.value])


def _no_group(node: yaml.Node, prefix: str) -> tuple[str, str]:
    if isinstance(node, yaml.ScalarNode) and lacks_space(node.value):
        return NO_SPACE
    if not prefix:
        remedy = "Write key: value; `aibridged sample-config` prints a file to start from."
        return "the file has no settings", remedy
    return "a group of settings, not a value", "Indent its settings below it."


def _take_setting(file: YamlFile, key: str, key_node: yaml.Node, value: yaml.Node) -> None:
    text = _text(file, key, value, mapping=_KIND_OF[key].mapping)
    if text is not None and key in file.settings:
        where = f"{file.where(key_node, key)} and {file.settings[key].where}"
        file.mistakes.append(Mistake(where, "two names of the same setting", "Remove one of them."))
    elif text is not None:
        file.settings[key] = Given(text, file.where(key_node, key), file.source(key_node))


def _take_list(
    file: YamlFile, declared: EntryList, key: str, key_node: yaml.Node, value: yaml.Node
) -> None:
    if _is_null(value):
        return
    if not isinstance(value, yaml.SequenceNode):
        remedy = f"Start each {declared.noun} with a dash: - {declared.first}"
        file.wrong(key_node, key, "this is not a list", remedy)
        return
    if file.lists.get(declared.name):
        where = f"{file.where(key_node, key)} and {file.list_keys[declared.name]}"
        remedy = f"Keep all {declared.nouns} in one of them."
        file.mistakes.append(Mistake(where, "two names of the same list", remedy))
        return
    file.list_keys[declared.name] = file.where(key_node, key)
    entries = file.lists.setdefault(declared.name, [])
    for index, node in enumerate(value.value):
        name = f"{key}[{index}]"
        if isinstance(node, yaml.MappingNode):
            entries.append(_entry(file, declared, name, node))
        elif isinstance(node, yaml.ScalarNode) and lacks_space(node.value):
            file.wrong(node, name, *NO_SPACE)
        else:
            remedy = f"Give it {', '.join(declared.fields)}."
            file.wrong(node, name, f"this is no {declared.noun}", remedy)


def _entry(file: YamlFile, declared: EntryList, prefix: str, node: yaml.MappingNode) -> Entry:
    fields: dict[str, Given] = {}
    for name, key_node, value in _pairs(file, node, prefix):
        key = f"{prefix}.{name}"
        if name not in declared.fields:
            known = [f"{prefix}.{known}" for known in declared.fields]
            file.mistakes.append(unknown_key(file.where(key_node, key), key, known))
            continue
        kind = declared.fields[name]
        text = _text(file, key, value, pairs=kind.pairs, tree=kind.tree)
        if text or (text == "" and declared.explicit and isinstance(value, yaml.SequenceNode)):
            fields[name] = Given(text, file.where(key_node, key), file.source(key_node))
        elif declared.explicit and (text == "" or _is_null(value)):
            file.wrong(key_node, key, NO_VALUE, VALUE_OR_NOTHING)
    return Entry(file.where(node, prefix), fields)


def _pairs(
    file: YamlFile, node: yaml.MappingNode, prefix: str
) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """The keys of a mapping with their nodes; of a duplicate key, the first."""
    lines: dict[str, int] = {}
    for key_node, value in node.value:
        name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        if name in lines:
            key = f"{prefix}.{name}" if prefix else name
            what = f"the key is on line {lines[name]} too"
            file.wrong(key_node, key, what, "Remove one of them.")
            continue
        lines[name] = key_node.start_mark.line + 1
        yield name, key_node, value


def _text(
    file: YamlFile,
    key: str,
    node: yaml.Node,
    *,
    pairs: bool = False,
    mapping: bool = False,
    tree: bool = False,
) -> str | None:
    """The value as one would write it into a variable; None where the file leaves it empty."""
    if _is_null(node):
        return None
    if tree and isinstance(node, yaml.MappingNode):
        try:
            return tree_as_json(node)
        except NotJsonError as error:
            file.wrong(error.node, key, str(error), error.remedy)
            return None
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if mapping and isinstance(node, yaml.MappingNode):
        return _json_text(file, key, node)
    if isinstance(node, yaml.SequenceNode):
        texts = [item.value for item in node.value if isinstance(item, yaml.ScalarNode)]
        if len(texts) == len(node.value):
            return kinds.joined(texts)
    if pairs and isinstance(node, yaml.MappingNode):
        values = list(_pairs(file, node, key))
        if all(isinstance(value, yaml.ScalarNode) for _, _, value in values):
            return kinds.joined([f"{name}: {value.value}" for name, _, value in values])
    if (
        isinstance(node, yaml.MappingNode)
        and node.value
        and isinstance(node.value[0][0], yaml.MappingNode)
    ):
        file.wrong(node, key, "a template {{ … }} that nothing has filled in", "Write the value.")
        return None
    remedy = "Write a value, or a list of values, after the colon."
    file.wrong(node, key, "this is not a value", remedy)
    return None


def _json_text(file: YamlFile, key: str, node: yaml.MappingNode) -> str | None:
    """A mapping to strings or lists of strings as a JSON object."""
    found: dict[str, str | list[str]] = {}
    for name, _, value in _pairs(file, node, key):
        if isinstance(value, yaml.ScalarNode):
            found[name] = str(value.value)
        elif isinstance(value, yaml.SequenceNode) and _is_plain(value):
            found[name] = [str(item.value) for item in value.value]
        else:
            remedy = "Write a value, or a list of values, after each name."
            file.wrong(value, f"{key}.{name}", "this is not a value", remedy)
            return None
    return as_json(found)


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"
