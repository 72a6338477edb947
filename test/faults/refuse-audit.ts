import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { InjectOptions } from 'fastify';
import { Registry } from 'prom-client';
import { createApi } from '#apps/api';
import { issueBootstrapToken, revokeCertificate, suspendDevice, suspendKey } from '#authority';
import { loadConfig } from '#kernel';
import { BODIES, makeTenant, type Tenant } from '../api/tenant.js';
import { selfSigned } from '../est/self-signed.js';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeEnrolled, makeProduct, renewRequest } from '../harness/fixtures.js';

export interface RefusedAuditReport {
  actions: number;
  /** What answered as if it had been done. */
  succeeded: string[];
  /** What failed as it should, at the entry: by kind of action. */
  failed: Record<string, number>;
  /** What was refused before it came to the entry, by kind: tells nothing. */
  refusedBefore: Record<string, number>;
  /** Lines of the dump that came and went. */
  effects: string[];
}

/** What the generated bodies of other specs lack. */
const MORE_BODIES: Readonly<Record<string, unknown>> = { 'POST /v1/organizations': { name: 'x', kind: 'vendor' } };

/** They tell, or have nothing to change on these objects: no entry is owed, and that nothing came of them is asked as well. */
const NOTHING_TO_CHANGE: readonly string[] = [
  'POST /v1/devices/:id/dry-run',
  'POST /v1/domains/:id/verify',
  'POST /v1/domains/:id/enable',
  'POST /v1/users/:id/enable',
];

/** Every entry is refused by a trigger while every mutating action there is is tried, over and over. */
export async function actWhileAuditFails(least: number): Promise<RefusedAuditReport> {
  const db = await startTestDatabase();
  const app = await openApi(db);
  try {
    const actions = [...(await routeActions(db, app)), ...(await estActions(db))];
    const report: RefusedAuditReport = { actions: 0, succeeded: [], failed: {}, refusedBefore: {}, effects: [] };
    const before = await state(db);
    await db.sql(
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'full'; end $$`,
    );
    await db.sql(`create trigger refuse before insert on audit for each row execute function refuse()`);
    while (report.actions < least) {
      for (const { kind, act } of actions) {
        report.actions += 1;
        const outcome = await act();
        if (outcome === 'done') {
          if (!NOTHING_TO_CHANGE.includes(kind)) report.succeeded.push(kind);
        } else {
          const counts = outcome === 'internal' ? report.failed : report.refusedBefore;
          counts[kind] = (counts[kind] ?? 0) + 1;
        }
      }
    }
    report.effects = differences(before.split('\n'), (await state(db)).split('\n'));
    return report;
  } finally {
    await app.close();
    await db.stop();
  }
}

function differences(before: readonly string[], after: readonly string[]): string[] {
  const [old, present] = [new Set(before), new Set(after)];
  return [
    ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
    ...before.filter((line) => !present.has(line)).map((line) => `- ${line}`),
  ];
}

/** Everything but what limits have counted, and when a token was last seen: that is noted every few seconds, of refused requests too. */
async function state(db: TestDatabase): Promise<string> {
  const tokens = await db.sql<{ row: string }>(
    `select (to_jsonb(t) - 'last_used_at')::text as row from operator_tokens t order by id`,
  );
  const others = (await db.dump()).replace(
    /== touchmark\.(quota_windows|failed_attempts|operator_tokens)\n[\s\S]*?\n(?===)/g,
    '',
  );
  return [others, ...tokens.map(({ row }) => row)].join('\n');
}

interface Action {
  kind: string;
  act: () => Promise<'done' | 'internal' | 'refused'>;
}

async function openApi(db: TestDatabase): Promise<NestFastifyApplication> {
  const app = await createApi({
    config: loadConfig({}),
    authority: await db.context('api'),
    tls: await selfSigned(),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
    urls: () => ({ est: 'https://localhost:1', api: 'https://localhost:2', status: 'http://localhost:3' }),
  });
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

/** Each route that changes something, on objects of which the change would be possible. */
async function routeActions(db: TestDatabase, app: NestFastifyApplication): Promise<Action[]> {
  const api = await db.context('api');
  const instance = app.getHttpAdapter().getInstance();
  const active = await makeTenant(db);
  const held = await makeTenant(db);
  await suspendDevice(api, db.operator, ownOf(held, '/v1/devices'));
  await suspendKey(api, db.operator, ownOf(held, '/v1/keys'));
  const onHold = await makeTenant(db);
  await revokeCertificate(api, db.operator, ownOf(onHold, '/v1/certificates'), { reason: 'certificateHold' });
  // A release that has room for a key, and a vendor.
  const { releaseId, vendorId } = await makeProduct(api, db.operator);
  const references: Readonly<Record<string, string>> = {
    'POST /v1/keys': releaseId,
    'POST /v1/apps': vendorId,
    'POST /v1/device-groups': vendorId,
  };
  const owner = await db.as('owner');
  const { text } = await issueBootstrapToken({ ...api, plane: 'init', database: owner }, 'all roles');
  await api.follower.catchUp((await newestSeq(db)) ?? 0);

  const mutating = instance.routeTable.filter(
    ({ method, access, url }) => !['GET', 'HEAD'].includes(method) && access !== 'public' && url !== '/v1/introspect',
  );
  return mutating.map(({ method, url }) => {
    const kind = `${method} ${url}`;
    const tenant = url.endsWith('/resume') ? held : url.endsWith('/release') ? onHold : active;
    const reference = references[kind] ?? tenant.referenced[kind] ?? '';
    const body = BODIES[kind] ?? MORE_BODIES[kind] ?? tenant.references[kind]?.(reference);
    const base = url.split('/:')[0] ?? '';
    const request: InjectOptions = {
      method: method as 'POST',
      url: url.replaceAll(/:[a-zA-Z]+/g, tenant.ids[base]?.own ?? 'absent'),
      headers: {
        authorization: `Bearer ${text}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    };
    const act = async () => {
      const { statusCode } = await instance.inject(request);
      if (statusCode < 400) return 'done';
      return statusCode === 500 ? 'internal' : 'refused';
    };
    return { kind, act };
  });
}

const ownOf = (tenant: Tenant, base: string): string => tenant.ids[base]?.own ?? '';

async function newestSeq(db: TestDatabase): Promise<number | undefined> {
  return (await db.sql<{ seq: number }>(`select seq::int from status_counter`))[0]?.seq;
}

async function estActions(db: TestDatabase): Promise<Action[]> {
  const est = await db.context('est');
  const made = await makeDevice(db);
  const enrolled = await makeEnrolled(db);
  const first = enrollRequest(made, newKey());
  const renewal = renewRequest(enrolled.device, enrolled.certificate, newKey());
  return [first, renewal].map((request) => ({
    kind: request.operation,
    act: async () => {
      const outcome = await enroll(est, request).catch((error: unknown) => error as { kind?: string });
      if (Buffer.isBuffer(outcome)) return 'done';
      return outcome.kind === 'internal' ? 'internal' : 'refused';
    },
  }));
}
