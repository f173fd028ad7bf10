"""Every call that confluent-kafka's registry client has, of the one that waits and of the asynchronous one: the same steps."""

import asyncio
import inspect

from confluent_kafka.schema_registry import (
    AsyncSchemaRegistryClient, ConfigCompatibilityLevel, Metadata, MetadataProperties, MetadataTags, Rule, RuleKind, RuleMode,
    RuleParams, RuleSet, Schema, SchemaReference, SchemaRegistryError, ServerConfig,
)

from kit import REGISTRY, client

INT = Schema('{"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}', "AVRO")
LONG = Schema('{"type": "record", "name": "R", "fields": [{"name": "x", "type": "long"}]}', "AVRO")
TEXT = Schema('{"type": "record", "name": "R", "fields": [{"name": "x", "type": "string"}]}', "AVRO")
CONTRACT = Schema(
    INT.schema_str, "AVRO",
    # Without tags: the client cannot keep a schema with tags that a registry has sent (unhashable type: 'list').
    metadata=Metadata(MetadataTags({}), MetadataProperties({"owner": "me", "team": "we"}), ("owner",)),
    rule_set=RuleSet(None, [Rule(
        "positive", "x is", RuleKind.CONDITION, RuleMode.WRITE, "CEL", ("PII",), RuleParams({"a": "b"}), "message.x > 0",
        "NONE", "ERROR", False,
    )]),
)


def calls():
    asyncio.run(every_call(client()))


def async_calls():
    asyncio.run(every_call(AsyncSchemaRegistryClient({"url": REGISTRY, "max.retries": 0})))


class Asker:
    """Calls a client's methods and prints what they gave, or the status and the code of their error."""

    def __init__(self, registry):
        self.registry = registry

    async def __call__(self, method, *words, **named):
        try:
            answer = getattr(self.registry, method)(*words, **named)
            if inspect.isawaitable(answer):
                answer = await answer
        except SchemaRegistryError as error:
            print(f"{method}{words_of(words, named)}: {error.http_status_code} {error.error_code} {error.error_message}")
            return None
        # What is remembered would not be asked.
        cleared = self.registry.clear_caches()
        if inspect.isawaitable(cleared):
            await cleared
        print(f"{method}{words_of(words, named)}: {shown(answer)}")
        return answer


def words_of(words, named):
    known = [word if isinstance(word, (str, int, bool)) else type(word).__name__ for word in words]
    return "(" + ", ".join([repr(word) for word in known] + [f"{key}={value!r}" for key, value in named.items()]) + ")"


def shown(answer):
    """An entity as what it is made of, without what a registry chooses."""
    if hasattr(answer, "to_dict"):
        entity = answer.to_dict()
        return {key: value for key, value in sorted(entity.items()) if value is not None and key not in ("guid", "ts")}
    if isinstance(answer, list):
        return [shown(each) for each in answer]
    return answer


async def every_call(registry):
    ask = Asker(registry)
    await schemas(ask)
    await versions(ask)
    await settings(ask)
    await deletions(ask)


async def schemas(ask):
    await ask("get_schema_types")
    await ask("get_subjects")
    await ask("get_contexts")
    number = await ask("register_schema", "s", INT)
    await ask("register_schema", "s", INT)
    await ask("register_schema", "s", LONG)
    await ask("register_schema", "s", TEXT)
    await ask("register_schema", "t", INT)
    await ask("register_schema", "bad", Schema("{", "AVRO"))
    await ask("register_schema_full_response", "c", CONTRACT)
    await ask("get_schema", number)
    await ask("get_schema", number, "s")
    await ask("get_schema", number, fmt="resolved")
    await ask("get_schema", 9999)
    found = await ask("lookup_schema", "s", INT)
    await ask("get_schema_by_guid", found.guid)
    await ask("get_schema_by_guid", "00000000-0000-0000-0000-000000000000")
    await ask("lookup_schema", "s", TEXT)
    await ask("lookup_schema", "nobody", INT)
    await ask("get_subjects_by_schema_id", number)
    await ask("get_subjects_by_schema_id", number, subject_name="t")
    await ask("get_subjects_by_schema_id", number, offset=1, limit=1)
    await ask("get_schema_versions", number)
    await ask("get_schema_versions", 9999)
    await ask("register_schema", ":.other:s", INT)
    await ask("get_contexts")


