// @kafkajs/confluent-schema-registry: what its documentation does, with all three formats.
'use strict'

const { SchemaRegistry, SchemaType, COMPATIBILITY } = require('@kafkajs/confluent-schema-registry')
const { REGISTRY, named, tell } = require('./kit')

const registry = (options) => new SchemaRegistry({ host: REGISTRY, retry: { retries: 0 } }, options)

const AVRO = `{"type": "record", "name": "Person", "namespace": "examples", "fields": [{"name": "fullName", "type": "string"}]}`
const JSON_SCHEMA = `{"type": "object", "properties": {"fullName": {"type": "string"}}, "required": ["fullName"]}`
const PROTOBUF = `syntax = "proto3"; package examples; message Person { string full_name = 1; }`

async function serdes() {
  const formats = [
    [SchemaType.AVRO, AVRO, { fullName: 'Ada' }],
    [SchemaType.JSON, JSON_SCHEMA, { fullName: 'Grace' }],
    [SchemaType.PROTOBUF, PROTOBUF, { fullName: 'Barbara' }],
  ]
  for (const [type, schema, payload] of formats) {
    const subject = named(`person-${type}`)
    const { id } = await registry().register({ type, schema }, { subject })
    const encoded = await registry().encode(id, payload)
    console.log(type, 'framed:', encoded.readUInt8(0) === 0 && encoded.readInt32BE(1) === id, JSON.stringify(await registry().decode(encoded)))
    console.log(type, 'latest:', (await registry().getLatestSchemaId(subject)) === id)
    console.log(type, 'version 1:', (await registry().getRegistryId(subject, 1)) === id)
    console.log(type, 'by schema:', (await registry().getRegistryIdBySchema(subject, { type, schema })) === id)
  }
  await references()
}

async function references() {
  const address = named('address')
  await registry().register({
    type: SchemaType.AVRO,
    schema: '{"type": "record", "name": "Address", "namespace": "examples", "fields": [{"name": "street", "type": "string"}]}',
  }, { subject: address })
  const { id } = await registry().register({
    type: SchemaType.AVRO,
    schema: '{"type": "record", "name": "Home", "namespace": "examples", "fields": [{"name": "at", "type": "examples.Address"}]}',
    references: [{ name: 'examples.Address', subject: address, version: 1 }],
  }, { subject: named('home') })
  const encoded = await registry().encode(id, { at: { street: 'Elm' } })
  console.log('reference:', JSON.stringify(await registry().decode(encoded)))
}

async function calls() {
  const subject = named('calls')
  const schema = fields => ({ type: SchemaType.AVRO, schema: JSON.stringify({ type: 'record', name: 'R', namespace: 'n', fields }) })
  const int = { name: 'x', type: 'int' }
  await tell('register', async () => typeof (await registry().register(schema([int]), { subject, compatibility: COMPATIBILITY.FULL })).id)
  await tell('again', async () => typeof (await registry().register(schema([int]), { subject, compatibility: COMPATIBILITY.FULL })).id)
  await tell('with another compatibility', () => registry().register(schema([int]), { subject, compatibility: COMPATIBILITY.NONE }))
  await tell('what does not fit', () => registry().register(schema([{ name: 'x', type: 'string' }]), { subject, compatibility: COMPATIBILITY.FULL }))
  await tell('no schema', () => registry().register({ type: SchemaType.AVRO, schema: '{"type":"record","name":"R","fields":[{}]}' }, { subject }))
  await tell('an id that is none', () => registry().getSchema(999999))
  await tell('a version that is none', () => registry().getRegistryId(subject, 9))
  await tell('a subject that is none', () => registry().getLatestSchemaId(named('nobody')))
}

module.exports = { serdes, calls }
