import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  authenticateOperator,
  changeDevice,
  createApp,
  createDeviceGroup,
  createOrganization,
  createRelease,
  issueKey,
  issueBootstrapToken,
  recordRefusal,
  registerDevice,
  releaseCertificate,
  renewOcspDelegate,
  renewServerCertificate,
  resetDevice,
  resumeDevice,
  resumeKey,
  revokeCertificate,
  revokeDevice,
  revokeKey,
  rotateKey,
  suspendDevice,
  suspendKey,
  type AuthorityContext,
} from '#authority';
import { AUDIT_ACTIONS } from '#audit';
import { mintEnrollmentSecret } from '#credential';
import { AuthorityError } from '#kernel';
import { readCertificate } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import {
  type Product,
  enroll,
  enrollRequest,
  makeDevice,
  makeEnrolled,
  makeProduct,
  renewRequest,
} from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  worker = await db.context('worker');
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

type Work = () => Promise<unknown>;
const me = () => db.operator;

async function key(): Promise<string> {
  const { releaseId } = await makeProduct(api, me());
  return (await issueKey(api, me(), { releaseId, audience: 'all', environment: 'live' })).row.id;
}
const enrolled = async () => {
  const made = await makeEnrolled(db, product);
  return { ...made, id: made.device.id, serial: readCertificate(made.certificate).serial };
};

/** Each change: what it needs is made first, then the work that is watched; and the entries that it writes, in order. */
const CHANGES: [string, () => Promise<Work>, string[]][] = [
  [
    'createOrganization',
    async () => () => createOrganization(api, me(), { name: 'x', kind: 'vendor' }),
    ['organization.created'],
  ],
  ['createApp', async () => () => createApp(api, me(), { name: 'x', vendorId: product.vendorId }), ['app.created']],
  [
    'createRelease',
    async () => () => createRelease(api, me(), product.appId, { version: `${Math.floor(performance.now() * 1000)}` }),
    ['release.created'],
  ],
  ['createDeviceGroup', async () => () => createDeviceGroup(api, me(), { name: 'x' }), ['group.created']],
  ['registerDevice', async () => () => registerDevice(api, me(), { appId: product.appId }), ['device.registered']],
  [
    'changeDevice',
    async () => {
      const { device } = await makeDevice(db, product);
      return () => changeDevice(api, me(), device.id, { releaseId: null });
    },
    ['device.changed'],
  ],
  [
    'resetDevice',
    async () => {
      const { device } = await makeDevice(db, product);
      return () => resetDevice(api, me(), device.id);
    },
    ['device.reset'],
  ],
  [
    'suspendDevice',
    async () => {
      const { id } = await enrolled();
      return () => suspendDevice(api, me(), id);
    },
    ['device.suspended', 'certificate.held'],
  ],
  [
    'resumeDevice',
    async () => {
      const { id } = await enrolled();
      await suspendDevice(api, me(), id);
      return () => resumeDevice(api, me(), id);
    },
    ['device.resumed', 'certificate.released'],
  ],
  [
    'revokeDevice',
    async () => {
      const { id } = await enrolled();
      return () => revokeDevice(api, me(), id, { reason: 'keyCompromise' });
    },
    ['device.revoked', 'certificate.revoked'],
  ],
  [
    'revokeCertificate',
    async () => {
      const { serial } = await enrolled();
      return () => revokeCertificate(api, me(), serial, { reason: 'keyCompromise' });
    },
    ['certificate.revoked'],
  ],
  [
    'revokeCertificate to hold',
    async () => {
      const { serial } = await enrolled();
      return () => revokeCertificate(api, me(), serial, { reason: 'certificateHold' });
    },
    ['certificate.held'],
  ],
  [
    'releaseCertificate',
    async () => {
      const { serial } = await enrolled();
      await revokeCertificate(api, me(), serial, { reason: 'certificateHold' });
      return () => releaseCertificate(api, me(), serial);
    },
    ['certificate.released'],
  ],
  [
    'issueKey',
    async () => {
      const { releaseId } = await makeProduct(api, me());
      return () => issueKey(api, me(), { releaseId, audience: 'all', environment: 'live' });
    },
    ['key.issued'],
  ],
  [
    'rotateKey',
    async () => {
      const id = await key();
      return () => rotateKey(api, me(), id, { overlapSeconds: 60 });
    },
    ['key.rotated'],
  ],
  [
    'suspendKey',
    async () => {
      const id = await key();
      return () => suspendKey(api, me(), id);
    },
    ['key.suspended'],
  ],
  [
    'resumeKey',
    async () => {
      const id = await key();
      await suspendKey(api, me(), id);
      return () => resumeKey(api, me(), id);
    },
    ['key.resumed'],
  ],
  [
    'revokeKey',
    async () => {
      const id = await key();
      return () => revokeKey(api, me(), id, { reason: 'superseded' });
    },
    ['key.revoked'],
  ],
  [
    'enrollOverEst, first',
    async () => {
      const made = await makeDevice(db, product);
      return () => enroll(est, enrollRequest(made, newKey()));
    },
    ['certificate.requested', 'certificate.issued'],
  ],
  [
    'enrollOverEst, renewal',
    async () => {
      const made = await enrolled();
      return () => enroll(est, renewRequest(made.device, made.certificate, newKey()));
    },
    ['certificate.requested', 'certificate.issued'],
  ],
  [
    'renewServerCertificate',
    async () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return () => renewServerCertificate(api, { plane: 'api', privateKey, hostnames: ['localhost', '127.0.0.1'] });
    },
    ['certificate.requested', 'certificate.issued', 'serverCertificate.renewed'],
  ],
  [
    'renewOcspDelegate',
    async () => {
      const issuer = await worker.issuers.issuing();
      return () => renewOcspDelegate(worker, issuer, { ocspKek: Buffer.alloc(32, 1) });
    },
    ['certificate.requested', 'certificate.issued', 'ocspDelegate.created'],
  ],
  [
    'issueBootstrapToken',
    async () => {
      const database = await db.as('owner');
      return () => issueBootstrapToken({ ...api, plane: 'init', database }, 'x');
    },
    ['token.issued'],
  ],
];

