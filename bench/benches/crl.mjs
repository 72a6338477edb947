import { createSecretKey, createHash } from 'node:crypto';
import path from 'node:path';
import { loadConfig, systemClock } from '#kernel';
import { newSerial } from '#pki';
import { OcspDelegates, publishCrl } from '#publication';
import { InProcessSigner } from '#signing';
import { Follower } from '#status';
import { IssuerDirectory } from '#authority';
import { appendStatusChanges, Database, findArtifact } from '#store';
import { median } from '../lib/load.mjs';
import { startInstance } from '../lib/processes.mjs';
import { pino } from 'pino';

const ENTRIES = 100_000;
const ROUNDS = 5;

/** From the database to a signed, re-read and published CRL, in this process; peak memory above what it had before. */
export async function crl() {
  // Without the worker: nobody else publishes meanwhile.
  const instance = await startInstance({ planes: 'api' });
  try {
    const tools = await open(instance);
    try {
      await seed(tools);
      return [await measure(tools)];
    } finally {
      await tools.close();
    }
  } finally {
    await instance.stop();
  }
}

async function open(instance) {
  const as = async (role) =>
    Database.open(
      {
        host: path.join(instance.home, 'pg'),
        port: 5432,
        user: `tm_${role}`,
        password: await instance.secret(`db-${role}`),
        database: 'touchmark',
        ssl: false,
      },
      6,
      console.error,
    );
  const key = async (name) => Buffer.from(await instance.secret(name), 'base64');
  const [database, signerDatabase] = await Promise.all([as('worker'), as('signer')]);
  const macKey = createSecretKey(await key('status.mac'));
  const follower = new Follower({
    database,
    macKey,
    clock: systemClock,
    pollMs: 250,
    peppers: undefined,
    onError: console.error,
  });
  const issuer = await new IssuerDirectory(database).issuing();
  const publisher = {
    database,
    clock: systemClock,
    signer: new InProcessSigner(signerDatabase, await key('ca.kek'), systemClock),
    follower,
    delegates: new OcspDelegates(await key('ocsp.kek'), console.error),
    lifetimes: loadConfig({}).lifetimes,
    log: pino({ level: 'warn' }),
  };
  const close = async () => {
    await follower.stop();
    await database.close();
    await signerDatabase.close();
  };
  return { database, macKey, follower, issuer, publisher, close };
}

async function seed({ database, macKey, issuer, follower }) {
  const at = new Date();
  const notAfter = new Date(at.getTime() + 60 * 86_400_000);
  const reasons = ['keyCompromise', 'superseded', 'unspecified', 'cessationOfOperation'];
  for (let block = 0; block < ENTRIES / 1000; block++) {
    const changes = Array.from({ length: 1000 }, (_, i) => ({
      kind: 'certificate',
      subject: newSerial(),
      status: 'revoked',
      reason: reasons[i % reasons.length],
      at,
      invalidityDate: null,
      endsAt: null,
      issuerId: issuer.id,
      shard: 0,
      notAfter,
    }));
    await database.transaction((tx) => appendStatusChanges(tx, macKey, changes));
  }
  await follower.start();
}

async function measure({ database, issuer, publisher }) {
  const seconds = [];
  const rss = [];
  let published;
  for (let round = 0; round < ROUNDS; round++) {
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 5);
    const began = performance.now();
    published = await publishCrl(publisher, issuer, 'full');
    seconds.push((performance.now() - began) / 1000);
    clearInterval(watch);
    rss.push((Math.max(peak, process.memoryUsage().rss) - before) / 2 ** 20);
  }
  const artifact = await database.transaction((tx) => findArtifact(tx, `crl/${issuer.id}.crl`));
  const digest = createHash('sha256').update(artifact.bytes).digest();
  if (!digest.equals(artifact.sha256) || published.entries !== ENTRIES)
    throw new Error('not the CRL that was asked for');
  const time = median(seconds);
  // Later rounds reuse memory that an earlier one took from the system: the largest is what a first run needs.
  const rssMb = Math.max(...rss);
  return {
    name: `CRL, ${ENTRIES} entries`,
    target: '2 s, RSS + 150 MB',
    met: time <= 2 && rssMb <= 150,
    seconds: time,
    rssMb,
    entries: published.entries,
    bytes: artifact.bytes.length,
  };
}
