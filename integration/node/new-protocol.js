'use strict';

const { Tally, child, create, named, numbered, produce, say, until, within } = require('./kit');
const { joinAndLeave, shares } = require('./groups');

const protocol = 'consumer';

// Groups of the consumer protocol (KIP-848): the broker assigns, and evaluates patterns.
async function newProtocol(client) {
  await joinAndLeave(client, { protocol });
  await pattern(client);
  await staticMembers(client);
  await crash(client);
}

// A topic that is made later joins a pattern.
async function pattern(client) {
  for (const topic of ['rx-a', 'other']) await create(client, named(topic), 1);
  const member = await client.join({ protocol, group: named('pattern'), pattern: new RegExp(`^${named('rx-')}.*`), commit: 'each', handle: () => {} });
  await shares([member], 1);
  say(`assigned: ${member.assigned().join(' ')}`);
  await create(client, named('rx-b'), 2);
  await until("the new topic's partitions", () => member.assigned().length === 3);
  say(`assigned: ${member.assigned().join(' ')}`);
  await member.close();
}

// A static member comes back to its own partitions.
async function staticMembers(client) {
  const topic = named('static');
  await create(client, topic, 4);
  const join = (instance) => client.join({ protocol, group: topic, topic, instance, commit: 'each', handle: () => {} });
  let one = await join('one');
  const two = await join('two');
  say(`2 members: ${await shares([one, two], 4)}`);
  const [before, other] = [one, two].map((m) => m.assigned().join(' '));
  await one.close();
  one = await join('one');
  await until('the partitions again', () => one.assigned().length > 0);
  say(`restarted: same partitions ${one.assigned().join(' ') === before}, of the other too ${two.assigned().join(' ') === other}`);
  await one.close();
  await two.close();
}

// A member that is killed loses its partitions when its session ends.
async function crash(client) {
  const topic = named('crash');
  await create(client, topic, 6);
  let has = '';
  const killed = child('crash-member', 0, (line) => (has = line));
  const tally = new Tally();
  const member = await client.join({ protocol, group: topic, topic, commit: 'each', handle: tally.handle });
  await until('both to have their share', () => member.assigned().length === 3 && has === '3');
  await produce(client, topic, numbered(0, 300));
  killed.kill('SIGKILL');
  await until('the other to have all', () => member.assigned().length === 6);
  // What the killed one had processed and not committed is there again.
  await until('all records', () => tally.distinct === 300);
  say(`after a crash: ${await shares([member], 6)}`);
  await within('closing', member.close());
}

// The process that is killed: it commits nothing, and says how many partitions it has.
async function crashMember(client) {
  const member = await client.join({ protocol, group: named('crash'), topic: named('crash'), commit: 'manual', handle: () => {} });
  let told = -1;
  await until('being killed', () => {
    const count = member.assigned().length;
    if (count !== told) say(String((told = count)));
    return false;
  });
}

module.exports = { 'new-protocol': newProtocol, 'crash-member': crashMember };
