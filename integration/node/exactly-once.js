'use strict';

const { asAdmin, child, create, hasEnded, named, pauseMs, read, say, until, within } = require('./kit');

const PARTITIONS = 3;
const SLOTS = 2;
const KILLS = 4; // How often a worker is killed.
const FENCED = 3; // A worker ends so when it is told that another one has its place.
const FENCED_NAMES = ['ERR__FENCED', 'ERR_FENCED_INSTANCE_ID', 'ERR__FATAL', 'ERR_PRODUCER_FENCED', 'ERR_INVALID_PRODUCER_EPOCH'];

// Workers are killed at random and started again; at last one is only stopped, and is a zombie when it goes on.
async function exactlyOnce(client) {
  const [source, sink] = [named('in'), named('out')];
  for (const topic of [source, sink]) await create(client, topic, PARTITIONS);
  const workers = Array.from({ length: SLOTS }, (_, slot) => startWorker(slot));
  // A worker that ended is started again, as whoever runs it would.
  const wait = (what, holds) => until(what, async () => {
    for (const [slot, w] of workers.entries()) if (hasEnded(w.process)) workers[slot] = startWorker(slot);
    return holds();
  });
  const written = () => asAdmin(client, (admin) => admin.total(sink));
  const goesOn = async (when) => {
    const before = await written();
    await wait(`records come out ${when}`, async () => (await written()) > before + 100);
  };
  const load = startLoad(client, source);
  for (let kill = 0; kill < KILLS; kill++) {
    await goesOn(`after ${kill} kills`);
    await pauseMs(Math.random() * 100);
    const slot = Math.floor(Math.random() * SLOTS);
    workers[slot].process.kill('SIGKILL');
    await until('its end', () => hasEnded(workers[slot].process));
    workers[slot] = startWorker(slot);
  }
  say(`killed ${KILLS}`);
  // Before it has begun to work, its return would be that of the newer one.
  await wait('the zombie-to-be works', () => workers[0].isWorking);
  const zombie = workers[0].process;
  zombie.kill('SIGSTOP');
  workers[0] = startWorker(0);
  await wait('the replacement works', () => workers[0].isWorking);
  zombie.kill('SIGCONT');
  await until('the end of the zombie', () => hasEnded(zombie));
  say(`the zombie is fenced: ${zombie.exitCode === FENCED}`);

  const produced = await load.stop();
  await wait('all of the input is worked off', async () => {
    const committed = await asAdmin(client, (admin) => admin.committed(named('eos'), source));
    return committed.reduce((sum, c) => sum + Math.max(c.offset, 0), 0) === produced;
  });
  for (const w of workers) w.process.kill('SIGKILL');
  // The reader sees committed records only; markers and aborted records count in the offsets, but not for it.
  const out = (await read(client, sink, produced)).map((r) => String(r.value));
  say(`duplicates ${out.length - new Set(out).size}, lost ${produced - new Set(out).size}`);
}

function startWorker(slot) {
  const w = { isWorking: false };
  w.process = child('worker', slot, () => (w.isWorking = true));
  return w;
}

function startLoad(client, topic) {
  let produced = 0;
  let stopping = false;
  const done = (async () => {
    const producer = await client.producer({ idempotent: true });
    while (!stopping) {
      const records = Array.from({ length: 10 }, (_, i) => ({ value: String(produced + i), partition: (produced + i) % PARTITIONS }));
      await producer.send(topic, records);
      produced += records.length;
      await pauseMs(20);
    }
    await producer.close();
    return produced;
  })();
  return { stop: () => ((stopping = true), within('the load', done)) };
}

// What runs in a worker's process. What fails ends it: whoever comes next goes on.
async function worker(client) {
  const place = named(`worker-${process.env.SLOT}`);
  const end = (error) => {
    console.error(error);
    process.exit(FENCED_NAMES.includes(client.nameOf(error)) ? FENCED : 1);
  };
  const producer = await client.transactional(place, 10_000).catch(end);
  const member = await client.join({
    group: named('eos'), topic: named('in'), instance: place, commit: 'manual',
    handleBatch: async (own, batch) => {
      try {
        await producer.begin();
        const { partition } = batch;
        await producer.send(named('out'), batch.messages.map(({ value }) => ({ value, partition })));
        await producer.sendOffsets(own, batch.topic, { [partition]: Number(batch.messages.at(-1).offset) + 1 });
        await producer.commit();
        say('working');
      } catch (error) {
        // A fenced producer only says that its queue was purged; the end of the transaction says why.
        await producer.abort().catch(end);
        end(error);
      }
    },
  });
  for (;;) {
    if (member.error()) end(member.error());
    await pauseMs(50);
  }
}

module.exports = { 'exactly-once': exactlyOnce, worker };
