"""What the official Python client sees of the gateway: eventstore_client.py HOST:PORT"""

import sys
import threading
from itertools import islice
from uuid import uuid4

from kurrentdbclient import CaughtUp, Checkpoint, KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import (
    GrpcDeadlineExceededError,
    KurrentDBClientError,
    NotFoundError,
    StreamIsDeletedError,
    WrongCurrentVersionError,
)

client = KurrentDBClient(f"esdb://{sys.argv[1]}?tls=false")
NONE, ANY, EXISTS = StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS


def events(count, type="Happened", data=b'{"a":1}'):
    return [NewEvent(type=type, data=data) for _ in range(count)]


def name():
    return f"python-{uuid4()}"


def append(stream, version, new):
    return client.append_to_stream(stream, current_version=version, events=new)


def read(stream, **how):
    return [event.stream_position for event in client.get_stream(stream, **how)]


def refused(error, call, *args, **how):
    try:
        call(*args, **how)
    except error as refusal:
        return refusal
    raise AssertionError(f"no {error.__name__}")


def appends_and_reads():
    stream, new = name(), events(3)
    assert client.get_current_version(stream) is NONE
    refused(NotFoundError, client.get_stream, stream)
    last = append(stream, NONE, new)
    assert client.get_current_version(stream) == 2
    assert append(stream, NONE, new) == last, "the same append again"
    assert append(stream, ANY, new) == last, "the same append again"
    refused(WrongCurrentVersionError, append, stream, NONE, events(1))
    refused(WrongCurrentVersionError, append, stream, 1, events(1))
    refused(WrongCurrentVersionError, append, name(), EXISTS, events(1))
    append(stream, 2, events(1))
    append(stream, EXISTS, events(1))
    assert read(stream) == [0, 1, 2, 3, 4]
    assert read(stream, stream_position=2, limit=2) == [2, 3]
    assert read(stream, backwards=True) == [4, 3, 2, 1, 0]
    assert read(stream, backwards=True, stream_position=2) == [2, 1, 0]
    first = client.get_stream(stream, limit=1)[0]
    assert (first.id, first.type, first.data) == (new[0].id, "Happened", b'{"a":1}')
    assert first.stream_name == stream and first.recorded_at is not None
    odd = NewEvent(
        type="Späße ✓",
        data=bytes(range(256)),
        metadata=b"\xff",
        content_type="application/octet-stream",
    )
    plain = f"Straße{uuid4().hex}"
    append(plain, NONE, [odd])
    kept = client.get_stream(plain)[0]
    assert (kept.type, kept.data, kept.metadata) == (odd.type, odd.data, odd.metadata)
    assert kept.content_type == odd.content_type and kept.stream_name == plain
    large = [NewEvent(type="Large", data=b"x" * (1 << 20))]
    refused(KurrentDBClientError, append, name(), NONE, large)
    refused(GrpcDeadlineExceededError, client.append_to_stream, name(), current_version=NONE,
            events=events(10_000), timeout=0)


def all_and_filters():
    stream, other = name(), name()
    at = append(stream, NONE, events(1))
    append(stream, 0, events(2, type="Placed"))
    append(other, NONE, events(1, type="Paid"))
    whole = list(client.read_all(commit_position=at))
    assert [event.type for event in whole] == ["Happened", "Placed", "Placed", "Paid"]
    assert whole[0].commit_position == at, "forwards a position is inclusive"
    back = list(client.read_all(commit_position=at, backwards=True, limit=1))
    assert all(event.commit_position < at for event in back), "backwards it is not"
    last = list(client.read_all(backwards=True, limit=1))
    assert last[0].commit_position == client.get_commit_position() == at + 3
    types = lambda **how: [e.type for e in client.read_all(commit_position=at, **how)]
    assert types(filter_include=["Placed"]) == ["Placed", "Placed"]
    assert types(filter_include=[".*aid"]) == ["Paid"]
    assert types(filter_exclude=["Placed", "Paid"]) == ["Happened"]
    assert types(filter_include=[other], filter_by_stream_name=True) == ["Paid"]
    assert types(filter_exclude=[f"{stream}.*"], filter_by_stream_name=True) == ["Paid"]
    assert client.get_commit_position(filter_exclude=[".*"]) == 0


