"""What is in the files that TensorBoard reads."""

import struct


def events(folder):
    """All events of a folder's files: records of a length, its sum, the event, and its sum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for file in sorted(folder.glob("events*")):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += length + 16
    return found


def scalars(folder):
    """{tag: {step: value}}"""
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def tags(folder, kind):
    return {
        value.tag
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == kind
    }
