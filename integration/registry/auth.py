"""A registry with basic authentication: who is let in with which role, and what a serializer sees of it."""

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.avro import AvroSerializer

import rest
from kit import REGISTRY, client, name, refused, value_of


def basic_auth():
    schema = Schema('"string"', "AVRO")
    for user in ("alice:secret", "bob:hidden"):
        registry = client(**{"basic.auth.user.info": user})
        registry.register_schema(name("auth"), schema)
        print(user, registry.get_versions(name("auth")))
        print(user, "a serializer's:", len(AvroSerializer(registry, '"string"')("x", value_of(name("auth")))), "bytes")
    for user in ("alice:wrong", "nobody:secret", "carol:other", ":"):
        with refused(user):
            client(**{"basic.auth.user.info": user}).get_subjects()
    with refused("without a user"):
        client().get_subjects()
    in_the_address()


def in_the_address():
    """The user as part of the address, by hand; and the challenge for who says nothing."""
    host = REGISTRY.removeprefix("http://")
    print("in the address:", rest.Connection(f"http://alice:secret@{host}").json("GET", f"/subjects/{name('auth')}/versions"))
    connection = rest.Connection(REGISTRY)
    print("nothing said:", connection.json("GET", "/subjects"))
    print("not basic:", connection.request("GET", "/subjects", headers={"Authorization": "Bearer x"})[0])
    print("not base64:", connection.request("GET", "/subjects", headers={"Authorization": "Basic ???"})[0])


SCENARIOS = {"basic-auth": basic_auth}