def more_than_ten_thousand():
    stream, new = name(), events(12_000, data=b'{"fill":"' + b"x" * 80 + b'"}')
    for begin in range(0, len(new), 1_000):
        append(stream, NONE if begin == 0 else begin - 1, new[begin : begin + 1_000])
    seen = client.get_stream(stream)
    assert [event.id for event in seen] == [event.id for event in new]
    back = client.get_stream(stream, backwards=True)
    assert [event.id for event in back] == [event.id for event in reversed(new)]
    with client.subscribe_to_stream(stream, timeout=60) as subscription:
        followed = [event.id for event in islice(subscription, len(new))]
    assert followed == [event.id for event in new]


def subscriptions():
    stream = name()
    at = append(stream, NONE, events(2))
    everything = client.subscribe_to_all(commit_position=at, include_caught_up=True, timeout=60)
    one = client.subscribe_to_stream(stream, include_caught_up=True, timeout=60)
    end = client.subscribe_to_stream(stream, from_end=True, include_caught_up=True, timeout=60)
    assert isinstance(next(everything), CaughtUp)
    assert [next(one).stream_position for _ in range(2)] == [0, 1]
    assert isinstance(next(one), CaughtUp) and isinstance(next(end), CaughtUp)
    writer = threading.Thread(
        target=lambda: [append(stream, ANY, events(1)) for _ in range(200)], daemon=True
    )
    writer.start()
    for subscription in (everything, one, end):
        live = [next(subscription).stream_position for _ in range(200)]
        assert live == list(range(2, 202)), live
        subscription.stop()
    writer.join()
    watched = client.subscribe_to_all(
        commit_position=at,
        filter_include=["Nothing"],
        include_checkpoints=True,
        window_size=10,
        checkpoint_interval_multiplier=2,
        timeout=60,
    )
    checkpoints = list(islice(watched, 10))
    assert all(isinstance(one, Checkpoint) for one in checkpoints)
    assert [one.commit_position for one in checkpoints] == [at + n * 20 for n in range(1, 11)]
    watched.stop()
    late = client.subscribe_to_stream(name(), timeout=0.5)
    refused(GrpcDeadlineExceededError, list, late)


def deletes():
    stream = name()
    refused(NotFoundError, client.delete_stream, stream, current_version=ANY)
    append(stream, NONE, events(3))
    refused(WrongCurrentVersionError, client.delete_stream, stream, current_version=1)
    client.delete_stream(stream, current_version=2)
    client.delete_stream(stream, current_version=ANY)
    refused(StreamIsDeletedError, client.delete_stream, stream, current_version=EXISTS)
    refused(NotFoundError, client.get_stream, stream)
    assert client.get_current_version(stream) is NONE
    refused(WrongCurrentVersionError, append, stream, 0, events(1))
    append(stream, NONE, events(2))
    assert read(stream) == [3, 4]
    kept = client.read_all(filter_include=[stream], filter_by_stream_name=True)
    assert [event.stream_position for event in kept] == [0, 1, 2, 3, 4], "$all keeps all of it"
    client.tombstone_stream(stream, current_version=4)
    for call in (
        lambda: client.get_stream(stream),
        lambda: client.get_current_version(stream),
        lambda: append(stream, ANY, events(1)),
        lambda: append(stream, NONE, events(1)),
        lambda: client.tombstone_stream(stream, current_version=ANY),
        lambda: client.get_stream_metadata(stream),
    ):
        refused(StreamIsDeletedError, call)
    client.tombstone_stream(name(), current_version=ANY)
    refused(NotFoundError, client.tombstone_stream, name(), current_version=EXISTS)


def metadata():
    stream = name()
    append(stream, NONE, events(10))
    assert client.get_stream_metadata(stream) == ({}, NONE)
    client.set_stream_metadata(stream, metadata={"$maxCount": 3, "mine": [1]}, current_version=NONE)
    assert client.get_stream_metadata(stream) == ({"$maxCount": 3, "mine": [1]}, 0)
    assert read(stream) == [7, 8, 9]
    refused(
        WrongCurrentVersionError,
        client.set_stream_metadata,
        stream,
        metadata={},
        current_version=NONE,
    )
    client.set_stream_metadata(stream, metadata={"$tb": 5}, current_version=0)
    assert read(stream) == [5, 6, 7, 8, 9] and read(stream, backwards=True, limit=9)[-1] == 5
    client.set_stream_metadata(stream, metadata={}, current_version=EXISTS)
    assert len(read(stream)) == 10


for check in (
    appends_and_reads,
    all_and_filters,
    more_than_ten_thousand,
    subscriptions,
    deletes,
    metadata,
):
    check()
    print(f"{check.__name__}: ok", flush=True)
client.close()
