import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import pg from 'pg';
import { TILE_WIDTH } from '#audit';
import { readCertificate } from '#pki';
import { openSecrets } from '../../dist/apps/touchmark/src/secrets.js';
import { CopyIn } from './copy.mjs';
import { COLUMNS } from './seed-columns.mjs';

const CHUNK = 1000;
const DAY_MS = 86_400_000;
/** Device certificates live for 90 days and are warned of for 60: those of the last 25 days need nothing yet. */
const SPREAD_DAYS = 25;

/** The instance's own database as its superuser. */
export async function connect(home) {
  const lines = (await readFile(path.join(home, 'pg/postmaster.pid'), 'utf8')).split('\n');
  const password = (await readFile(path.join(home, 'secrets/db-superuser'), 'utf8')).trim();
  const client = new pg.Client({
    host: lines[4],
    port: Number(lines[3]),
    user: 'postgres',
    password,
    database: 'touchmark',
  });
  await client.connect();
  await client.query('set search_path = touchmark');
  return client;
}

/** What the product wrote about one device that enrolled by its secret. */
async function readSample(client, deviceId) {
  const one = async (sql, values) => (await client.query(sql, values)).rows;
  const [device] = await one('select * from devices where id = $1', [deviceId]);
  const [certificate] = await one(
    `select c.*, s.shard from certificates c join serials s using (serial) where device_id = $1 and secret_id is not null`,
    [deviceId],
  );
  const [{ sealed_verifier: verifier }] = await one('select * from enrollment_secrets where device_id = $1', [
    deviceId,
  ]);
  const entries = await one('select * from audit where subject in ($1, $2) order by id', [
    `device:${deviceId}`,
    `certificate:${certificate.serial.toString('hex')}`,
  ]);
  return {
    ...{ device, certificate, entries, spki: readCertificate(certificate.der).publicKey.spki },
    ...{ appId: device.app_id, releaseId: device.release_id, verifierBytes: verifier.length },
    ...{ ownerOrgId: device.owner_org_id, issuerOrgId: device.issuer_org_id },
  };
}

/** Where log and tree end: rows that are appended continue both. */
async function readEnds(client) {
  const [head] = (await client.query('select seq::float8 as seq, mac from status_counter')).rows;
  const [ends] = (
    await client.query(`select (select max(id)::float8 from audit) as event,
      (select size::float8 from audit_sealer) as size, (select max(event_id)::float8 from audit_leaves) as sealed`)
  ).rows;
  if (ends.event !== ends.sealed) throw new Error('the audit trail is not sealed to its end');
  const open = [];
  for (let level = 0, count = ends.size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const from = count - (count % TILE_WIDTH);
    const { rows } = await client.query(
      level === 0
        ? 'select hash from audit_leaves where leaf_index >= $1 and $2 = 0 order by leaf_index'
        : 'select hash from audit_tile_roots where n >= $1 and level = $2 order by n',
      [from, level],
    );
    open.push(rows.map(({ hash }) => hash));
  }
  return { head, event: ends.event, tree: { size: ends.size, open } };
}

function secretsOf(home) {
  const directory = path.join(home, 'secrets');
  const config = { home, secretsDir: directory, caSecretsDir: directory };
  return { macKey: openSecrets(config, ['est'], { create: false }).of('est').statusMacKey };
}

/** For as long as rows come by the million. */
const SEEDING = { max_wal_size: '16GB', checkpoint_timeout: '1h', autovacuum: 'off' };

async function settle(client, settings) {
  for (const [name, value] of Object.entries(settings)) {
    await client.query(value === undefined ? `alter system reset ${name}` : `alter system set ${name} = '${value}'`);
  }
  await client.query('select pg_reload_conf()');
}

/** Those that are no constraint: at the end they are made in one go. Returns how. */
async function dropIndexes(client) {
  const { rows } = await client.query(
    `select x.indexrelid::regclass::text as name, replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON ') as definition
     from pg_index x join pg_class i on i.oid = x.indexrelid
     where x.indrelid = any($1::regclass[]) and not i.relispartition
       and not exists (select 1 from pg_constraint c where c.conindid = x.indexrelid)`,
    [Object.keys(COLUMNS)],
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows.map(({ definition }) => definition);
}

/**
 * Adds `count` devices, each enrolled like `deviceId`, to the database of an instance that runs without its worker; one in
 * `revokeEvery` certificates is revoked. MACs, log and audit tree are the product's: it takes the rows for its own.
 */
export async function seed(home, { deviceId, count, revokeEvery = 50 }) {
  const client = await connect(home);
  await settle(client, SEEDING);
  const indexes = await dropIndexes(client);
  const ends = await readEnds(client);
  const now = Date.now();
  const worker = new Worker(new URL('./seed-rows.mjs', import.meta.url), {
    workerData: {
      ...ends,
      ...secretsOf(home),
      sample: await readSample(client, deviceId),
      revokeEvery,
      from: now - SPREAD_DAYS * DAY_MS,
      stepMs: (SPREAD_DAYS * DAY_MS) / count,
    },
  });
  const streams = await Promise.all(
    Object.entries(COLUMNS).map(async ([table, columns]) => {
      const own = await connect(home);
      // The rows refer to each other and come at once: triggers would only look them up again.
      await own.query(`set session_replication_role = replica`);
      return { table, client: own, copy: new CopyIn(own, `copy ${table} (${columns}) from stdin`) };
    }),
  );
  const next = async (left) => {
    if (left <= 0) return undefined;
    worker.postMessage(Math.min(CHUNK, left));
    const [made] = await once(worker, 'message');
    return made;
  };
  let last;
  let made = await next(count);
  for (let left = count - CHUNK; made !== undefined; left -= CHUNK) {
    last = made;
    const following = next(left);
    for (const { table, copy } of streams) if (made.text[table] !== '') await copy.write(made.text[table]);
    made = await following;
  }
  await Promise.all(streams.map(({ copy }) => copy.end()));
  await Promise.all(streams.map((stream) => stream.client.end()));
  await worker.terminate();
  await client.query('update status_counter set seq = $1, mac = $2', [last.head.seq, Buffer.from(last.head.mac)]);
  await client.query('update audit_sealer set size = $1', [last.size]);
  // Nobody listened to what came before.
  await client.query('update notice_cursor set leaf_index = $1', [last.size]);
  await client.query(`select setval(pg_get_serial_sequence('touchmark.audit', 'id'), $1)`, [last.event]);
  await client.query(`set maintenance_work_mem = '512MB'`);
  for (const index of indexes) await client.query(index);
  // As autovacuum does it: no statistics over a partitioned table as a whole.
  const { rows: tables } = await client.query(
    `select oid::regclass::text as name from pg_class where relkind = 'r' and relnamespace = 'touchmark'::regnamespace`,
  );
  await client.query(`vacuum (analyze) ${tables.map(({ name }) => name).join(', ')}`);
  await client.query('checkpoint');
  await settle(client, Object.fromEntries(Object.keys(SEEDING).map((name) => [name, undefined])));
  const [{ bytes }] = (await client.query(`select pg_database_size('touchmark')::float8 as bytes`)).rows;
  await client.end();
  return { bytes };
}
