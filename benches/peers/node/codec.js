// The Node.js module aws-kinesis-agg: `node codec.js MODULES check|read|write SHAPE`. See ../measure.py.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const [modules, what, shape] = process.argv.slice(2);
const installed = (name) => path.resolve(modules, 'node_modules', name);
const { deaggregateSync, RecordAggregator } = require(installed('aws-kinesis-agg'));

// Each aggregate of a shape, with its user records.
function load(file) {
  const data = fs.readFileSync(file);
  let at = 0;
  const number = () => data.readUInt32BE((at += 4) - 4);
  const chunk = () => {
    const length = number();
    return Buffer.from(data.subarray(at, (at += length)));
  };
  const aggregates = [];
  while (at < data.length) {
    const aggregate = chunk();
    const count = number();
    const users = Array.from({ length: count }, () => ({ partitionKey: chunk().toString(), data: chunk() }));
    aggregates.push({ aggregate, users });
  }
  return aggregates;
}

// The form in which Lambda delivers records: base64 in, base64 out; checksums on.
const delivered = (data) => ({ data: data.toString('base64'), partitionKey: 'a', sequenceNumber: '1' });

function read(record, each) {
  deaggregateSync(record, true, (err, users) => {
    if (err) throw err;
    each(users);
  });
}

const aggregator = new RecordAggregator();

function write(users) {
  for (const user of users) aggregator.addUserRecord(user);
  return aggregator.build().data;
}

const now = () => Number(process.hrtime.bigint()) / 1e9;

// Calls the work with one item after the other, again and again, for as long as each order says.
async function serve(items, work) {
  for await (const order of readline.createInterface({ input: process.stdin })) {
    const times = [];
    let records = 0;
    const begin = now();
    while (now() - begin < Number(order)) {
      for (const { item, count } of items) {
        const before = now();
        work(item);
        times.push(now() - before);
        records += count;
      }
    }
    const seconds = now() - begin;
    times.sort((a, b) => a - b);
    const at = (share) => times[Math.floor((times.length - 1) * share)];
    console.log(JSON.stringify({ records, seconds, p50: at(0.5), p99: at(0.99) }));
  }
}

if (what === 'check') {
  for (const { aggregate, users } of load(shape)) {
    read(delivered(aggregate), (found) => {
      assert.strictEqual(found.length, users.length);
      found.forEach((record, index) => {
        assert(record.partitionKey === users[index].partitionKey, 'another partition key was read');
        assert(users[index].data.equals(Buffer.from(record.data, 'base64')), 'other data was read');
      });
    });
    assert(write(users).equals(aggregate), 'other bytes were written');
  }
} else {
  const version = (name) => `${name} ${require(path.join(installed(name), 'package.json')).version}`;
  console.log(`${version('aws-kinesis-agg')}, ${version('protobufjs')}, Node.js ${process.versions.node}`);
  const items = load(shape).map(({ aggregate, users }) => ({
    item: what === 'read' ? delivered(aggregate) : users,
    count: users.length,
  }));
  serve(items, what === 'read' ? (record) => read(record, () => {}) : write);
}
