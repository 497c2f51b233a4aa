// Runs a writer against a Kinesis server of its own: `serve.js COMMAND... write`, or `conformance`. See ../README.md.
//
// The server speaks TLS at KINESIS_PORT and has one stream, "interop", of SHARDS shards. For every line the writer tells
// which sequence numbers the server gave its user records; here they become the Kinesis records that GetRecords gives. Other
// lines are answers already.
'use strict';
const { spawn, spawnSync } = require('child_process');
const https = require('https');
const readline = require('readline');
const kinesalite = require('kinesalite');
const putRecords = require('kinesalite/validations/putRecords');

// It counts UTF-16 units where the service counts characters.
putRecords.types.Records.children.children.PartitionKey.lengthLessThanOrEqual = 512;

const stream = { StreamName: 'interop' };
const server = kinesalite({ ssl: true, createStreamMs: 0 });

// The server checks that there is a signature, and not which.
function call(operation, body) {
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: '127.0.0.1',
        port: server.address().port,
        method: 'POST',
        rejectUnauthorized: false,
        headers: {
          'X-Amz-Target': `Kinesis_20131202.${operation}`,
          'Content-Type': 'application/x-amz-json-1.1',
          'X-Amz-Date': '20250101T000000Z',
          Authorization:
            'AWS4-HMAC-SHA256 Credential=any/20250101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=any',
        },
      },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text && JSON.parse(text));
          else reject(new Error(`${operation}: ${text}`));
        });
      },
    );
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}

async function iterators() {
  const { Shards } = await call('ListShards', stream);
  const types = { ShardIteratorType: 'TRIM_HORIZON', ...stream };
  return Promise.all(
    Shards.map(async ({ ShardId }) => (await call('GetShardIterator', { ShardId, ...types })).ShardIterator),
  );
}

// Moves what came into the stream since it was asked last into a map by sequence number.
async function fetch(shards, records) {
  for (const shard of shards.keys()) {
    for (;;) {
      const { Records, NextShardIterator } = await call('GetRecords', { ShardIterator: shards[shard] });
      shards[shard] = NextShardIterator;
      if (!Records.length) break;
      for (const { PartitionKey, Data, SequenceNumber } of Records) {
        records.set(SequenceNumber, { partitionKey: PartitionKey, data: Data, shard });
      }
    }
  }
}

async function main() {
  const [command, ...rest] = process.argv.slice(2);
  if (!['write', 'conformance'].includes(rest.at(-1))) {
    spawnSync(command, rest, { stdio: 'inherit' });
    return;
  }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  await call('CreateStream', { ShardCount: Number(process.env.SHARDS || 1), ...stream });
  const shards = await iterators();
  const env = { ...process.env, KINESIS_PORT: `${server.address().port}` };
  const writer = spawn(command, rest, { env, stdio: ['inherit', 'pipe', 'inherit'] });
  writer.on('close', (code) => process.exit(code));
  const records = new Map();
  for await (const line of readline.createInterface({ input: writer.stdout })) {
    const { id, sequenceNumbers, errors } = JSON.parse(line);
    if (!sequenceNumbers) {
      process.stdout.write(line + '\n');
      continue;
    }
    await fetch(shards, records);
    const sent = [...new Set(sequenceNumbers)].map((number) => records.get(number));
    sequenceNumbers.forEach((number) => records.delete(number));
    process.stdout.write(JSON.stringify({ id, records: sent, errors }) + '\n');
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
