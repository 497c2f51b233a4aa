// Writes and reads with the Node.js module aws-kinesis-agg. See ../README.md.
'use strict';
const readline = require('readline');
const { deaggregateSync, RecordAggregator } = require('aws-kinesis-agg');

function write({ records }) {
  const result = { records: [], errors: [] };
  const aggregator = new RecordAggregator((error, sealed) => {
    if (error) result.errors.push(`${error}`);
    else {
      const { partitionKey, ExplicitHashKey, data } = sealed;
      result.records.push({ partitionKey, explicitHashKey: ExplicitHashKey ?? null, data: data.toString('base64') });
    }
  });
  const userRecords = records.map(({ partitionKey, explicitHashKey, data }) => {
    const record = { partitionKey, data: Buffer.from(data, 'base64') };
    if (explicitHashKey != null) record.explicitHashKey = explicitHashKey;
    return record;
  });
  try {
    aggregator.aggregateRecords(userRecords, true);
  } catch (error) {
    result.errors.push(`${error}`);
  }
  return result;
}

// One Kinesis record a call, as the module has it; checksums on.
function read({ records }) {
  const result = { records: [] };
  for (const record of records) {
    deaggregateSync(record, true, (error, userRecords) => {
      if (error) {
        result.error = `${error}`;
        return;
      }
      for (const { partitionKey, explicitPartitionKey, data, sequenceNumber, subSequenceNumber } of userRecords) {
        result.records.push({
          partitionKey,
          explicitHashKey: explicitPartitionKey,
          data,
          sequenceNumber,
          subSequenceNumber,
        });
      }
    });
  }
  return result;
}

function version() {
  const version = (name) => `${name} ${require(`${name}/package.json`).version}`;
  return `${version('aws-kinesis-agg')}, ${version('protobufjs')}, Node.js ${process.versions.node}`;
}

// Reads each record alone, so that an error is that of one record, whose bytes the caller has.
function readEach({ records }) {
  const result = { records: [], errors: [] };
  for (const record of records) {
    const { records, error } = read({ records: [record] });
    const { sequenceNumber, data } = record;
    if (error) result.errors.push({ sequenceNumber, subSequenceNumber: 0, data, reason: error });
    else result.records.push(...records);
  }
  return result;
}

// An answer to a request of ../../../conformance/README.md.
function conformance(request) {
  const { operation, policy, records, after, options = {} } = request;
  if (operation === 'version') return { version: version() };
  if (operation === 'read') {
    if (![undefined, 'error'].includes(policy)) return { unsupported: `policy ${policy}` };
    return after ? { unsupported: 'resuming' } : readEach(request);
  }
  if (operation === 'write') {
    if (![undefined, 'wrapped', 'first_key'].includes(policy)) return { unsupported: `policy ${policy}` };
    if (records.some(({ tags }) => tags)) return { unsupported: 'tags' };
    const others = Object.keys(options).filter((name) => name !== 'maxSize' || options.maxSize !== 1 << 20);
    return others.length ? { unsupported: `options ${others.join(', ')}` } : write(request);
  }
  return { unsupported: `operation ${operation}` };
}

async function main() {
  const [verb] = process.argv.slice(2);
  if (verb === 'version') {
    console.log(version());
    return;
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const json = JSON.parse(line);
    const answer = { write, read, conformance }[verb](json);
    process.stdout.write(JSON.stringify({ ...answer, id: json.id }) + '\n');
  }
}

main();
