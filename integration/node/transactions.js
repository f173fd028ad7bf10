'use strict';

const { create, named, outcome, produce, say, until } = require('./kit');

let readers = 0;

// What a reader gets before a record that is written after all.
async function seen(client, topic, uncommitted) {
  const last = `last-${++readers}`;
  const records = [];
  await produce(client, topic, [{ value: last, partition: 0 }]);
  const member = await client.join({
    group: named(`seen-${readers}`), topic, reset: 'earliest', commit: 'manual', uncommitted,
    handle: (r) => records.push({ offset: r.offset, text: String(r.value) }),
  });
  await until('the last record', () => records.some((r) => r.text === last));
  await member.close();
  return records.filter((r) => !r.text.startsWith('last-')).map((r) => `${r.offset} ${r.text}`).join(', ');
}

async function show(client, topic) {
  say(`committed: ${await seen(client, topic, false)}`);
  say(`all there is: ${await seen(client, topic, true)}`);
}

const texts = (...values) => values.map((value) => ({ value, partition: 0 }));

async function begun(client, id, timeoutMs) {
  const producer = await client.transactional(named(id), timeoutMs);
  await producer.begin();
  return producer;
}

// What a transaction shows to whom, what fences it, what ends it.
async function transactions(client) {
  for (const part of [committedAndAborted, interleaved, zombies, leftOpen, timedOut]) await part(client);
}

async function committedAndAborted(client) {
  const topic = named('visible');
  await create(client, topic, 1);
  const producer = await begun(client, 'visible');
  await producer.send(topic, texts('a0', 'a1'));
  await producer.commit();
  await producer.begin();
  await producer.send(topic, texts('b0', 'b1'));
  await producer.abort();
  await producer.begin();
  await producer.send(topic, texts('c0'));
  await producer.commit();
  await show(client, topic);
  await producer.close();
}

// What is behind an open transaction waits for its end, whoever wrote it.
async function interleaved(client) {
  const topic = named('interleaved');
  await create(client, topic, 1);
  const one = await begun(client, 'one');
  const other = await begun(client, 'other');
  await one.send(topic, texts('one-0'));
  await produce(client, topic, texts('plain-0'));
  await other.send(topic, texts('other-0'));
  await other.commit();
  const early = [];
  const member = await client.join({
    group: named('early'), topic, reset: 'earliest', commit: 'manual', handle: (r) => early.push(String(r.value)),
  });
  await until('a member', () => member.assigned().length === 1);
  // The marker of the other stands at 3.
  await until('the marker', async () => (await seen(client, topic, true)).includes('2 other-0'));
  say(`while one is open: ${early.length} records`);
  await member.close();
  await one.abort();
  await show(client, topic);
  await one.close();
  await other.close();
}

// A second producer of a transactional id ends the first one's transaction, and fences it.
async function zombies(client) {
  const topic = named('zombies');
  await create(client, topic, 1);
  const first = await begun(client, 'zombies');
  await first.send(topic, texts('first'));
  const second = await begun(client, 'zombies');
  await second.send(topic, texts('second'));
  say(`the first commits: ${await outcome(client, () => first.commit())}`);
  await second.commit();
  await show(client, topic);
  await second.close();
}

// A producer that comes back ends what it left open.
async function leftOpen(client) {
  const topic = named('left-open');
  await create(client, topic, 1);
  const left = await begun(client, 'left-open');
  await left.send(topic, texts('left'));
  const again = await begun(client, 'left-open');
  await again.send(topic, texts('again'));
  await again.commit();
  await show(client, topic);
  await again.close();
}

// A transaction that nobody ends is ended by the broker: else nothing behind it could be read.
async function timedOut(client) {
  const topic = named('timed-out');
  await create(client, topic, 1);
  const forgetful = await begun(client, 'timed-out', 1000);
  await forgetful.send(topic, texts('forgotten'));
  say(`before: ${await seen(client, topic, false)}`);
  say(`it commits: ${await outcome(client, () => forgetful.commit())}`);
  await show(client, topic);
  say(`a timeout that is too long: ${await outcome(client, () => begun(client, 'greedy', 900_001))}`);
}

module.exports = { transactions };
