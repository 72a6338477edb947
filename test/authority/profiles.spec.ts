import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  approve,
  currentLabel,
  currentProfile,
  currentProfiles,
  profileVersion,
  proposeProfile,
  proposeProfileChange,
  proposeProfileWithdrawal,
  proposeWholeProfile,
  reject,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { canonicalJson } from '#audit';
import { addSeconds, type Clock } from '#kernel';
import { encodeCsr, OID, readCertificate, readCsr, readPublicKey } from '#pki';
import { MAX_CUSTOM_PROFILES, profileDocument } from '#policy';
import { policyDocumentMac } from '#status';
import { appendStatusChanges, insertPolicyDocument } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeEnrolled, renewRequest } from '../harness/fixtures.js';
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

type Proposed = Awaited<ReturnType<typeof proposeProfile>>;

const propose = (name: string, change: Change) => proposeProfileChange(api, admin, name, change);

async function inStep(): Promise<void> {
  await est.follower.catchUp(api.follower.index.seq);
}

async function approved({ approvalId, digest }: Proposed): Promise<number> {
  const { result } = await approve(api, approver, approvalId, { digest });
  await inStep();
  return result['version'] as number;
}

const changed = async (name: string, change: Change) => approved(await propose(name, change));

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
    ['other keys of a responder', 'ocsp-responder', { keyTypes: ['ec-p384'] }, { kind: 'invalid', member: 'keyTypes' }],
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
});

const CAMERA = {
  name: 'camera',
  description: 'Cameras',
  keyTypes: ['ec-p256'],
  eku: [OID.clientAuth],
  validitySeconds: 30 * DAY,
  subject: 'device',
  san: [{ type: 'uuid', min: 1, max: 1 }],
};

