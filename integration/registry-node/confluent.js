// @confluentinc/schemaregistry: its serializers, and each call of its client.
'use strict'

const {
  AvroDeserializer, AvroSerializer, Compatibility, JsonDeserializer, JsonSerializer, ProtobufDeserializer, ProtobufSerializer,
  SchemaRegistryClient, SerdeType,
} = require('@confluentinc/schemaregistry')
const { createFileRegistry, createRegistry, create, fromBinary } = require('@bufbuild/protobuf')
const { FileDescriptorProtoSchema } = require('@bufbuild/protobuf/wkt')
const { REGISTRY, named, tell } = require('./kit')

const registry = () => new SchemaRegistryClient({ baseURLs: [REGISTRY], maxRetries: 0 })

const AVRO = '{"type":"record","name":"User","fields":[{"name":"name","type":"string"},{"name":"age","type":"int"}]}'
const JSON_SCHEMA = '{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name"]}'

async function serdes() {
  const user = { name: 'Ada', age: 36 }
  await around('avro', AVRO, 'AVRO', user, new AvroSerializer(registry(), SerdeType.VALUE, { useLatestVersion: true }),
    new AvroDeserializer(registry(), SerdeType.VALUE, {}))
  await around('json', JSON_SCHEMA, 'JSON', user,
    new JsonSerializer(registry(), SerdeType.VALUE, { useLatestVersion: true, validate: true }),
    new JsonDeserializer(registry(), SerdeType.VALUE, {}))
  await protobuf()
}

async function around(word, schema, schemaType, value, serializer, deserializer) {
  const topic = named(word)
  const id = await registry().register(`${topic}-value`, { schema, schemaType }, false)
  const encoded = await serializer.serialize(topic, value)
  console.log(word, encoded.readUInt8(0) === 0 && encoded.readInt32BE(1) === id, JSON.stringify(await deserializer.deserialize(topic, encoded)))
}

// The serializer registers the message's file, as a descriptor in base64.
async function protobuf() {
  const file = create(FileDescriptorProtoSchema, {
    name: 'user.proto', package: 'test', syntax: 'proto3',
    messageType: [{ name: 'User', field: [{ name: 'name', number: 1, label: 1, type: 9 }] }],
  })
  const files = createFileRegistry(file, () => undefined)
  const schema = files.getMessage('test.User')
  const serializer = new ProtobufSerializer(registry(), SerdeType.VALUE, { autoRegisterSchemas: true, registry: createRegistry(schema) })
  const topic = named('protobuf')
  const encoded = await serializer.serialize(topic, create(schema, { name: 'Ada' }))
  const deserializer = new ProtobufDeserializer(registry(), SerdeType.VALUE, {})
  console.log('protobuf', (await deserializer.deserialize(topic, encoded)).name)
  console.log((await registry().getLatestSchemaMetadata(`${topic}-value`)).schema)
}

const schema = type => ({ schema: `{"type":"record","name":"R","fields":[{"name":"x","type":"${type}"}]}`, schemaType: 'AVRO' })

async function calls() {
  await schemas()
  await settings()
  await deletions()
}

async function schemas() {
  const id = await tell('register', () => registry().register('s', schema('int'), false))
  await tell('register, in full', () => registry().registerFullResponse('s', schema('long'), false))
  await tell('register what does not fit', () => registry().register('s', schema('string'), false))
  await tell('register no schema', () => registry().register('s', { schema: '{', schemaType: 'AVRO' }, false))
  const contract = {
    ...schema('int'), metadata: { properties: { owner: 'me' } },
    ruleSet: { domainRules: [{ name: 'r', kind: 'CONDITION', mode: 'WRITE', type: 'CEL', expr: 'true' }] },
  }
  await tell('register a contract', () => registry().registerFullResponse('c', contract, false))
  await tell('by subject and id', () => registry().getBySubjectAndId('s', id))
  await tell('by an id that is none', () => registry().getBySubjectAndId('s', 9999))
  const full = await tell('its id, in full', () => registry().getIdFullResponse('s', schema('int'), false))
  await tell('by guid', () => registry().getByGuid(full.guid))
  await tell('its id', () => registry().getId('s', schema('int'), false))
  await tell('no id', () => registry().getId('s', schema('string'), false))
  await tell('latest', () => registry().getLatestSchemaMetadata('s'))
  await tell('version 1', () => registry().getSchemaMetadata('s', 1, false))
  await tell('version 9', () => registry().getSchemaMetadata('s', 9, false))
  await tell('latest with metadata', () => registry().getLatestWithMetadata('c', { owner: 'me' }, false))
  await tell('versions', () => registry().getAllVersions('s'))
  await tell('version of a schema', () => registry().getVersion('s', schema('long'), false, false))
  await tell('subjects', () => registry().getAllSubjects())
  await tell('compatible', () => registry().testSubjectCompatibility('s', schema('long')))
  await tell('not compatible', () => registry().testSubjectCompatibility('s', schema('string')))
  await tell('not compatible with version 1', () => registry().testCompatibility('s', 1, schema('string')))
}

async function settings() {
  await tell('compatibility', () => registry().getCompatibility('s'))
  await tell('set', () => registry().updateCompatibility('s', Compatibility.FULL))
  await tell('compatibility', () => registry().getCompatibility('s'))
  await tell('default', () => registry().getDefaultCompatibility())
  await tell('set the default', () => registry().updateDefaultCompatibility(Compatibility.FORWARD))
  await tell('config', () => registry().updateConfig('s', { compatibility: 'NONE', normalize: true, compatibilityGroup: 'major' }))
  await tell('config', () => registry().getConfig('s'))
  await tell('default config', () => registry().updateDefaultConfig({ compatibility: 'BACKWARD', defaultMetadata: { properties: { a: 'b' } } }))
  await tell('default config', () => registry().getDefaultConfig())
}

async function deletions() {
  await tell('delete version 1 for good', () => registry().deleteSubjectVersion('s', 1, true))
  await tell('delete version 1', () => registry().deleteSubjectVersion('s', 1, false))
  await tell('delete version 1 for good', () => registry().deleteSubjectVersion('s', 1, true))
  await tell('versions', () => registry().getAllVersions('s'))
  await tell('delete', () => registry().deleteSubject('s', false))
  await tell('delete for good', () => registry().deleteSubject('s', true))
  await tell('delete nobody', () => registry().deleteSubject('nobody', false))
  await tell('subjects', () => registry().getAllSubjects())
}

module.exports = { serdes, calls }