interface Entry {
  id: number;
  action: string;
  outcome: string;
  actor: string;
  subject: string;
  request_id: string;
  canonical: Buffer;
  xid: string;
}
const entriesAfter = (id: number) =>
  db.sql<Entry>(
    `select id::int, action, outcome, actor, subject, request_id, canonical, xmin::text as xid from audit where id > $1 order by id`,
    [id],
  );
const lastId = async () => (await db.sql<{ id: number }>(`select coalesce(max(id), 0)::int as id from audit`))[0]!.id;

/** Everything but the trail itself and what limits have counted: a permit taken in vain is no effect. */
const state = async () =>
  (await db.dump()).replace(/== touchmark\.(audit|quota_windows|failed_attempts)\n[\s\S]*?\n(?===)/g, '');

// renewOcspDelegate does something once only: the failing try comes first.
describe('a change whose audit entry cannot be written does not happen', () => {
  const ROLES = ['tm_api', 'tm_est', 'tm_worker', 'tm_owner'];

  test.each(CHANGES)('%s', async (_, prepare) => {
    const work = await prepare();
    const before = await state();
    for (const role of ROLES) await db.sql(`revoke insert on audit from ${role}`);
    try {
      await expect(work()).rejects.toMatchObject({ kind: 'internal' });
    } finally {
      for (const role of ROLES) await db.sql(`grant insert on audit to ${role}`);
    }
    expect(await state()).toBe(before);
  });

  test('a certificate whose issue cannot be recorded is signed, not released, and finished later', async () => {
    const made = await makeDevice(db, product);
    const leaf = newKey();
    const signer = {
      createKey: est.signer.createKey.bind(est.signer),
      sign: async (request: Parameters<typeof est.signer.sign>[0]) => {
        await db.sql(`revoke insert on audit from tm_est`);
        return est.signer.sign(request);
      },
    };
    try {
      await expect(enroll({ ...est, signer }, enrollRequest(made, leaf))).rejects.toMatchObject({
        kind: 'internal',
      });
    } finally {
      await db.sql(`grant insert on audit to tm_est`);
    }
    expect(await db.sql(`select der from certificates where device_id = $1`, [made.device.id])).toEqual([
      { der: null },
    ]);
    await enroll(est, enrollRequest(made, leaf));
  });
});

describe('every change writes its entries, and no other', () => {
  test.each(CHANGES)('%s', async (_, prepare, actions) => {
    const work = await prepare();
    const before = await lastId();
    await work();
    const entries = await entriesAfter(before);
    expect(entries.map((one) => one.action)).toEqual(actions);
    for (const one of entries) {
      expect(one.outcome).toBe('success');
      expect(AUDIT_ACTIONS).toContain(one.action);
      const canonical = JSON.parse(one.canonical.toString()) as Record<string, unknown>;
      expect(canonical).toMatchObject({
        v: 1,
        action: one.action,
        actor: one.actor,
        subject: one.subject,
        requestId: one.request_id,
        outcome: one.outcome,
      });
    }
  });

  test.each(CHANGES.filter(([, , actions]) => !actions.includes('certificate.requested')))(
    '%s, in the transaction of the change',
    async (_, prepare) => {
      const work = await prepare();
      const before = await lastId();
      const [seq] = await db.sql<{ seq: number }>(`select seq::int from status_counter`);
      await work();
      const entries = await entriesAfter(before);
      const changes = await db.sql<{ xid: string }>(
        `select distinct xmin::text as xid from status_changes where seq > $1`,
        [seq!.seq],
      );
      const xids = new Set([...entries.map((one) => one.xid), ...changes.map((one) => one.xid)]);
      expect(xids.size).toBe(1);
    },
  );
});

