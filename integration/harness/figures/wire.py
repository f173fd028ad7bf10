"""A few requests by hand: what a figure of the broker's own time must not owe to a client's start."""

import struct

from harness.brokers import receive

# One record batch of magic 2 with the value "x", its CRC included.
BATCH = bytes.fromhex(
    "000000000000000000000039ffffffff026a9a6238000000000000000000000000000000000000"
    "00000000ffffffffffffffffffffffffffff000000010e00000001027800"
)


def call(connection, key, version, body):
    client_id = b"bench"
    frame = struct.pack(">hhih", key, version, 1, len(client_id)) + client_id + body
    connection.sendall(struct.pack(">i", len(frame)) + frame)
    (length,) = struct.unpack(">i", receive(connection, 4))
    return receive(connection, length)


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def metadata(connection):
    # Metadata v1 about no topics.
    call(connection, 3, 1, struct.pack(">i", 0))


def create_topic(connection, topic):
    # CreateTopics v2: of one partition; error 36 says that it is there.
    body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihiiib", 1, 1, 0, 0, 5000, 0)
    answer = call(connection, 19, 2, body)
    (error,) = struct.unpack_from(">h", answer, 4 + 4 + 4 + 2 + len(topic))
    return error in (0, 36)


def produce(connection, topic):
    # Produce v3 without a transactional id: acks=all, one batch for partition 0.
    body = struct.pack(">hhii", -1, -1, 5000, 1) + string(topic) + struct.pack(">iii", 1, 0, len(BATCH)) + BATCH
    answer = call(connection, 0, 3, body)
    (error,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
    return error == 0


def fetch(connection, topic, partition, offset):
    """Bytes of records that a Fetch v4 from this offset gives."""
    body = struct.pack(">iiiibi", -1, 5000, 1, 1 << 20, 0, 1) + string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, 1 << 20)
    answer = call(connection, 1, 4, body)
    # Correlation id, throttle time, topics, the name, partitions, index; error, high watermark, last stable offset.
    at = 4 + 4 + 4 + 2 + len(topic) + 4 + 4
    error, _, _, aborted = struct.unpack_from(">hqqi", answer, at)
    if error:
        return 0
    (size,) = struct.unpack_from(">i", answer, at + 22 + 16 * max(aborted, 0))
    return size
