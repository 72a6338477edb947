import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../apps/touchmark/src/embedded-postgres.js';
import { readCertificate } from '#pki';
import { silent } from '../harness/database.js';
import { certificateOf, csrOf, newKey, simpleEnroll } from '../harness/device.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

interface Event {
  id: string;
  at: string;
  actor: string;
  action: string;
  subject: string;
  outcome: string;
  detail: { channel?: string; error?: string; milliseconds: Record<string, number> };
}

const CHANNELS = [
  'prepare',
  'issueKey',
  'introspect',
  'enroll',
  'ocspGood',
  'introspectRevoked',
  'ocspRevoked',
  'crlRevoked',
];

let instance: TestInstance;
let superuser: pg.Client;

beforeAll(async () => {
  instance = await startTestInstance({ TOUCHMARK_CANARY_SECONDS: '3' });
  const password = (await readFile(path.join(instance.home, 'secrets/db-superuser'), 'utf8')).trim();
  const { host, port, user, database } = await startEmbeddedPostgres({ home: instance.home, password, log: silent });
  superuser = new pg.Client({ host, port, user, password, database, options: '-c search_path=touchmark,public' });
  await superuser.connect();
});
afterAll(async () => {
  await superuser.end();
  await instance.stop();
});

async function eventsOf(action: string): Promise<Event[]> {
  const reply = await instance.api('GET', `/v1/audit/events?action=${action}&limit=50`);
  expect(reply.status).toBe(200);
  return reply.json<{ items: Event[] }>().items;
}