describe('who tried to obtain something and was refused leaves an entry', () => {
  const refusals: [string, () => Promise<Work>, string[]][] = [
    [
      'a wrong secret',
      async () => {
        const made = await makeDevice(db, product);
        return () => enroll(est, enrollRequest({ ...made, secret: mintEnrollmentSecret().text }, newKey()));
      },
      ['authentication.failed', 'certificate.requested'],
    ],
    [
      'no secret',
      async () => {
        const made = await makeDevice(db, product);
        return () => enroll(est, enrollRequest(made, newKey(), { basic: undefined }));
      },
      ['authentication.failed', 'certificate.requested'],
    ],
    [
      'the names of another device',
      async () => {
        const made = await makeDevice(db, product);
        const other = await makeDevice(db, product);
        return () =>
          enroll(
            est,
            enrollRequest({ ...other, secret: made.secret }, newKey(), { basic: { user: '', password: made.secret } }),
          );
      },
      ['certificate.requested'],
    ],
    [
      'a suspended device',
      async () => {
        const made = await makeDevice(db, product);
        await suspendDevice(api, me(), made.device.id);
        return () => enroll(est, enrollRequest(made, newKey()));
      },
      ['certificate.requested'],
    ],
    [
      'a wrong operator token',
      async () => () => authenticateOperator(api, 'tmo1_x', { address: '203.0.113.9', requestId: 'r' }),
      ['authentication.failed'],
    ],
    [
      'a third key',
      async () => {
        const { releaseId } = await makeProduct(api, me());
        const issue = () => issueKey(api, me(), { releaseId, audience: 'all', environment: 'live' });
        await issue();
        await issue();
        return issue;
      },
      ['key.issued'],
    ],
    [
      'a request that could not be read',
      async () => async () => {
        const error = new AuthorityError('malformed', 'not DER');
        await recordRefusal(est, { address: '203.0.113.9', requestId: 'r', operation: 'simpleenroll', error });
        throw error;
      },
      ['certificate.requested'],
    ],
  ];

  test.each(refusals)('%s', async (_, prepare, actions) => {
    const work = await prepare();
    const before = await lastId();
    await expect(work()).rejects.toBeInstanceOf(AuthorityError);
    const entries = await entriesAfter(before);
    expect(entries.map((one) => one.action)).toEqual(actions);
    for (const one of entries) expect(one.outcome).toBe('refused');
  });

  test('and the refusal stays the same where the entry cannot be written', async () => {
    const made = await makeDevice(db, product);
    const wrong = enrollRequest({ ...made, secret: mintEnrollmentSecret().text }, newKey());
    await db.sql(`revoke insert on audit from tm_est, tm_api`);
    try {
      await expect(enroll(est, wrong)).rejects.toMatchObject({ kind: 'unauthenticated' });
      await expect(
        authenticateOperator(api, undefined, { address: '203.0.113.8', requestId: 'r' }),
      ).rejects.toMatchObject({ kind: 'unauthenticated' });
    } finally {
      await db.sql(`grant insert on audit to tm_est, tm_api`);
    }
  });

  test('of a user name only what looks like a device id is kept: it may be a secret in the wrong field', async () => {
    const secret = mintEnrollmentSecret().text;
    const made = await makeDevice(db, product);
    await expect(
      enroll(est, enrollRequest(made, newKey(), { basic: { user: secret, password: made.device.id } })),
    ).rejects.toMatchObject({ kind: 'unauthenticated' });
    expect(await db.dump()).not.toContain(secret);
  });
});

describe('failed tries are limited', () => {
  const limited = expect.objectContaining({ kind: 'limited', retryAfter: expect.any(Number) });

  test('per secret: after five a minute the right one has to wait too, from every address', async () => {
    const made = await makeDevice(db, product);
    const wrong = () =>
      enroll(
        est,
        enrollRequest(made, newKey(), { basic: { user: 'nobody', password: made.secret }, address: '203.0.113.20' }),
      );
    for (let i = 0; i < 5; i++) await expect(wrong()).rejects.toMatchObject({ kind: 'unauthenticated' });
    await expect(wrong()).rejects.toEqual(limited);
    await expect(enroll(est, enrollRequest(made, newKey(), { address: '203.0.113.21' }))).rejects.toEqual(limited);
    const other = await makeDevice(db, product);
    await enroll(est, enrollRequest(other, newKey(), { address: '203.0.113.20' }));
  });

  test('per address: after a hundred a minute', async () => {
    const at = { address: '203.0.113.30', requestId: 'r' };
    for (let i = 0; i < 100; i++) {
      await expect(authenticateOperator(api, undefined, at)).rejects.toMatchObject({ kind: 'unauthenticated' });
    }
    await expect(authenticateOperator(api, undefined, at)).rejects.toEqual(limited);
    await expect(authenticateOperator(api, undefined, { ...at, address: '203.0.113.31' })).rejects.toMatchObject({
      kind: 'unauthenticated',
    });
  });
});
