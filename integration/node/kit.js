'use strict';

const { execFile, spawn } = require('node:child_process');
const { promisify } = require('node:util');

const runId = process.env.RUN_ID;
const bootstrap = process.env.BOOTSTRAP;
// Every wait is a little shorter than the harness's own, so that the message says what hung.
const deadlineMs = 45_000;

const named = (name) => `${runId}-${name}`;
const say = (line) => process.stdout.write(line + '\n');
const pauseMs = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, holds) {
  for (const end = Date.now() + deadlineMs; ; await pauseMs(5)) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
  }
}

async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not return: ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// "ok" or the name of the error that a call ends with.
async function outcome(client, call) {
  try {
    await call();
    return 'ok';
  } catch (error) {
    console.error(error);
    return client.nameOf(error);
  }
}

async function broker(command) {
  await promisify(execFile)(process.env.BROKER_CTL, [command]);
}

// This program again, as a process of its own, with another scenario. Its lines are heard one by one.
function child(scenario, slot, hear) {
  const process_ = spawn(process.execPath, [process.argv[1], process.argv[2], scenario], {
    env: { ...process.env, SLOT: String(slot) }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  require('node:readline').createInterface({ input: process_.stdout }).on('line', hear);
  return process_;
}

const hasEnded = (process_) => process_.exitCode !== null || process_.signalCode !== null;

const place = (topic, partition) => `${topic}/${partition}`;

// Records with the numbers from..to-1 as values.
function numbered(from, to) {
  const records = [];
  for (let i = from; i < to; i++) records.push({ key: `k${i}`, value: String(i) });
  return records;
}

// What the members of a group handled.
class Tally {
  constructor() {
    this.count = 0;
    this.seen = new Map();
    this.first = new Map();
    this.handle = (r) => {
      this.count++;
      const what = `${r.topic} ${r.value}`;
      this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
      if (!this.first.has(place(r.topic, r.partition))) this.first.set(place(r.topic, r.partition), r);
    };
  }
  get distinct() {
    return this.seen.size;
  }
}

// Runs an action with an admin client.
async function asAdmin(client, action) {
  const admin = await client.admin();
  try {
    return await action(admin);
  } finally {
    await admin.close();
  }
}

const create = (client, topic, partitions, configs) =>
  asAdmin(client, async (admin) => {
    await admin.create(topic, partitions, configs);
    await until('the topic', async () => (await admin.topics()).includes(topic));
  });

async function produce(client, topic, records, options = {}) {
  const producer = await client.producer(options);
  try {
    await producer.send(topic, records);
  } finally {
    await producer.close();
  }
}

let readers = 0;

// The first n records from a topic's start, or from what seek gives for each partition, by a group of its own: neither
// library has a consumer without one.
async function read(client, topic, n, seek) {
  const records = [];
  const member = await client.join({
    group: named(`reader-${++readers}`), topic, reset: 'earliest', commit: 'manual', seek,
    handle: (r) => records.push(r),
  });
  await until(`${n} records of ${topic}`, () => records.length >= n);
  await member.close();
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

module.exports = {
  Tally, asAdmin, bootstrap, broker, child, create, hasEnded, named, numbered, outcome, pauseMs, place, produce, read, runId, say, until,
  within,
};