describe("a profile of somebody's own", () => {
  const camera = () => currentProfile(est, 'camera');

  test('is proposed whole, and then is there in every process, with an EST label of its name', async () => {
    expect(() => camera()).toThrow(expect.objectContaining({ kind: 'notFound' }));
    expect(await approved(await proposeProfile(api, admin, CAMERA))).toBe(1);
    expect(camera()).toMatchObject({ ...CAMERA, version: 1, backdateSeconds: 600, supersede: { mode: 'never' } });
    expect(currentProfiles(est).map(({ name }) => name)).toContain('camera');
    expect(currentLabel(est, 'camera')).toMatchObject({ name: 'camera', profile: 'camera' });
    await expect(proposeProfile(api, admin, CAMERA)).rejects.toMatchObject({ kind: 'conflict', member: 'name' });
  });

  test('is changed as a whole, from the version that was looked at, or member by member', async () => {
    const exported = { ...profileDocument(camera()), version: camera().version };
    expect(await approved(await proposeWholeProfile(api, admin, 'camera', { ...exported, approval: true }))).toBe(2);
    const late = proposeWholeProfile(api, admin, 'camera', { ...exported, approval: false });
    await expect(late).rejects.toMatchObject({ kind: 'conflict', member: 'version' });
    const { description } = camera();
    expect(await changed('camera', { renewal: { sameKey: false }, supersede: { mode: 'at-once' } })).toBe(3);
    expect(camera()).toMatchObject({
      description,
      approval: true,
      renewal: { sameKey: false, afterExpirySeconds: 0 },
      supersede: { mode: 'at-once' },
    });
  });

  test('keeps its name', async () => {
    const attempt = proposeWholeProfile(api, admin, 'camera', { ...CAMERA, name: 'other' });
    await expect(attempt).rejects.toMatchObject({ kind: 'invalid', member: 'name' });
  });

  test('shows each version that there was; one that somebody wrote is none', async () => {
    expect(await profileVersion(api, 'camera', 1)).toMatchObject({ version: 1, approval: false });
    expect(await profileVersion(api, 'camera', 2)).toMatchObject({ version: 2, approval: true });
    expect(await profileVersion(api, 'device', 1)).toMatchObject({ version: 1 });
    await expect(profileVersion(api, 'camera', 4)).rejects.toMatchObject({ kind: 'notFound' });
    await db.sql(
      `insert into policy_documents (kind, name, version, document, approval_id, mac)
       select kind, name, 4, document, approval_id, mac from policy_documents where name = 'camera' and version = 1`,
    );
    await expect(profileVersion(api, 'camera', 4)).rejects.toMatchObject({ kind: 'notFound' });
    await db.tamper(`delete from policy_documents where name = 'camera' and version = 4`, []);
    const [kept] = await db.sql<{ document: Buffer }>(
      `select document from policy_documents where name = 'camera' and version = 1`,
    );
    await db.tamper(`update policy_documents set document = $1 where name = 'camera' and version = 1`, [
      Buffer.from(kept!.document.toString().replace('2592000', '2592001')),
    ]);
    await expect(profileVersion(api, 'camera', 1)).rejects.toMatchObject({ code: 'rowMac' });
    await db.tamper(`update policy_documents set document = $1 where name = 'camera' and version = 1`, [
      kept!.document,
    ]);
  });

  test('is withdrawn by two people, and may come again as a new version', async () => {
    const proposed = await proposeProfileWithdrawal(api, admin, 'camera');
    expect(camera().version).toBe(3);
    expect(await approved(proposed)).toBe(3);
    expect(() => camera()).toThrow(expect.objectContaining({ kind: 'notFound' }));
    expect(currentLabel(est, 'camera')).toBeUndefined();
    await expect(proposeProfileWithdrawal(api, admin, 'camera')).rejects.toMatchObject({ kind: 'notFound' });
    expect((await profileVersion(api, 'camera', 1)).validitySeconds).toBe(30 * DAY);
    expect(await db.sql(`select 1 from audit where action = 'profile.withdrawn'`)).toHaveLength(1);
    const follower = await db.follower({ plane: 'est', peppers: undefined });
    await follower.start();
    expect(currentProfiles({ lifetimes: db.lifetimes, follower }).map(({ name }) => name)).not.toContain('camera');
    expect(await approved(await proposeProfile(api, admin, CAMERA))).toBe(4);
    expect(await approved(await proposeProfileWithdrawal(api, admin, 'camera'))).toBe(4);
  });

  test.each(['device', 'root-ca'])('%s is shipped, and is not withdrawn', async (name) => {
    await expect(proposeProfileWithdrawal(api, admin, name)).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('is the hundredth or none (tooMany)', async () => {
    const document = Buffer.from(canonicalJson({ ...CAMERA, eku: [OID.clientAuth] }));
    const [{ id: approvalId }] = (await db.sql<{ id: string }>(`select id from approvals limit 1`)) as [{ id: string }];
    const names = Array.from({ length: MAX_CUSTOM_PROFILES }, (_, i) => `many-${i}`);
    const at = db.clock.now();
    const reason = createHash('sha256').update(document).digest('hex');
    const row = (name: string) => ({ kind: 'profile' as const, name, version: 1, document, approvalId });
    const none = { invalidityDate: null, endsAt: null, issuerId: null, shard: null, notAfter: null };
    const log = (status: string, hash: string | null) =>
      names.map((subject) => ({ kind: 'profile' as const, subject, status, reason: hash, at, ...none }));
    const owner = await db.as('owner');
    let seq = await owner.transaction(async (tx) => {
      for (const name of names) {
        await insertPolicyDocument(tx, { ...row(name), mac: policyDocumentMac(db.macKey, row(name)) });
      }
      return appendStatusChanges(tx, db.macKey, log('v1', reason));
    });
    await api.follower.catchUp(seq);
    const attempt = proposeProfile(api, admin, { ...CAMERA, name: 'one-more' });
    await expect(attempt).rejects.toMatchObject({ kind: 'conflict', code: 'tooMany' });
    seq = await owner.transaction((tx) => appendStatusChanges(tx, db.macKey, log('withdrawn', null)));
    await api.follower.catchUp(seq);
    await expect(proposeProfile(api, admin, { ...CAMERA, name: 'one-more' })).resolves.toHaveProperty('digest');
  });

  test('that is not there is not withdrawn, nor is one by an officer', async () => {
    await expect(proposeProfileWithdrawal(api, admin, 'nothing')).rejects.toMatchObject({ kind: 'notFound' });
    const officer = await makePerson(db, ['officer']);
    await expect(proposeProfile(api, officer, CAMERA)).rejects.toMatchObject({ kind: 'forbidden' });
  });
});

test('a profile with CRLs alone names no OCSP responder in its certificates (X25)', async () => {
  await changed('device', { revocation: 'crl' });
  const { crlUris, ocspUris, caIssuerUris } = readCertificate((await makeEnrolled(db)).certificate);
  expect([crlUris, ocspUris, caIssuerUris]).toEqual([[expect.any(String)], [], [expect.any(String)]]);
  await changed('device', { revocation: 'crl+ocsp' });
});

describe('a renewal is issued by the profile as it is now', () => {
  test('so that a policy tightened since holds for it', async () => {
    const { keyTypes, validitySeconds } = device();
    expect(keyTypes).toContain('ec-p256');
    const before = await makeEnrolled(db);
    await changed('device', { keyTypes: ['ec-p384'], validitySeconds: 9 * DAY });
    const same = enroll(est, renewRequest(before.device, before.certificate, newKey()));
    await expect(same).rejects.toMatchObject({ kind: 'invalid', code: 'keyType' });
    const renewed = await enroll(est, renewRequest(before.device, before.certificate, newKey('P-384')));
    expect(secondsOf(renewed)).toBe(9 * DAY);
    expect(await versionOf(renewed)).toBe(device().version);
    await changed('device', { keyTypes, validitySeconds });
  });

  test('which may want a new key each time (E84)', async () => {
    const made = await makeEnrolled(db);
    await changed('device', { renewal: { sameKey: false } });
    const same = enroll(est, renewRequest(made.device, made.certificate, made.key));
    await expect(same).rejects.toMatchObject({ kind: 'forbidden', code: 'sameKey' });
    await enroll(est, renewRequest(made.device, made.certificate, newKey()));
    await changed('device', { renewal: { sameKey: true } });
    const again = await makeEnrolled(db);
    await enroll(est, renewRequest(again.device, again.certificate, again.key));
  });

  test('and by a label that keeps the names where the request leaves them out (E81)', async () => {
    const made = await makeEnrolled(db);
    const label = currentLabel(est, 'device')!;
    const key = newKey();
    const subject = [[{ type: OID.commonName, value: made.device.id }]];
    const bare = { csr: readCsr(encodeCsr({ subject, publicKey: readPublicKey(key.spki) }, key.privateKey)) };
    const refused = enroll(est, renewRequest(made.device, made.certificate, key, bare));
    await expect(refused).rejects.toMatchObject({ kind: 'malformed' });
    const kept = { ...bare, label: { ...label, missingSan: 'keep' as const } };
    const renewed = await enroll(est, renewRequest(made.device, made.certificate, key, kept));
    expect(readCertificate(renewed).san).toEqual(readCertificate(made.certificate).san);
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
      const names = currentProfiles(context).map(({ name }) => name);
      expect([names.includes('device'), names.includes('tls-server')]).toEqual([false, true]);
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
