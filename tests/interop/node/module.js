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
      result.records.push({ partitionKey, explicitHashKey: ExplicitHashKey, data: data.toString('base64') });
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

async function main() {
  const [verb] = process.argv.slice(2);
  if (verb === 'version') {
    const version = (name) => `${name} ${require(`${name}/package.json`).version}`;
    console.log(`${version('aws-kinesis-agg')}, ${version('protobufjs')}, Node.js ${process.versions.node}`);
    return;
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const json = JSON.parse(line);
    process.stdout.write(JSON.stringify(verb === 'write' ? write(json) : read(json)) + '\n');
  }
}

main();
