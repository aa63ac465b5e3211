import json

from aibridged.wire.injection.growing import Growing
from aibridged.wire.injection.splice import Fields


def test_items_come_at_the_end_and_all_else_stays():
    body = b'{ "messages" : [ {"a":1.0} ] , "x":[1]}'
    growing = Growing(Fields(body), "messages")
    once = growing.append([b"2", b"3"])
    assert once == b'{ "messages" : [ {"a":1.0} ,2,3] , "x":[1]}'
    assert growing.append([b"4"]) == b'{ "messages" : [ {"a":1.0} ,2,3,4] , "x":[1]}'


def test_an_empty_array_grows_too():
    growing = Growing(Fields(b'{"input":[ ]}'), "input")
    assert json.loads(growing.append([b"1", b"2"])) == {"input": [1, 2]}
