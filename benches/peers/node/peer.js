// Measures the Node.js module aws-kinesis-agg: `node peer.js MODULES SHAPES RESULT`. See ../run.sh.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');

const [modules, shapes, result] = process.argv.slice(2);
const installed = (name) => path.resolve(modules, 'node_modules', name);
const { deaggregateSync, RecordAggregator } = require(installed('aws-kinesis-agg'));

const WARM_UP = 1e9;
const MEASURE = 3e9;

// The aggregates of a shape, and the user records of each.
function load(file) {
  const data = fs.readFileSync(file);
  let at = 0;
  const number = () => data.readUInt32BE((at += 4) - 4);
  const chunk = () => {
    const length = number();
    return Buffer.from(data.subarray(at, (at += length)));
  };
  const aggregates = [];
  const records = [];
  while (at < data.length) {
    aggregates.push(chunk());
    const count = number();
    records.push(Array.from({ length: count }, () => ({ partitionKey: chunk().toString(), data: chunk() })));
  }
  return { aggregates, records };
}

const now = () => Number(process.hrtime.bigint());

// The shortest time of one call in seconds, after a warm-up.
function best(work) {
  let shortest = Infinity;
  let passes = 0;
  for (const start = now(); now() - start < WARM_UP; ) work();
  for (const start = now(); passes < 3 || now() - start < MEASURE; passes++) {
    const before = now();
    work();
    shortest = Math.min(shortest, now() - before);
  }
  return shortest / 1e9;
}

// The form in which Lambda delivers records: base64 in, base64 out; checksums on.
function decode(batch, each) {
  for (const record of batch) {
    deaggregateSync(record, true, (err, userRecords) => {
      if (err) throw err;
      each(userRecords);
    });
  }
}

function encode(records) {
  const aggregator = new RecordAggregator();
  return records.map((aggregate) => {
    for (const record of aggregate) aggregator.addUserRecord(record);
    return aggregator.build().data;
  });
}

const figures = { decode: {}, encode: {} };
for (const size of [20, 100, 1000]) {
  const { aggregates, records } = load(path.join(shapes, `${size}.bin`));
  const batch = aggregates.map((data) => ({ data: data.toString('base64'), partitionKey: 'a', sequenceNumber: '1' }));
  const expected = records.flat();
  let count = 0;
  decode(batch, (userRecords) => {
    for (const record of userRecords) {
      const { partitionKey, data } = expected[count++];
      assert(record.partitionKey === partitionKey && data.equals(Buffer.from(record.data, 'base64')));
    }
  });
  assert.strictEqual(count, expected.length);
  encode(records).forEach((data, index) => assert(data.equals(aggregates[index]), 'other bytes were written'));

  const total = aggregates.reduce((sum, data) => sum + data.length, 0);
  figures.decode[size] = total / best(() => decode(batch, () => {}));
  figures.encode[size] = total / best(() => encode(records));
}
const version = (name) => require(path.join(installed(name), 'package.json')).version;
figures.language = 'Node.js';
figures.language_version = process.versions.node;
figures.modules = Object.fromEntries(['aws-kinesis-agg', 'protobufjs'].map((name) => [name, version(name)]));
fs.writeFileSync(result, JSON.stringify(figures, null, 2));