async function eventually<T>(what: string, find: () => Promise<T | undefined>, limitMs = 45_000): Promise<T> {
  const limit = performance.now() + limitMs;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function metric(name: string): Promise<number | undefined> {
  const { text } = await instance.api('GET', '/metrics');
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

describe('the inner canary', () => {
  test('passes on a healthy instance, and says for each channel how long it took', async () => {
    const [passed] = await eventually('a run', async () => {
      const events = await eventsOf('canary.passed');
      return events.length > 0 ? events : undefined;
    });
    // On a slow machine the first run may come before the planes listen, which no setting but this short one lets happen.
    const failed = await eventsOf('canary.failed');
    expect(failed.filter(({ detail }) => detail.error !== 'unreachable')).toEqual([]);
    expect(passed).toMatchObject({ actor: 'system:worker', outcome: 'success', subject: 'plane:worker' });
    expect(Object.keys(passed!.detail.milliseconds).sort()).toEqual([...CHANNELS].sort());
    for (const ms of Object.values(passed!.detail.milliseconds)) expect(ms).toBeLessThan(10_000);
    expect(await metric('touchmark_canary_runs_total{outcome="passed"}')).toBeGreaterThanOrEqual(1);
    const shown = 'touchmark_canary_channel_seconds{channel="crlRevoked"}';
    await eventually('the run in the figures', () => metric(shown));
    expect(await metric('touchmark_canary_last_pass_timestamp_seconds')).toBeGreaterThan(1.7e9);
    for (const channel of CHANNELS) {
      expect(await metric(`touchmark_canary_channel_seconds{channel="${channel}"}`)).toBeGreaterThanOrEqual(0);
      expect(await metric(`touchmark_canary_channel_failing{channel="${channel}"}`)).toBe(0);
    }
  });

  test('makes vendor, app, release and device once, whatever the number of runs', async () => {
    await eventually('three runs', async () => ((await eventsOf('canary.passed')).length >= 3 ? true : undefined));
    const { rows } = await superuser.query(
      `select (select count(*)::int from organizations where name = 'Touchmark inner canary') as vendors,
         (select count(*)::int from apps) as apps, (select count(*)::int from releases) as releases,
         (select count(*)::int from devices) as devices`,
    );
    expect(rows).toEqual([{ vendors: 1, apps: 1, releases: 1, devices: 1 }]);
  });

  test('writes a handful of audit rows per run, and leaves no key and no certificate usable', async () => {
    const [newer, older] = await eventually('two runs', async () => {
      const events = await eventsOf('canary.passed');
      return events.length >= 4 ? events : undefined;
    });
    const { rows } = await superuser.query<{ n: number }>(
      'select count(*)::int as n from audit where id > $1 and id <= $2',
      [older!.id, newer!.id],
    );
    expect(rows[0]!.n).toBeLessThanOrEqual(12);
    // What the run of this very moment has not revoked yet is one of each at most.
    const left = async (route: string) => (await instance.api('GET', route)).json<{ items: unknown[] }>().items.length;
    expect(await left('/v1/keys?status=active')).toBeLessThanOrEqual(1);
    expect(await left('/v1/certificates?status=active&profile=device')).toBeLessThanOrEqual(1);
  });

  test('revokes what a run that broke off left behind', async () => {
    const { items: devices } = (await instance.api('GET', '/v1/devices')).json<{
      items: { id: string; instanceId: string; releaseId: string }[];
    }>();
    const [device] = devices;
    const body = { releaseId: device!.releaseId, audience: 'all', environment: 'test' };
    const key = (await instance.api('POST', '/v1/keys', body)).json<{ id: string }>();
    // A run that resets the device in between takes the secret away: then once more.
    const serial = await eventually('an enrollment beside the runs', async () => {
      const reset = await instance.api('POST', `/v1/devices/${device!.id}/reset`, {});
      const { enrollment } = reset.json<{ enrollment: { username: string; secret: string } }>();
      const enrolled = await simpleEnroll(instance, enrollment, csrOf(device!, newKey()));
      return enrolled.status === 200 ? readCertificate(certificateOf(enrolled)).serial : undefined;
    });
    const statusOf = async (route: string) => (await instance.api('GET', route)).json<{ status: string }>().status;
    await eventually('both are revoked', async () => {
      const found = [await statusOf(`/v1/keys/${key.id}`), await statusOf(`/v1/certificates/${serial}`)];
      return found.every((status) => status === 'revoked') ? true : undefined;
    });
  });

  test('comes as an officer with a token of its own, in a file of its owner alone', async () => {
    const file = path.join(instance.home, 'secrets/canary.token');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const token = (await readFile(file, 'utf8')).trim();
    const [row] = (
      await superuser.query(`select name, kind, roles, person_id, created_by, organization_id from operator_tokens
        where kind = 'machine'`)
    ).rows as { created_by: string; organization_id: string }[];
    expect(row).toMatchObject({ name: 'inner canary', kind: 'machine', roles: ['officer'], person_id: null });
    expect(row!.created_by).toBe(row!.organization_id);
    expect((await instance.api('POST', '/v1/organizations', { name: 'x', kind: 'vendor' }, { token })).status).toBe(
      403,
    );
    const { text } = await instance.api('GET', '/v1/audit/events?limit=200');
    expect(text).not.toContain(token);
  });

  test('names the channel that fails while the others go on, and passes again afterwards', async () => {
    // Who publishes a CRL takes its number first: the lock keeps every publisher from that.
    await superuser.query('begin');
    await superuser.query('lock table crl_scopes in exclusive mode');
    const failed = await eventually('a failed run', async () => {
      const event = (await eventsOf('canary.failed')).find(({ detail }) => detail.error !== 'unreachable');
      const shown = await metric('touchmark_canary_channel_failing{channel="crlRevoked"}');
      return event && shown === 1 ? event : undefined;
    }).finally(() => superuser.query('rollback'));
    expect(failed).toMatchObject({ outcome: 'failed', detail: { channel: 'crlRevoked', error: 'late' } });
    expect(failed.detail.milliseconds).toMatchObject({ ocspRevoked: expect.any(Number) });
    expect(failed.detail.milliseconds).not.toHaveProperty('crlRevoked');
    expect(await metric('touchmark_canary_runs_total{outcome="failed"}')).toBeGreaterThanOrEqual(1);
    const again = await eventually('a run that passes', async () =>
      (await eventsOf('canary.passed')).find(({ at }) => at > failed.at),
    );
    expect(again.outcome).toBe('success');
    await eventually('no channel fails', async () =>
      (await metric('touchmark_canary_channel_failing{channel="crlRevoked"}')) === 0 ? true : undefined,
    );
  }, 120_000);

  test('after a restart it goes on with what it has', async () => {
    await superuser.end();
    await instance.restart();
    const password = (await readFile(path.join(instance.home, 'secrets/db-superuser'), 'utf8')).trim();
    const { host, port, user, database } = await startEmbeddedPostgres({ home: instance.home, password, log: silent });
    superuser = new pg.Client({ host, port, user, password, database, options: '-c search_path=touchmark,public' });
    await superuser.connect();
    const before = (await eventsOf('canary.passed'))[0]!;
    await eventually('a run', async () => (await eventsOf('canary.passed')).find(({ at }) => at > before.at));
    const { rows } = await superuser.query(
      `select (select count(*)::int from devices) as devices, (select count(*)::int from operator_tokens) as tokens`,
    );
    expect(rows).toEqual([{ devices: 1, tokens: 2 }]);
  });
});
