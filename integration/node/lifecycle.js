'use strict';

const { Tally, asAdmin, broker, create, named, numbered, outcome, pauseMs, place, produce, read, runId, say, until, within } = require('./kit');
const { stock } = require('./records');

// A producer and a group member run while their topic grows, goes and comes back.
async function topics(client) {
  const [topic, group] = [named('topic'), named('group')];
  await asAdmin(client, async (admin) => {
    await create(client, topic, 1);
    const producer = await client.producer({});
    const tally = new Tally();
    const member = await client.join({ group, topic, commit: 'each', handle: tally.handle });
    await producer.send(topic, numbered(0, 10));
    await until('10 records', () => tally.distinct === 10);
    say('created: consumed 10');

    await admin.grow(topic, 3);
    // Until its metadata are new, KafkaJS drops a record for a partition that it does not know, without an error.
    const sendUntil = (what, value, partition, holds) => until(what, async () => {
      await producer.send(topic, [{ value, partition }]).catch((error) => console.error(error));
      await pauseMs(100);
      return holds();
    });
    await sendUntil('a record in the new partition', 'grown', 2, () => tally.first.has(place(topic, 2)));
    await until('all partitions', () => member.assigned().length === 3);
    say('grown: assigned 3, consumed from partition 2');

    await admin.delete(topic);
    await until('the topic to be gone', async () => !(await admin.topics()).includes(topic));
    say('deleted: listed false');
    // More partitions than before: KafkaJS looks only for new ones.
    await create(client, topic, 4);
    await sendUntil('a record in the topic made again', 'again', 1, () => tally.seen.has(`${topic} again`));
    const [first] = await read(client, topic, 1);
    say(`made again: offset ${first.offset}, value ${first.value}`);
    await until('the new partitions', () => member.assigned().length === 4);
    say('made again: assigned 4, consumed');
    await member.close();
    await producer.close();
  });
}

async function admin(client) {
  const [topic, other, group] = [named('topic'), named('other'), named('group')];
  const mine = (names) => names.filter((n) => n.startsWith(`${runId}-`)).map((n) => n.slice(runId.length + 1)).sort().join(' ');
  await asAdmin(client, async (a) => {
    // A library's missing calls are missing lines.
    const attempt = async (what, call, ...args) => {
      if (a[call]) say(`${what}: ${await outcome(client, () => a[call](...args))}`);
    };
    const ask = async (what, call, ...args) => {
      if (a[call]) say(`${what}: ${await a[call](...args)}`);
    };
    await attempt('create', 'create', topic, 3, { 'retention.ms': '3600000' });
    await attempt('create again', 'create', topic, 3);
    await attempt('create with a bad name', 'create', named('bad name!'), 1);
    await attempt('create with a bad config', 'create', other, 1, { 'retention.ms': 'soon' });
    await attempt('create the other', 'create', other, 1);
    await until('both topics', async () => mine(await a.topics()) === 'other topic');
    say('topics: other topic');
    await ask('partitions', 'partitions', topic);
    await attempt('grow to 5', 'grow', topic, 5);
    await attempt('grow to 2', 'grow', topic, 2);
    await until('5 partitions', async () => (await a.partitions(topic)) === 5);
    for (const key of ['retention.ms', 'cleanup.policy', 'max.message.bytes']) await ask(`config ${key}`, 'config', topic, key);
    await attempt('set retention.ms', 'setConfig', topic, 'retention.ms', '7200000');
    if (a.config) await until('the new value', async () => (await a.config(topic, 'retention.ms')).startsWith('7200000'));
    await attempt('set a bad value', 'setConfig', topic, 'retention.ms', 'soon');

    await produce(client, other, numbered(0, 20));
    await ask('offsets', 'range', other, 0);
    await attempt('delete records', 'deleteRecords', other, 0, 5);
    await ask('offsets', 'range', other, 0);
    await attempt('delete records beyond the end', 'deleteRecords', other, 0, 500);

    const tally = new Tally();
    const member = await client.join({ group, topic: other, commit: 'each', handle: tally.handle });
    await until('15 records', () => tally.count >= 15);
    await until('a stable group', async () => (await a.groupState(group)) === 'Stable, members 1');
    say(`groups: ${mine(await a.groups())}`);
    await ask('group', 'groupState', group);
    await attempt('delete a group in use', 'deleteGroup', group);
    await member.close();
    await until('an empty group', async () => (await a.groupState(group)) === 'Empty, members 0');
    await ask('group', 'groupState', group);
    const committed = async () => say(`committed: ${(await a.committed(group, other))[0].offset}`);
    await committed();
    if (a.setCommitted) {
      await attempt('set its offset', 'setCommitted', group, other, 0, 7);
      await committed();
    }
    await attempt('delete the group', 'deleteGroup', group);
    await attempt('delete it again', 'deleteGroup', group);
    say(`groups: ${mine(await a.groups())}`);
    await attempt('delete', 'delete', topic);
    await attempt('delete a missing topic', 'delete', named('missing'));
    await until('the topic to be gone', async () => mine(await a.topics()) === 'other');
    await ask('brokers', 'brokers');
  });
}

// The broker stops and starts twice under a load.
async function restart(client) {
  const [total, chunk] = [3000, 50];
  const topic = named('restart');
  await create(client, topic, 3);
  const tally = new Tally();
  const member = await client.join({ group: named('group'), topic, commit: 'each', handle: tally.handle });
  const producer = await client.producer({ idempotent: client.idempotent });
  let acknowledged = 0;
  const producing = (async () => {
    for (; acknowledged < total; acknowledged += chunk) {
      await producer.send(topic, numbered(acknowledged, acknowledged + chunk));
    }
  })();
  for (const at of [500, 1500]) {
    await until(`${at} acknowledged`, () => acknowledged >= at);
    await broker('restart');
  }
  await within('producing', producing);
  await producer.close();
  await until('the member to have all', () => tally.distinct === total);
  await within('closing', member.close());
  const { stored, distinct, ordered } = await stock(client, topic);
  say(`acknowledged ${acknowledged}, lost ${total - distinct}, duplicates ${stored - distinct}, in order ${ordered}`);
}

module.exports = { topics, admin, restart };
