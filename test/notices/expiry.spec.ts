import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { renewOcspDelegate, revokeCertificate, warnOfExpiry, type AuthorityContext } from '#authority';
import { addSeconds, ManualClock, systemClock, wholeSecond } from '#kernel';
import { readCertificate } from '#pki';
import { storeSigned } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, makeEnrolled, makeProduct, renewRequest } from '../harness/fixtures.js';
import { plantedAudit, plantIntent } from '../store/rows.js';

const DAY = 86_400;
const clock = new ManualClock(wholeSecond(systemClock.now()));

let db: TestDatabase;
let api: AuthorityContext;
let worker: AuthorityContext;

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  worker = await db.context('worker');
});
afterAll(() => db.stop());

interface Written {
  action: string;
  subject: string;
  days: number;
  owner: string | null;
  issuer: string | null;
}

/** The clock has moved: the follower has to have looked since. */
async function untilFresh(plane: AuthorityContext): Promise<void> {
  for (;;) {
    try {
      plane.follower.assertFresh(1000);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

let seen = 0;
/** What the job has written since it was last asked. */
async function warn(): Promise<Written[]> {
  await warnOfExpiry(worker);
  const rows = await db.sql<Omit<Written, 'days'> & { id: number; detail: string }>(
    `select id::float8 as id, action, subject, owner_org_id as owner, issuer_org_id as issuer,
       convert_from(canonical, 'UTF8')::json -> 'detail' ->> 'days' as detail
     from audit where id > $1 and (action like '%.expiring' or action = 'certificate.renewalOverdue') order by id`,
    [seen],
  );
  seen = rows.at(-1)?.id ?? seen;
  return rows.map(({ action, subject, owner, issuer, detail }) => ({
    action,
    subject,
    owner,
    issuer,
    days: Number(detail),
  }));
}
const brief = (rows: Written[]) => rows.map(({ action, days }) => `${action} ${days}`);

/** A stored certificate that began `lived` and ends `left` days from now. */
async function plant(lived: number, left: number, rest: Parameters<typeof plantIntent>[1] = {}): Promise<string> {
  const notAfter = addSeconds(clock.now(), left * DAY);
  const row = await plantIntent(db, { notBefore: addSeconds(clock.now(), -lived * DAY), notAfter, ...rest });
  const owner = await db.as('owner');
  const { serial, deviceId } = row;
  await owner.transaction((tx) =>
    storeSigned(tx, { serial, notAfter, der: randomBytes(40), supersedes: null, deviceId }, plantedAudit(clock.now())),
  );
  return serial.toString('hex');
}

afterEach(async () => {
  // What is still ahead is warned of elsewhere: every spec begins with nothing near its end.
  await db.tamper(`update certificates set superseded_by = '\\x01' where superseded_by is null`);
  await db.tamper(`update keys set status = 'revoked'`);
  await warn();
});

test('a certificate is warned of at 60, 30, 14, 7 and 1 days, each once, and when it is overdue', async () => {
  const serial = await plant(30, 60.5);
  const told: string[] = [];
  for (let day = 0; day < 62; day++) {
    for (const one of await warn()) {
      expect(one.subject).toBe(`certificate:${serial}`);
      told.push(`${one.action} ${one.days} on day ${day}`);
    }
    expect(await warn()).toEqual([]);
    clock.advance(DAY * 1000);
  }
  expect(told).toEqual([
    'certificate.expiring 60 on day 1',
    'certificate.expiring 30 on day 31',
    'certificate.renewalOverdue 0 on day 31',
    'certificate.expiring 14 on day 47',
    'certificate.expiring 7 on day 54',
    'certificate.expiring 1 on day 60',
  ]);
});

test('found late, only the tightest step is told', async () => {
  await plant(84, 6);
  expect(brief(await warn())).toEqual(['certificate.expiring 7', 'certificate.renewalOverdue 0']);
  clock.advance(5.5 * DAY * 1000);
  expect(brief(await warn())).toEqual(['certificate.expiring 1']);
});

test.each<[number, string[]]>([
  [90, ['60', '30', '14', '7', '1']],
  [60, ['60', '30', '14', '7', '1']],
  [59, ['14', '7', '1']],
  [20, ['7', '1']],
  [14, ['1']],
  [3, ['1']],
  [2, []],
  [1, []],
])('a life of %i days is warned of at %p days', async (life, steps) => {
  await plant(0, life);
  const told: number[] = [];
  for (let day = 0; day <= life; day++) {
    told.push(...(await warn()).filter(({ action }) => action === 'certificate.expiring').map(({ days }) => days));
    clock.advance(DAY * 1000);
  }
  expect(told.map(String)).toEqual(steps);
});

describe('nobody is warned of', () => {
  test('a certificate that is superseded', async () => {
    await untilFresh(await db.context('est'));
    const product = await makeProduct(api, db.operator);
    const enrolled = await makeEnrolled(db, product);
    const est = await db.context('est');
    clock.advance(70 * DAY * 1000);
    await untilFresh(est);
    await enroll(est, renewRequest(enrolled.device, enrolled.certificate, newKey()));
    clock.advance(15 * DAY * 1000);
    expect(await warn()).toEqual([]);
  });

  test('a certificate that is revoked', async () => {
    await untilFresh(await db.context('est'));
    await untilFresh(api);
    const { certificate } = await makeEnrolled(db);
    const { serial } = readCertificate(certificate);
    await revokeCertificate(api, db.operator, serial, { reason: 'cessationOfOperation' });
    await worker.follower.catchUp(
      (await db.sql<{ seq: number }>(`select seq::float8 as seq from status_counter`))[0]!.seq,
    );
    clock.advance(85 * DAY * 1000);
    expect(await warn()).toEqual([]);
  });

  test('a certificate that was never signed, one that has ended, a CA certificate, an OCSP signer', async () => {
    await plantIntent(db, { notAfter: addSeconds(clock.now(), DAY) });
    await plant(90, -1);
    await plant(90, 5, { profile: 'ocsp-responder' });
    await plant(900, 5, { profile: 'issuing-ca' });
    expect(await warn()).toEqual([]);
  });

  test('a server certificate before it should have renewed itself, or whose key has a newer one', async () => {
    await plant(40, 50, { profile: 'tls-server' });
    expect(await warn()).toEqual([]);
    const spkiSha256 = randomBytes(32);
    await plant(80, 10, { profile: 'tls-server', spkiSha256 });
    await plant(0, 90, { profile: 'tls-server', spkiSha256 });
    expect(await warn()).toEqual([]);
    await plant(80, 10, { profile: 'tls-server' });
    expect(brief(await warn())).toEqual(['certificate.expiring 14']);
  });
});

test('owner and issuer of the certificate are those of the entry', async () => {
  const product = await makeProduct(api, db.operator);
  await untilFresh(await db.context('est'));
  const { certificate, device } = await makeEnrolled(db, product);
  clock.advance(40 * DAY * 1000);
  const [one] = await warn();
  expect(one).toMatchObject({
    action: 'certificate.expiring',
    subject: `certificate:${readCertificate(certificate).serial}`,
    owner: product.vendorId,
    issuer: db.authorityId,
    days: 60,
  });
  expect(device.ownerOrgId).toBe(product.vendorId);
});

test('a key is warned of while it is in use, not when it is retiring or revoked', async () => {
  const { releaseId, vendorId } = await makeProduct(api, db.operator);
  const plantKey = (id: string, status: string) =>
    db.sql(
      `insert into keys (id, release_id, environment, audience, sealed_verifier, pepper_version, sealed_root, expires_at, mac,
         status, owner_org_id, issuer_org_id, created_at)
       values ($1, $2, 'live', 'all', '', 1, '', $3, '', $4, $5, $6, $7)`,
      [
        id,
        releaseId,
        addSeconds(clock.now(), 6 * DAY),
        status,
        vendorId,
        db.authorityId,
        addSeconds(clock.now(), -90 * DAY),
      ],
    );
  for (const [n, status] of ['active', 'suspended', 'retiring', 'revoked', 'pending'].entries())
    await plantKey(`0000000000000${n}`, status);
  const told = await warn();
  expect(told.map(({ action, subject, days }) => [action, subject, days])).toEqual([
    ['key.expiring', 'key:00000000000000', 7],
    ['key.expiring', 'key:00000000000001', 7],
  ]);
});

test('1,300 certificates in blocks are each warned of once, also by two workers at a time', async () => {
  await Promise.all(Array.from({ length: 60 }, () => plant(80, 10)));
  await db.tamper(
    `insert into certificates (serial, not_after, not_before, issuer_id, profile, profile_version, tbs, der, spki_sha256,
       subject, names, requester, mac, issuer_org_id)
     select decode(lpad(to_hex(g), 16, '0'), 'hex'), $1, $2, (select id from issuers where kind = 'issuing'), 'device', 1, '', '\\x30',
       sha256(g::text::bytea), 'CN=x', '{}', 'system:test', '', $3 from generate_series(1, 1240) g`,
    [addSeconds(clock.now(), 10 * DAY), addSeconds(clock.now(), -10 * DAY), db.authorityId],
  );
  const written = await Promise.all([warnOfExpiry(worker), warnOfExpiry(worker)]);
  const told = await warn();
  expect(told.filter(({ action }) => action === 'certificate.expiring')).toHaveLength(60);
  expect(written[0]! + written[1]!).toBe(told.length);
  // The others live for 20 days: their first step is at 7.
  clock.advance(3.5 * DAY * 1000);
  const later = await Promise.all([warnOfExpiry(worker), warnOfExpiry(worker)]);
  const all = await warn();
  expect(later[0]! + later[1]!).toBe(all.length);
  expect(all.filter(({ action }) => action === 'certificate.expiring')).toHaveLength(1300);
  expect(
    new Set(all.filter(({ action }) => action === 'certificate.expiring').map(({ subject }) => subject)).size,
  ).toBe(1300);
}, 120_000);

describe('the authority itself', () => {
  test('is told of a CA near its end, and of an OCSP signer that did not renew itself', async () => {
    const issuing = await worker.issuers.issuing();
    await renewOcspDelegate(worker, issuing, { ocspKek: randomBytes(32) });
    // A signer lives 30 days and is renewed 10 before its end: at 14 nothing is wrong.
    clock.advance(17 * DAY * 1000);
    expect(await warn()).toEqual([]);
    clock.advance(7 * DAY * 1000);
    expect((await warn()).map(({ action, subject, days, issuer }) => [action, subject, days, issuer])).toEqual([
      ['ocspDelegate.expiring', `issuer:${issuing.id}`, 7, db.authorityId],
    ]);
    clock.advance((issuing.notAfter.getTime() - clock.now().getTime()) / 1 - 29.5 * DAY * 1000);
    const told = (await warn()).filter(({ action }) => action === 'ca.expiring');
    expect(told.map(({ subject, days }) => [subject, days])).toEqual([[`issuer:${issuing.id}`, 30]]);
  });
});
