'use strict';

const { createHash } = require('node:crypto');
const { asAdmin, create, named, numbered, outcome, produce, pauseMs, read, say, until } = require('./kit');

// The time of the first record where a scenario gives times itself: 2023-11-14. keepOld lets such records stay.
const base = 1_700_000_000_000;
const keepOld = { 'retention.ms': '-1' };

async function codecs(client) {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const topic = named(codec);
    await create(client, topic, 1);
    const sent = Array.from({ length: 100 }, (_, i) => ({ value: `${codec} ${i} `.repeat(20) }));
    await produce(client, topic, sent, { codec });
    const got = await read(client, topic, 100);
    say(`${codec}: same ${got.filter((r, i) => r.offset === i && String(r.value) === String(sent[i].value)).length}`);
  }
}

async function keys(client) {
  const topic = named('keys');
  await create(client, topic, 6);
  const sent = Array.from({ length: 20 }, (_, i) => ({ key: `key-${String(i).padStart(2, '0')}`, value: 'v' }));
  await produce(client, topic, sent);
  const got = await read(client, topic, 20);
  for (const { key } of sent) say(`${key} ${got.find((r) => String(r.key) === key).partition}`);
}

const show = (bytes) => (bytes === null || bytes === undefined ? 'null' : JSON.stringify(bytes.toString('latin1')));

async function headers(client) {
  const topic = named('headers');
  await create(client, topic, 1);
  await produce(client, topic, [
    { value: 'none' },
    { value: 'one', headers: { a: '1' } },
    { value: 'duplicates', headers: { a: ['1', '3', '1'], b: '2' } },
    { value: 'empty', headers: { e: '', '': 'no name' } },
    { value: 'bytes', headers: { b: Buffer.from([0, 255, 254]) } },
  ]);
  for (const r of await read(client, topic, 5)) {
    const list = Object.entries(r.headers ?? {}).map(([name, v]) => `${name}=${[v].flat().map(show).join(',')}`);
    say(`${r.value}: ${list.sort().join(' ')}`.trim());
  }
}

async function nulls(client) {
  const topic = named('nulls');
  await create(client, topic, 1);
  await produce(client, topic, [
    { key: null, value: 'v' },
    { key: 'k', value: null },
    { key: null, value: null },
    { key: '', value: '' },
    { key: 'k', value: 'v' },
  ]);
  for (const r of await read(client, topic, 5)) say(`key ${show(r.key)} value ${show(r.value)}`);
}

async function timestamps(client) {
  const [created, appended] = [named('create-time'), named('append-time')];
  await create(client, created, 1, keepOld);
  await create(client, appended, 1, { 'message.timestamp.type': 'LogAppendTime' });
  const began = Date.now();
  const sent = Array.from({ length: 5 }, (_, i) => ({ value: 'v', timestamp: String(base + i * 1000) }));
  for (const topic of [created, appended]) await produce(client, topic, sent);
  for (const r of await read(client, created, 5)) say(`create time: offset ${r.offset} at base+${r.timestampMs - base}`);
  for (const r of await read(client, appended, 5)) {
    const brokers = began - 1000 <= r.timestampMs && r.timestampMs <= Date.now() + 1000;
    say(`append time: offset ${r.offset}, the broker's time ${brokers}`);
  }
  await asAdmin(client, async (admin) => {
    for (const after of [-1000, 0, 1, 1500, 2000, 4000, 4001]) {
      say(`offset for base${after < 0 ? '' : '+'}${after}: ${await admin.offsetForTime(created, 0, base + after)}`);
    }
    say(`append time, offset for base: ${await admin.offsetForTime(appended, 0, base)}`);
    say(`append time, offset for an hour ahead: ${await admin.offsetForTime(appended, 0, Date.now() + 3_600_000)}`);
  });
}

