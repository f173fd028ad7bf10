'use strict';

const { Tally, asAdmin, create, named, numbered, pauseMs, place, produce, say, until, within } = require('./kit');

// How many partitions each member has, smallest first, once together they have all of them, evenly.
function shares(members, partitions) {
  return until(`${members.length} members sharing ${partitions} partitions`, () => {
    for (const m of members) if (m.error()) throw m.error();
    const all = members.flatMap((m) => m.assigned());
    const counts = members.map((m) => m.assigned().length).sort();
    const evenly = counts.at(-1) - counts[0] <= 1;
    return all.length === partitions && new Set(all).size === partitions && evenly && counts.join(' ');
  });
}

// 1 to 5 members come and go, one at a time, while records are produced.
async function joinAndLeave(client, kind) {
  const [topic, group] = [named('groups'), named('group')];
  await create(client, topic, 6);
  // Idempotent: KafkaJS sends again after a late answer, and that would count as records consumed twice.
  const producer = await client.producer({ idempotent: true });
  const tally = new Tally();
  let members = [];
  let sent = 0;
  const step = async (change) => {
    const from = sent;
    sent += 300;
    const producing = (async () => {
      for (let at = from; at < from + 300; at += 20) await producer.send(topic, numbered(at, at + 20));
    })();
    await change();
    say(`${members.length} members: ${await shares(members, 6)}`);
    await producing;
  };
  for (let i = 0; i < 5; i++) {
    await step(async () => {
      members.push(await client.join({ group, topic, ...kind, commit: 'each', handle: tally.handle }));
    });
  }
  for (let i = 0; i < 4; i++) {
    await step(async () => {
      await within('leaving the group', members.shift().close());
    });
  }
  await until('all records', () => tally.distinct >= sent);
  await members[0].close();
  await producer.close();
  const committed = await asAdmin(client, (admin) => admin.committed(group, topic));
  const total = committed.reduce((sum, c) => sum + c.offset, 0);
  say(`delivered ${sent}, duplicates ${tally.count - tally.distinct}, lost ${sent - tally.distinct}, committed ${total}`);
}

const groups = (client) => joinAndLeave(client, {});
const cooperative = (client) => joinAndLeave(client, { cooperative: true });

// `static` is a reserved word.
async function staticMembers(client) {
  const [topic, group] = [named('static'), named('group')];
  await create(client, topic, 4);
  const join = (instance) => client.join({ group, topic, instance, commit: 'each', handle: () => {} });
  let one = await join('one');
  await shares([one], 4);
  const two = await join('two');
  say(`2 members: ${await shares([one, two], 4)}`);
  const before = one.assigned().join(' ');
  const rebalances = two.rebalances();
  await one.close();
  one = await join('one');
  await until('the partitions again', () => one.assigned().length > 0);
  const same = one.assigned().join(' ') === before;
  say(`restarted: same partitions ${same}, rebalances of the other ${two.rebalances() - rebalances}`);

  const again = await join('one');
  const error = await until("the first member's end", () => one.error());
  say(`the first of two with one id: ${client.nameOf(error)}`);
  await until("the second's partitions", () => again.assigned().join(' ') === before);
  say('the second: same partitions true');
}

async function commit(client) {
  const topic = named('commit');
  await create(client, topic, 1);
  await produce(client, topic, numbered(0, 100));
  await asAdmin(client, async (admin) => {
    const show = async (group, what, want) => {
      const found = await until(`${what}: committed ${want}`, async () => {
        const [c] = await admin.committed(group, topic);
        return c?.offset === want && c;
      });
      say(`${what}: committed ${found.offset}`);
      return found;
    };
    let tally = new Tally();
    let member = await client.join({ group: named('auto'), topic, commit: 'auto', handle: tally.handle });
    await until('100 records', () => tally.count === 100);
    await show(named('auto'), 'automatic', 100);
    await member.close();

    const manual = named('manual');
    const join = () => client.join({ group: manual, topic, commit: 'manual', handle: tally.handle });
    tally = new Tally();
    member = await join();
    await until('100 records', () => tally.count === 100);
    await member.commit(topic, 0, 50);
    await show(manual, 'manual', 50);
    await member.commit(topic, 0, 70, 'a note');
    say(`metadata: ${JSON.stringify((await show(manual, 'with metadata', 70)).metadata)}`);
    await member.close();
    await show(manual, 'after leaving', 70);

    tally = new Tally();
    member = await join();
    await until('30 records', () => tally.count === 30);
    say(`the next member begins at ${tally.first.get(place(topic, 0)).offset}`);
    await member.close();
  });
}

