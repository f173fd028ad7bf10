// kafkajs.
'use strict';

const { CompressionCodecs, CompressionTypes, Kafka, PartitionAssigners, Partitioners, logLevel } = require('kafkajs');
const lz4 = require('lz4-napi');
const zstd = require('@bokuweb/zstd-wasm');
const { bootstrap, place } = require('./kit');

// KafkaJS brings gzip; the others are packages that its users plug in.
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy');
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => (await zstd.init(), Buffer.from(zstd.compress(encoder.buffer, 3))),
  decompress: async (buffer) => (await zstd.init(), Buffer.from(zstd.decompress(buffer))),
});
const codecTypes = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
};

const kafka = new Kafka({
  clientId: 'integration', brokers: [bootstrap],
  logLevel: logLevel.INFO,
  logCreator: () => ({ namespace, label, log }) => console.error(label, namespace, log.message, log.error ?? ''),
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 100 },
});

const idempotent = true;

async function producer(o) {
  const p = kafka.producer({
    allowAutoTopicCreation: false, createPartitioner: Partitioners.DefaultPartitioner, metadataMaxAge: 1000,
    ...(o.idempotent && { idempotent: true, maxInFlightRequests: 1 }),
  });
  await p.connect();
  return {
    send: (topic, messages) => p.send({ topic, messages, acks: -1, compression: codecTypes[o.codec ?? 'none'] }),
    close: () => p.disconnect(),
  };
}

// It asks for its producer id with its first transaction.
async function transactional(transactionalId, transactionTimeout) {
  const p = kafka.producer({
    allowAutoTopicCreation: false, transactionalId, idempotent: true, maxInFlightRequests: 1, retry: { retries: 20 },
    ...(transactionTimeout && { transactionTimeout }),
  });
  await p.connect();
  let transaction;
  return {
    begin: async () => { transaction = await p.transaction(); },
    send: (topic, messages) => transaction.send({ topic, messages, acks: -1 }),
    commit: () => transaction.commit(),
    abort: () => transaction.abort(),
    close: () => p.disconnect(),
  };
}

async function join(o) {
  const consumer = kafka.consumer({
    readUncommitted: o.uncommitted ?? false,
    groupId: o.group, allowAutoTopicCreation: false, maxWaitTimeInMs: 200, heartbeatInterval: 100, metadataMaxAge: 500,
    partitionAssigners: [PartitionAssigners.roundRobin],
  });
  const member = new Member(consumer, o);
  await consumer.connect();
  await consumer.subscribe({ topics: [o.pattern ?? o.topic], fromBeginning: o.reset !== 'latest' });
  await consumer.run({
    autoCommit: o.commit !== 'manual',
    ...(o.commit === 'each' && { autoCommitThreshold: 1 }),
    ...(o.commit === 'auto' && { autoCommitInterval: 200 }),
    eachMessage: async ({ topic, partition, message }) => {
      o.handle({ ...message, topic, partition, offset: Number(message.offset), timestampMs: Number(message.timestamp) });
    },
  });
  (o.seek ?? []).forEach((offset, partition) => consumer.seek({ topic: o.topic, partition, offset: String(offset) }));
  return member;
}

class Member {
  constructor(consumer, o) {
    Object.assign(this, { consumer, o, places: [], joins: 0, crash: null });
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.joins++;
      this.places = Object.entries(payload.memberAssignment).flatMap(([t, ps]) => ps.map((p) => place(t, p))).sort();
    });
    consumer.on(consumer.events.REBALANCING, () => (this.places = []));
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) this.crash = payload.error;
    });
  }
  assigned() {
    return this.places;
  }
  rebalances() {
    return this.joins;
  }
  error() {
    return this.crash;
  }
  commit(topic, partition, next, metadata) {
    return this.consumer.commitOffsets([{ topic, partition, offset: String(next), metadata }]);
  }
  pause(topic, partition) {
    this.consumer.pause([{ topic, partitions: [partition] }]);
  }
  resume(topic, partition) {
    this.consumer.resume([{ topic, partitions: [partition] }]);
  }
  close() {
    return this.consumer.disconnect();
  }
}

const entries = (configs) => Object.entries(configs ?? {}).map(([name, value]) => ({ name, value }));

async function admin() {
  const a = kafka.admin({ retry: { retries: 0 } });
  await a.connect();
  return {
    create: (topic, numPartitions, configs) =>
      // Its own wait for leaders gives up when a broker does not know the topic yet.
      a.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions, replicationFactor: 1, configEntries: entries(configs) }] })
        .then((made) => { if (!made) throw Object.assign(new Error(), { type: 'TOPIC_ALREADY_EXISTS' }); }),
    grow: (topic, count) => a.createPartitions({ topicPartitions: [{ topic, count }] }),
    delete: (topic) => a.deleteTopics({ topics: [topic] }),
    topics: () => a.listTopics(),
    partitions: async (topic) => (await a.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length,
    offsetForTime: async (topic, partition, timeMs) =>
      Number((await a.fetchTopicOffsetsByTimestamp(topic, timeMs)).find((p) => p.partition === partition).offset),
    range: async (topic, partition) => {
      const { low, high } = (await a.fetchTopicOffsets(topic)).find((p) => p.partition === partition);
      return [Number(low), Number(high)];
    },
    total: async (topic) => (await a.fetchTopicOffsets(topic)).reduce((sum, p) => sum + Number(p.high) - Number(p.low), 0),
    config: async (topic, key) => {
      const { resources } = await a.describeConfigs({ includeSynonyms: false, resources: [{ type: 2, name: topic, configNames: [key] }] });
      const [{ configValue, configSource }] = resources[0].configEntries;
      return `${configValue} (source ${configSource})`;
    },
    setConfig: (topic, name, value) =>
      a.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries: [{ name, value }] }] }),
    deleteRecords: (topic, partition, before) =>
      a.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] }),
    groups: async () => (await a.listGroups()).groups.map((g) => g.groupId),
    groupState: async (group) => {
      const [{ state, members }] = (await a.describeGroups([group])).groups;
      return `${state}, members ${members.length}`;
    },
    deleteGroup: (group) => a.deleteGroups([group]),
    committed: async (group, topic) => {
      const [{ partitions }] = await a.fetchOffsets({ groupId: group, topics: [topic] });
      return partitions.map(({ partition, offset, metadata }) => ({ partition, offset: Number(offset), metadata }));
    },
    setCommitted: (groupId, topic, partition, next) =>
      a.setOffsets({ groupId, topic, partitions: [{ partition, offset: String(next) }] }),
    brokers: async () => {
      const { brokers, controller } = await a.describeCluster();
      return `${brokers.length}, controller known ${brokers.some((b) => b.nodeId === controller)}`;
    },
    close: () => a.disconnect(),
  };
}

// Kafka's name is deepest inside: KafkaJS wraps errors in errors of retries and of aggregates.
function nameOf(error) {
  for (let e = error; e; e = e.cause ?? e.errors?.[0] ?? e.groups?.[0]?.error ?? e.partitions?.[0]?.error) {
    if (e.type) return e.type;
  }
  return error.name;
}

module.exports = { admin, idempotent, join, nameOf, producer, transactional };
