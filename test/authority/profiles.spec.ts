import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { approve, currentProfile, proposeProfileChange, reject, type Actor, type AuthorityContext } from '#authority';
import { addSeconds, type Clock } from '#kernel';
import { readCertificate } from '#pki';
import { CHANGEABLE_PROFILES, profiles, validityBounds } from '#policy';
import { policyDocumentMac } from '#status';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeEnrolled } from '../harness/fixtures.js';
import { makePerson } from '../harness/people.js';

type Person = Actor & { personId: string };
type Change = Parameters<typeof proposeProfileChange>[3];

const DAY = 86_400;
let shift = 0;
const clock: Clock = {
  now: () => addSeconds(new Date(), shift),
  monotonicMs: () => performance.now(),
};

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let admin: Person;
let approver: Person;

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  [api, est] = [await db.context('api'), await db.context('est')];
  admin = await makePerson(db, ['admin']);
  approver = await makePerson(db, ['approver']);
});
afterAll(() => db.stop());
beforeEach(() => {
  shift = 0;
});

const propose = (name: string, change: Change) => proposeProfileChange(api, admin, name, change);

async function inStep(): Promise<void> {
  await est.follower.catchUp(api.follower.index.seq);
}

async function changed(name: string, change: Change): Promise<number> {
  const { approvalId, digest } = await propose(name, change);
  const { result } = await approve(api, approver, approvalId, { digest });
  await inStep();
  return result['version'] as number;
}

const device = () => currentProfile(est, 'device');
const secondsOf = (der: Buffer): number => {
  const { notBefore, notAfter } = readCertificate(der);
  // Both ends count, and the beginning is put back for slow clocks.
  return (notAfter.getTime() - notBefore.getTime()) / 1000 + 1 - device().backdateSeconds;
};
const versionOf = async (der: Buffer): Promise<number> => {
  const serial = Buffer.from(readCertificate(der).serial, 'hex');
  const [row] = await db.sql<{ v: number }>(`select profile_version as v from certificates where serial = $1`, [
    serial,
  ]);
  return row!.v;
};

describe('a changed profile', () => {
  test('is what the next certificate is issued by; those that there are keep their version', async () => {
    const before = await makeEnrolled(db);
    const [shipped, version] = [device(), device().version];
    expect(await changed('device', { validitySeconds: 12 * DAY })).toBe(version + 1);
    expect(device()).toMatchObject({ version: version + 1, validitySeconds: 12 * DAY, keyTypes: shipped.keyTypes });
    const after = await makeEnrolled(db);
    expect([secondsOf(after.certificate), await versionOf(after.certificate)]).toEqual([12 * DAY, version + 1]);
    expect([secondsOf(before.certificate), await versionOf(before.certificate)]).toEqual([
      shipped.validitySeconds,
      version,
    ]);
  });

  test('keeps what was changed before, and takes other keys no more', async () => {
    await changed('device', { validitySeconds: 13 * DAY });
    await changed('device', { keyTypes: ['ec-p384', 'ec-p256'] });
    // In the order of the shipped ones.
    expect(device()).toMatchObject({ validitySeconds: 13 * DAY, keyTypes: ['ec-p256', 'ec-p384'] });
    const made = await makeDevice(db);
    await expect(enroll(est, enrollRequest(made, newKey('P-521')))).rejects.toMatchObject({ kind: 'invalid' });
    const certificate = await enroll(est, enrollRequest(made, newKey('P-384')));
    expect(secondsOf(certificate)).toBe(13 * DAY);
  });

  test('stands for a process that starts later', async () => {
    await changed('device', { validitySeconds: 14 * DAY });
    const follower = await db.follower({ plane: 'responder', peppers: undefined });
    await follower.start();
    expect(currentProfile({ lifetimes: db.lifetimes, follower }, 'device').validitySeconds).toBe(14 * DAY);
    const [row] = await db.sql(`select version, approval_id from policy_documents order by version desc limit 1`);
    expect(row).toMatchObject({ version: device().version });
    const audits = await db.sql<{ canonical: Buffer }>(
      `select canonical from audit where subject = 'profile:device' order by id desc limit 1`,
    );
    expect(audits[0]!.canonical.toString()).toContain(`${14 * DAY}`);
  });

  test('never lets a certificate outlive its issuer', async () => {
    await changed('device', { validitySeconds: 398 * DAY });
    const { notAfter } = await est.issuers.issuing();
    shift = Math.floor(notAfter.getTime() / 1000) - Math.floor(Date.now() / 1000) - 30 * DAY;
    const { certificate } = await makeEnrolled(db);
    expect(readCertificate(certificate).notAfter).toEqual(notAfter);
  });
});

describe('a proposal that is not approved changes nothing', () => {
  const version = () => [device().version, currentProfile(api, 'device').version];
  let before: number[];
  beforeEach(() => {
    before = version();
  });

  test('rejected', async () => {
    const { approvalId } = await propose('device', { validitySeconds: DAY });
    await reject(api, approver, approvalId);
    await expect(approve(api, approver, approvalId, {})).rejects.toMatchObject({ kind: 'conflict' });
    expect(version()).toEqual(before);
  });

  test('past its hour', async () => {
    const { approvalId } = await propose('device', { validitySeconds: DAY });
    shift = 3601;
    await expect(approve(api, approver, approvalId, {})).rejects.toMatchObject({ code: 'approvalExpired' });
    expect(version()).toEqual(before);
  });

  test('made before another one was approved', async () => {
    const { approvalId } = await propose('device', { validitySeconds: 2 * DAY });
    await changed('device', { validitySeconds: 3 * DAY });
    await expect(approve(api, approver, approvalId, {})).rejects.toMatchObject({ kind: 'conflict' });
    expect(device().validitySeconds).toBe(3 * DAY);
  });
});