async function reset(client) {
  const topic = named('reset');
  await create(client, topic, 1);
  const producer = await client.producer({});
  await producer.send(topic, numbered(0, 10));
  const joined = async (kind) => {
    const tally = new Tally();
    const member = await client.join({ group: named(kind), topic, reset: kind, commit: 'manual', handle: tally.handle });
    return [tally, member];
  };

  let [tally, member] = await joined('earliest');
  await until('10 records', () => tally.count === 10);
  say(`earliest: begins at ${tally.first.get(place(topic, 0)).offset}`);
  await member.close();

  [tally, member] = await joined('latest');
  await shares([member], 1);
  await until('a new record', async () => {
    await producer.send(topic, [{ value: 'new' }]);
    await pauseMs(20);
    return tally.count > 0;
  });
  say(`latest: nothing old ${tally.first.get(place(topic, 0)).offset >= 10}`);
  await member.close();
  await producer.close();
}

async function pause(client) {
  const [still, moving] = [named('still'), named('moving')];
  for (const topic of [still, moving]) await create(client, topic, 1);
  const producer = await client.producer({});
  const counts = { [still]: 0, [moving]: 0 };
  let ordered = true;
  const member = await client.join({
    group: named('group'), pattern: new RegExp(`^${named('(still|moving)')}$`), commit: 'manual',
    handle: (r) => {
      ordered &&= r.offset === counts[r.topic];
      counts[r.topic]++;
    },
  });
  const both = async (from, to) => {
    await producer.send(still, numbered(from, to));
    await producer.send(moving, numbered(from, to));
    await until(`${to} records`, () => counts[moving] >= to);
  };
  await both(0, 10);
  await until('10 records', () => counts[still] === 10);
  member.pause(still, 0);
  await both(10, 60); // What a fetch under way brings may still arrive here.
  const before = counts[still];
  await both(60, 110);
  say(`paused: one stands still ${counts[still] === before}, the other has ${counts[moving]}`);
  member.resume(still, 0);
  await until('110 records', () => counts[still] >= 110);
  await member.close();
  await producer.close();
  say(`resumed: one has ${counts[still]}, the other has ${counts[moving]}, in order ${ordered}`);
}

async function regex(client) {
  for (const name of ['rx-a', 'rx-b', 'other']) {
    await create(client, named(name), 1);
    await produce(client, named(name), numbered(0, 10));
  }
  const tally = new Tally();
  const pattern = new RegExp(`^${named('rx-')}.*`);
  const member = await client.join({ group: named('group'), pattern, commit: 'each', handle: tally.handle });
  await until('20 records', () => tally.distinct === 20);
  say(`assigned: ${member.assigned().join(' ')}`);
  if (client.watchesPattern) {
    await create(client, named('rx-c'), 2);
    await until("the new topic's partitions", () => member.assigned().length === 4);
    say(`assigned: ${member.assigned().join(' ')}`);
    await produce(client, named('rx-c'), numbered(0, 10));
    await until('30 records', () => tally.distinct === 30);
  }
  await member.close();
  say(`consumed ${tally.distinct}, of another topic ${tally.first.has(place(named('other'), 0)) ? 1 : 0}`);
}

module.exports = { groups, cooperative, static: staticMembers, commit, reset, pause, regex };
for (const [name, value] of Object.entries({ joinAndLeave, shares })) Object.defineProperty(module.exports, name, { value, enumerable: false });
