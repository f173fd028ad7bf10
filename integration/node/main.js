// Scenarios for the Node clients: `node main.js CLIENT SCENARIO` prints what it saw (see ../README.md).
//
// A scenario is written once; kafkajs.js and confluent.js adapt the two libraries to what it asks:
//
//   idempotent, seeks...                 what the library can do
//   producer({codec, idempotent})        -> {send(topic, records), close()}
//   join({group, topic, pattern, instance, cooperative, reset, commit, handle, seek}) -> member
//        member: assigned(), rebalances(), commit(topic, partition, next, metadata), pause(topic, partition),
//        resume(topic, partition), error(), close()
//   transactional(id, timeoutMs)         -> {begin(), send(topic, records), sendOffsets(member, topic, offsets), commit(), abort(), close()}
//   admin()                              -> see the adapters
//   nameOf(error)                        Kafka's name of an error
'use strict';

const adapters = { kafkajs: './kafkajs', 'confluent-javascript': './confluent' };
const scenarios = { ...require('./records'), ...require('./groups'), ...require('./lifecycle'), ...require('./transactions'), ...require('./exactly-once'), ...require('./new-protocol') };

async function main([client, scenario]) {
  if (!adapters[client] || !scenarios[scenario]) {
    console.error(`usage: main.js ${Object.keys(adapters).join('|')} SCENARIO`);
    process.exit(2);
  }
  await scenarios[scenario](require(adapters[client]));
  process.exit(0);
}

process.on('unhandledRejection', (error) => fail(error));
process.on('uncaughtException', (error) => fail(error));

function fail(error) {
  console.error(error);
  process.exit(1);
}

main(process.argv.slice(2)).catch(fail);
