import { generateKeyPairSync } from 'node:crypto';
import path from 'node:path';
import pg from 'pg';
import {
  canonicalJson,
  ED25519,
  formatCheckpoint,
  GrowingTree,
  leafHash,
  noteKey,
  rawPublicKey,
  signNote,
  verifyExport,
} from '#audit';
import { api, makeRelease } from '../lib/client.mjs';
import { each, median } from '../lib/load.mjs';
import { startInstance } from '../lib/processes.mjs';

const ENTRIES = 200_000;
const CHUNK = 256 * 1024;

/** An export and its checkpoint, verified as `touchmark audit verify` does. */
export async function auditVerify({ rounds = 5 } = {}) {
  const lines = Array.from({ length: ENTRIES }, (_, n) =>
    Buffer.from(
      canonicalJson({
        v: 1,
        at: new Date(1.7e12 + n).toISOString(),
        actor: `operator:${n % 100}`,
        action: 'certificate.issued',
        subject: `certificate:01${n.toString(16).padStart(34, '0')}`,
        outcome: 'success',
        requestId: `0197b2c0-0000-7000-8000-${n.toString(16).padStart(12, '0')}`,
        detail: { deviceId: '0197b2c0-0000-7000-8000-000000000001', profile: 'device' },
        ownerOrgId: '0197b2c0-0000-7000-8000-000000000002',
        issuerOrgId: '0197b2c0-0000-7000-8000-000000000003',
      }),
    ),
  );
  const pair = generateKeyPairSync('ed25519');
  const key = noteKey('touchmark/bench/audit', ED25519, rawPublicKey(pair.publicKey));
  const tree = new GrowingTree();
  for (const line of lines) tree.add(leafHash(line));
  const text = formatCheckpoint({ origin: key.name, size: ENTRIES, root: tree.root() });
  const note = signNote(text, key, pair.privateKey);
  const file = Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]));
  async function* chunks() {
    for (let at = 0; at < file.length; at += CHUNK) yield file.subarray(at, at + CHUNK);
  }
  const rates = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    await verifyExport(chunks(), key, note);
    rates.push(ENTRIES / ((performance.now() - began) / 1000));
  }
  const perSecond = median(rates);
  return [
    {
      name: 'audit verify',
      target: '50,000 entries/s',
      met: perSecond >= 50_000,
      perSecond,
      entries: ENTRIES,
      bytes: file.length,
    },
  ];
}

/** API keys issued with the audit log, sealing included, and with inserts into it switched off, in turns. */
export async function auditCost({ count = 200, rounds = 17 } = {}) {
  const instance = await startInstance();
  const client = new pg.Client({
    host: path.join(instance.home, 'pg'),
    port: 5432,
    user: 'postgres',
    password: await instance.secret('db-superuser'),
    database: 'touchmark',
  });
  await client.connect();
  try {
    const { appId } = await makeRelease(instance);
    let version = 0;
    const issue = async () => {
      // A release has two keys of each environment at most.
      const wanted = [];
      for (let i = 0; i < count / 4; i++) {
        const release = await api(instance, 'POST', `/v1/apps/${appId}/releases`, { version: `1.${version++}` });
        for (const environment of ['live', 'live', 'test', 'test']) wanted.push({ releaseId: release.id, environment });
      }
      const began = performance.now();
      await each(count, 8, (i) => api(instance, 'POST', '/v1/keys', { ...wanted[i], audience: 'all' }));
      return count / ((performance.now() - began) / 1000);
    };
    await client.query('create rule no_audit as on insert to touchmark.audit do instead nothing');
    const audit = (on) => client.query(`alter table touchmark.audit ${on ? 'disable' : 'enable'} rule no_audit`);
    await audit(true);
    await issue();
    const results = [];
    for (let round = 0; round < rounds; round++) {
      // Whoever comes first in a pair has no advantage over the rounds.
      const rate = {};
      for (const on of round % 2 === 0 ? [true, false] : [false, true]) {
        await audit(on);
        rate[on ? 'with' : 'without'] = await issue();
      }
      results.push(rate);
    }
    const ratio = median(results.map((r) => r.with / r.without));
    return [
      {
        name: 'issue keys, with audit against without',
        target: 'ratio >= 0.9',
        met: ratio >= 0.9,
        perSecond: median(results.map((r) => r.with)),
        baselinePerSecond: median(results.map((r) => r.without)),
        ratio,
      },
    ];
  } finally {
    await client.end();
    await instance.stop();
  }
}
