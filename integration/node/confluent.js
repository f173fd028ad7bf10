// @confluentinc/kafka-javascript: its KafkaJS-like API, and its callback AdminClient for what that one lacks.
'use strict';

const { AdminClient, CODES, KafkaJS } = require('@confluentinc/kafka-javascript');
const { ErrorCodes, Kafka, PartitionAssigners, logLevel } = KafkaJS;
const { bootstrap, place } = require('./kit');

// The library's logs on standard error; hear also gets the text of its errors.
function logTo(hear) {
  const to = (level) => (text, ...more) => {
    console.error(level, text, ...more);
    if (level === 'error') hear(String(text));
  };
  const logger = { info: to('info'), warn: to('warn'), error: to('error'), debug() {}, setLogLevel() {}, namespace: () => logger };
  return logger;
}

const kafka = new Kafka({ kafkaJS: { clientId: 'integration', brokers: [bootstrap], logLevel: logLevel.INFO, logger: logTo(() => {}) } });
// Faster than the defaults, so that a scenario takes moments.
const quick = { 'topic.metadata.refresh.interval.ms': 500, 'reconnect.backoff.max.ms': 500 };

const idempotent = true;
const watchesPattern = true;

async function producer(o) {
  const p = kafka.producer({
    ...quick, 'linger.ms': 0,
    ...(o.maxBytes && { 'message.max.bytes': o.maxBytes }),
    kafkaJS: {
      acks: -1, idempotent: o.idempotent ?? false, allowAutoTopicCreation: false,
      compression: o.codec ?? 'none',
    },
  });
  await p.connect();
  return {
    send: (topic, messages) => p.send({ topic, messages }),
    close: () => p.disconnect(),
  };
}

async function transactional(transactionalId, transactionTimeout) {
  const p = kafka.producer({
    ...quick, 'linger.ms': 0,
    kafkaJS: { transactionalId, allowAutoTopicCreation: false, ...(transactionTimeout && { transactionTimeout }) },
  });
  await p.connect();
  return {
    begin: () => p.transaction(),
    send: (topic, messages) => p.send({ topic, messages }),
    sendOffsets: (member, topic, offsets) => p.sendOffsets({
      consumer: member.consumer,
      topics: [{ topic, partitions: Object.entries(offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: String(offset) })) }],
    }),
    commit: () => p.commit(),
    abort: () => p.abort(),
    close: () => p.disconnect(),
  };
}

async function join(o) {
  const member = new Member(o);
  await member.start();
  return member;
}

class Member {
  constructor(o) {
    Object.assign(this, { o, joins: 0, fatal: null });
    this.consumer = kafka.consumer({
      ...quick, 'fetch.wait.max.ms': 200,
      // The consumer protocol goes at the broker's pace.
      ...(o.protocol ? { 'group.protocol': o.protocol } : { 'heartbeat.interval.ms': 100 }),
      ...(o.uncommitted && { 'isolation.level': 'read_uncommitted' }),
      ...(o.instance && { 'group.instance.id': o.instance }),
      rebalance_cb: (event) => { if (event.code === ErrorCodes.ERR__ASSIGN_PARTITIONS) this.joins++; },
      kafkaJS: {
        groupId: o.group, fromBeginning: o.reset !== 'latest', allowAutoTopicCreation: false,
        autoCommit: o.commit !== 'manual', autoCommitInterval: 100,
        ...(!o.protocol && { partitionAssigners: [o.cooperative ? PartitionAssigners.cooperativeSticky : PartitionAssigners.roundRobin] }),
        logger: logTo((text) => this.note(text)),
      },
    });
  }
  async start() {
    const { consumer, o } = this;
    await consumer.connect();
    await consumer.subscribe({ topics: [o.pattern ?? o.topic] });
    await consumer.run({
      ...(o.handleBatch && {
        eachBatchAutoResolve: true,
        eachBatch: ({ batch }) => o.handleBatch(this, batch),
      }),
      ...(!o.handleBatch && { eachMessage: async ({ topic, partition, message }) => {
        o.handle({ ...message, topic, partition, offset: Number(message.offset), timestampMs: Number(message.timestamp) });
      } }),
    });
    (o.seek ?? []).forEach((offset, partition) => consumer.seek({ topic: o.topic, partition, offset: String(offset) }));
  }
  // A fenced member ends with a fatal error, which only the log tells.
  note(text) {
    if (text.includes('Fatal error')) this.fatal = Object.assign(new Error(text), { type: 'ERR__FATAL' });
  }
  assigned() {
    try {
      return this.consumer.assignment().map((p) => place(p.topic, p.partition)).sort();
    } catch {
      return []; // In the midst of a rebalance.
    }
  }
  rebalances() {
    return this.joins;
  }
  error() {
    return this.fatal;
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
  const a = kafka.admin();
  await a.connect();
  const plain = AdminClient.create({ 'bootstrap.servers': bootstrap });
  const called = (name, ...args) =>
    new Promise((done, failed) => plain[name](...args, (error, value) => (error ? failed(error) : done(value))));
  return {
    create: (topic, numPartitions, configs) =>
      a.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries: entries(configs) }] })
        .then((made) => { if (!made) throw Object.assign(new Error(), { type: 'ERR_TOPIC_ALREADY_EXISTS' }); }),
    grow: (topic, count) => called('createPartitions', topic, count, 10_000),
    delete: (topic) => a.deleteTopics({ topics: [topic] }),
    topics: () => a.listTopics(),
    partitions: async (topic) => (await a.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length,
    offsetForTime: async (topic, partition, timeMs) =>
      Number((await a.fetchTopicOffsetsByTimestamp(topic, timeMs)).find((p) => p.partition === partition).offset),
    range: async (topic, partition) => {
      const { low, high } = (await a.fetchTopicOffsets(topic)).find((p) => p.partition === partition);
      return [Number(low), Number(high)];
    },
    total: async (topic) => (await a.fetchTopicOffsets(topic)).reduce((sum, p) => sum + Number(p.high) - Number(p.low), 0),
    deleteRecords: async (topic, partition, before) => {
      for (const r of await a.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })) if (r.error) throw r.error;
    },
    groups: async () => (await a.listGroups()).groups.map((g) => g.groupId),
    groupState: async (group) => {
      const [{ state, members }] = (await a.describeGroups([group])).groups;
      const name = Object.entries(KafkaJS.ConsumerGroupStates).find(([, code]) => code === state)[0];
      return `${name[0] + name.slice(1).toLowerCase()}, members ${members.length}`;
    },
    deleteGroup: async (group) => {
      for (const r of await a.deleteGroups([group])) if (r.error) throw r.error;
    },
    committed: async (group, topic) => {
      const found = await a.fetchOffsets({ groupId: group, topics: [topic] });
      return (found[0]?.partitions ?? []).map(({ partition, offset, metadata }) => ({ partition, offset: Number(offset), metadata }));
    },
    close: async () => {
      plain.disconnect();
      await a.disconnect();
    },
  };
}

function nameOf(error) {
  const inner = error.errors?.[0] ?? error.groups?.[0]?.error ?? error.partitions?.[0]?.error ?? error;
  if (inner.type) return inner.type;
  return Object.keys(CODES.ERRORS).find((name) => CODES.ERRORS[name] === inner.code) ?? inner.name;
}

module.exports = { admin, idempotent, join, nameOf, producer, transactional, watchesPattern };