async def versions(ask):
    await ask("get_subjects", subject_prefix="s")
    await ask("get_subjects", offset=1, limit=1)
    await ask("get_versions", "s")
    await ask("get_versions", "nobody")
    await ask("get_version", "s", 1)
    await ask("get_version", "s", 9)
    await ask("get_version", "s", "latest")
    await ask("get_latest_version", "s")
    await ask("get_latest_version", "nobody")
    await ask("get_latest_with_metadata", "c", {"owner": "me"})
    await ask("get_latest_with_metadata", "c", {"owner": "nobody"})
    await ask("get_latest_version", "c")
    await ask("get_referenced_by", "s", 1)
    reference = SchemaReference("R", "s", 1)
    await ask("register_schema", "u", Schema('["null", "R"]', "AVRO", [reference]))
    await ask("get_referenced_by", "s", 1)
    await ask("delete_subject", "s")
    await ask("test_compatibility", "s", LONG)
    await ask("test_compatibility", "s", TEXT)
    await ask("test_compatibility", "s", TEXT, version=1)
    await ask("test_compatibility_all_versions", "s", TEXT)
    await ask("test_compatibility", "nobody", TEXT)


async def settings(ask):
    await ask("get_compatibility")
    await ask("get_compatibility", "s")
    await ask("set_compatibility", "s", "FULL")
    await ask("get_compatibility", "s")
    await ask("set_compatibility", level="FORWARD")
    await ask("get_compatibility")
    await ask("set_compatibility", "s", "SIDEWAYS")
    await ask("set_config", "s", ServerConfig(ConfigCompatibilityLevel.FULL))
    config = ServerConfig(
        ConfigCompatibilityLevel.NONE, compatibility_group="major",
        default_metadata=Metadata(None, MetadataProperties({"a": "b"}), None),
    )
    await ask("set_config", "s", config)
    await ask("get_config", "s")
    await ask("delete_config", "s")
    await ask("delete_config", "s")
    await ask("get_config", "s")
    await ask("get_config")
    await ask("delete_config")
    await ask("get_global_mode")
    await ask("get_mode", "s")
    await ask("update_mode", "s", "READONLY")
    await ask("register_schema", "s", Schema('{"type": "record", "name": "R", "fields": []}', "AVRO"))
    await ask("get_mode", "s")
    await ask("delete_mode", "s")
    await ask("update_mode", "s", "SIDEWAYS")
    await ask("update_global_mode", "READONLY")
    await ask("register_schema", "v", INT)
    await ask("update_global_mode", "READWRITE")
    await ask("update_mode", "given", "IMPORT")
    await ask("delete_mode", "given")


async def deletions(ask):
    await ask("delete_version", "s", 9)
    await ask("delete_version", "s", 2, permanent=True)
    await ask("delete_version", "s", 2)
    await ask("get_versions", "s", deleted=True)
    await ask("get_versions", "s")
    await ask("delete_version", "s", 2, permanent=True)
    await ask("delete_subject", "u")
    await ask("delete_subject", "u", permanent=True)
    await ask("delete_subject", "s")
    await ask("get_subjects")
    await ask("get_subjects", deleted=True)
    await ask("get_subjects", deleted_only=True)
    await ask("delete_subject", "s", permanent=True)
    await ask("delete_subject", "s", permanent=True)
    await ask("delete_subject", "nobody")
    await ask("get_subjects", deleted=True)


SCENARIOS = {"calls": calls, "async-calls": async_calls}