describe('what a profile cannot become', () => {
  const bad: [string, string, Change, object][] = [
    ['too short', 'device', { validitySeconds: 59 }, { kind: 'invalid', member: 'validitySeconds' }],
    ['too long', 'device', { validitySeconds: 398 * DAY + 1 }, { kind: 'invalid', member: 'validitySeconds' }],
    ['an unknown key type', 'device', { keyTypes: ['ec-p256', 'dsa'] }, { kind: 'invalid', member: 'keyTypes' }],
    ['a key type twice', 'device', { keyTypes: ['ec-p256', 'ec-p256'] }, { kind: 'invalid', member: 'keyTypes' }],
    ['no key type', 'device', { keyTypes: [] }, { kind: 'invalid', member: 'keyTypes' }],
    ['other keys of a CA', 'issuing-ca', { keyTypes: ['ec-p384'] }, { kind: 'invalid', member: 'keyTypes' }],
    ['other keys of a responder', 'ocsp-responder', { keyTypes: ['ec-p256'] }, { kind: 'invalid', member: 'keyTypes' }],
    ['a CA shorter than a device', 'issuing-ca', { validitySeconds: 3600 }, { kind: 'invalid' }],
    ['a responder renewed at once', 'ocsp-responder', { validitySeconds: 61 }, { kind: 'invalid' }],
    ['the root', 'root-ca', { validitySeconds: DAY }, { kind: 'conflict' }],
    ['an unknown one', 'nothing', { validitySeconds: DAY }, { kind: 'notFound' }],
    ['one named like a member of objects', 'constructor', { validitySeconds: DAY }, { kind: 'notFound' }],
  ];
  test.each(bad)('%s: nothing is proposed', async (_, name, change, refusal) => {
    const before = await db.sql(`select 1 from approvals`);
    await expect(propose(name, change)).rejects.toMatchObject(refusal);
    expect(await db.sql(`select 1 from approvals`)).toHaveLength(before.length);
  });

  test('what it is already', async () => {
    const { validitySeconds } = device();
    await expect(propose('device', { validitySeconds })).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('an officer cannot ask for it', async () => {
    const officer = await makePerson(db, ['officer']);
    const attempt = proposeProfileChange(api, officer, 'device', { validitySeconds: DAY });
    await expect(attempt).rejects.toMatchObject({ kind: 'forbidden' });
  });

  test('the shipped ones lie within the bounds', () => {
    const shipped = profiles(db.lifetimes);
    for (const name of CHANGEABLE_PROFILES) {
      const { min, max } = validityBounds(name, db.lifetimes);
      expect(shipped[name].validitySeconds).toBeGreaterThanOrEqual(min);
      expect(shipped[name].validitySeconds).toBeLessThanOrEqual(max);
    }
  });
});

describe('a version that nobody approved is not believed', () => {
  const fresh = async (): Promise<AuthorityContext> => {
    const errors: Error[] = [];
    const follower = await db.follower({ plane: 'est', peppers: undefined, onError: (error) => errors.push(error) });
    await follower.start();
    return { ...est, follower };
  };

  test('planted beside the log', async () => {
    const { version, validitySeconds } = device();
    await db.sql(
      `insert into policy_documents (kind, name, version, document, approval_id, mac)
       select kind, name, $1, '{"validitySeconds":34300000}', approval_id, mac from policy_documents limit 1`,
      [version + 1],
    );
    try {
      expect(currentProfile(await fresh(), 'device')).toMatchObject({ version, validitySeconds });
    } finally {
      await db.tamper(`delete from policy_documents where version = $1`, [version + 1]);
    }
  });

  test.each([
    ['its settings', `update policy_documents set document = '{"validitySeconds":34300000}' where version = $1`],
    [
      'its approval',
      `update policy_documents set approval_id = (select id from approvals where operation = 'profile.change' and state <> 'executed' limit 1) where version = $1`,
    ],
    ['all of it', `delete from policy_documents where version = $1`],
    [
      'its settings, under a MAC of ours',
      `update policy_documents set document = '{"validitySeconds":34300000}', mac = $2 where version = $1`,
    ],
  ])('altered in %s: nothing is issued by it, rather than by something else', async (_, sql) => {
    const { version } = device();
    const [kept] = await db.sql<{ document: Buffer; approval_id: string; mac: Buffer }>(
      `select document, approval_id, mac from policy_documents where version = $1`,
      [version],
    );
    const made = await makeDevice(db);
    const other = {
      kind: 'profile' as const,
      name: 'device',
      version,
      document: Buffer.from('{"validitySeconds":34300000}'),
    };
    const mac = policyDocumentMac(db.macKey, { ...other, approvalId: kept!.approval_id });
    await db.tamper(sql, sql.includes('$2') ? [version, mac] : [version]);
    try {
      const context = await fresh();
      const attempt = enroll(context, enrollRequest(made, newKey()));
      await expect(attempt).rejects.toMatchObject({ kind: 'unavailable', code: 'profileAltered' });
      // The others are not taken down with it.
      expect(currentProfile(context, 'tls-server').version).toBe(1);
    } finally {
      await db.tamper(`delete from policy_documents where version = $1`, [version]);
      await db.tamper(
        `insert into policy_documents (kind, name, version, document, approval_id, mac) values ('profile', 'device', $1, $2, $3, $4)`,
        [version, kept!.document, kept!.approval_id, kept!.mac],
      );
    }
    expect(currentProfile(await fresh(), 'device').version).toBe(version);
  });
});