async function batches(client) {
  for (const n of [1, 10_000]) {
    const topic = named(`batch-${n}`);
    await create(client, topic, 1);
    await produce(client, topic, numbered(0, n));
    const sum = createHash('sha256');
    let ordered = true;
    (await read(client, topic, n)).forEach((r, i) => {
      ordered &&= r.offset === i && String(r.value) === String(i);
      sum.update(`${r.key}=${r.value}\n`);
    });
    say(`${n}: in order ${ordered}, checksum ${sum.digest('hex').slice(0, 16)}`);
  }
}

// What a batch of one record without key and headers has beside its value (see ../go/records.go).
const overhead = 72;

async function sizes(client) {
  const limits = { small: 100_000, plain: 1_048_588 };
  await create(client, named('small'), 1, { 'max.message.bytes': String(limits.small) });
  await create(client, named('plain'), 1);
  for (const [name, size] of [
    ['small', 99_999], ['small', 100_000], ['small', 100_001], ['plain', 1_048_588], ['plain', 1_048_589],
  ]) {
    const records = [{ key: null, value: Buffer.alloc(size - overhead, 'x') }];
    const result = await outcome(client, () => produce(client, named(name), records, { maxBytes: 1_100_000 }));
    say(`a batch of ${size} bytes to ${name}: ${result}`);
  }
  for (const [name, n] of [['small', 2], ['plain', 1]]) {
    for (const r of await read(client, named(name), n)) say(`offset ${r.offset}: ${r.value.length} bytes of value`);
  }
}

async function seek(client) {
  const topic = named('seek');
  await create(client, topic, 1, keepOld);
  const producer = await client.producer({});
  for (let batch = 0; batch < 10; batch++) {
    const records = numbered(batch * 100, batch * 100 + 100);
    records.forEach((r, i) => (r.timestamp = String(base + batch * 100 + i)));
    await producer.send(topic, records);
  }
  const from = async (what, offset) => {
    const [first] = await read(client, topic, 1, [offset]);
    say(`${what}: ${first.offset} ${first.value}`);
  };
  await from('start', 0);
  await from('offset 155', 155);
  await from('offset 999', 999);
  await asAdmin(client, async (admin) => from('time 333', await admin.offsetForTime(topic, 0, base + 333)));
  await from('offset 5000 earliest', 5000);
  for (const [what, offset, reset] of [['end', 1000, 'earliest'], ['offset 5000 latest', 5000, 'latest']]) {
    const records = [];
    const member = await client.join({
      group: named(reset), topic, reset, commit: 'manual', seek: [offset], handle: (r) => records.push(r),
    });
    await until('a record after the end', async () => {
      await producer.send(topic, [{ value: 'new' }]);
      await pauseMs(50);
      return records.length > 0;
    });
    await member.close();
    say(`${what}: nothing old ${records[0].offset >= 1000}`);
  }
  await producer.close();
}

async function idempotence(client) {
  const topic = named('idempotence');
  await create(client, topic, 3);
  const producer = await client.producer({ idempotent: true });
  for (let from = 0; from < 5000; from += 500) await producer.send(topic, numbered(from, from + 500));
  await producer.close();
  const { stored, distinct, ordered } = await stock(client, topic);
  say(`delivered 5000, consumed ${stored}, duplicates ${stored - distinct}, in order ${ordered}`);
}

// All that a topic of numbered records has: how many, how many different ones, and whether each partition ascends.
async function stock(client, topic) {
  const stored = await asAdmin(client, (admin) => admin.total(topic));
  const records = await read(client, topic, stored);
  const ordered = records.every((r, i) => {
    const before = records[i - 1];
    return !before || before.partition !== r.partition || Number(before.value) < Number(r.value);
  });
  return { stored, distinct: new Set(records.map((r) => String(r.value))).size, ordered };
}

module.exports = { codecs, keys, headers, nulls, timestamps, batches, sizes, seek, idempotence };
Object.defineProperty(module.exports, 'stock', { value: stock, enumerable: false });
