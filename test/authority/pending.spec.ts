import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approvePending,
  changeDevice,
  csrDemandFor,
  createOrganization,
  enrollOverEst,
  enrollWithServerKey,
  expirePendingEnrollments,
  pendingFacts,
  reconcileIntents,
  rejectPending,
  resetDevice,
  resumeDevice,
  revokeDevice,
  suspendDevice,
  type Actor,
  type AuthorityContext,
  type EnrollmentOutcome,
} from '#authority';
import { AuthorityError, loadConfig, ManualClock } from '#kernel';
import { encodeCsr, readCertificate, readCsr, readKeyRequest, readPublicKey } from '#pki';
import { profiles, shippedLabel } from '#policy';
import { pendingEnrollmentMac } from '#status';
import { findPendingEnrollment, type PendingEnrollmentRow } from '#store';
import { enrollByAccount } from '../../libs/authority/src/enrollment/enroll-by-account.js';
import { findActivePerson } from '../../libs/authority/src/people/session.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { csrOf, newKey, type DeviceKey } from '../harness/device.js';
import {
  enroll,
  enrollRequest,
  makeDevice,
  makeProduct,
  renewRequest,
  type Product,
  type TestDevice,
} from '../harness/fixtures.js';
import { makeMachine, makePerson } from '../harness/people.js';
import { withProfile } from '../harness/with-profile.js';

type Person = Actor & { personId: string };

const DAY_MS = 86_400_000;
const LABEL = { ...shippedLabel(profiles(loadConfig({}).lifetimes).device), approval: true };

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let product: Product;
let approver: Person;
let clock: ManualClock;
beforeAll(async () => {
  clock = new ManualClock(new Date());
  db = await startTestDatabase({ clock });
  [api, est] = [await db.context('api'), await db.context('est')];
  product = await makeProduct(api, db.operator);
  approver = await makePerson(db, ['approver']);
});
afterAll(() => db.stop());

async function jump(ms: number): Promise<void> {
  clock.advance(ms);
  for (const one of [est, api]) {
    while (!fresh(one)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
function fresh(one: AuthorityContext): boolean {
  try {
    one.follower.assertFresh(1000);
    return true;
  } catch {
    return false;
  }
}

let hosts = 0;
const ask = (made: TestDevice, key: DeviceKey, rest: Parameters<typeof enrollRequest>[2] = {}) =>
  enrollOverEst(est, enrollRequest(made, key, { label: LABEL, address: `198.51.100.${++hosts % 250}`, ...rest }));
const refusal = (attempt: Promise<unknown>): Promise<AuthorityError> =>
  attempt.then(
    () => {
      throw new Error('accepted');
    },
    (error: AuthorityError) => error,
  );
const certificateIn = (outcome: EnrollmentOutcome): Buffer => {
  if (outcome.state !== 'issued') throw new Error(`the enrollment is ${outcome.state}`);
  return outcome.certificate;
};
async function rowsOf(device: { id: string }): Promise<PendingEnrollmentRow[]> {
  const ids = await db.sql<{ id: string }>(`select id from pending_enrollments where device_id = $1 order by id`, [
    device.id,
  ]);
  const database = await db.as('worker');
  return database.transaction(async (tx) => {
    const rows: PendingEnrollmentRow[] = [];
    for (const { id } of ids) rows.push((await findPendingEnrollment(tx, id))!);
    return rows;
  });
}
const newest = async (device: { id: string }): Promise<PendingEnrollmentRow> => (await rowsOf(device)).at(-1)!;
const secretsOf = (device: { id: string }) =>
  db.sql(`select state, bound_request is not null as bound from enrollment_secrets where device_id = $1`, [device.id]);
const certificatesOf = (device: { id: string }) =>
  db.sql<{ state: string }>(`select state from certificates join serials using (serial) where device_id = $1`, [
    device.id,
  ]);
const auditsOf = (subject: string) =>
  db.sql<{ action: string; outcome: string }>(`select action, outcome from audit where subject = $1 order by id`, [
    subject,
  ]);

async function waiting(): Promise<{ made: TestDevice; key: DeviceKey; row: PendingEnrollmentRow }> {
  const made = await makeDevice(db, product);
  const key = newKey();
  expect(await ask(made, key)).toMatchObject({ state: 'pending' });
  return { made, key, row: await newest(made.device) };
}

describe('an enrollment that somebody has to approve', () => {
  test('waits: nothing is issued, the secret is kept for it, and the device is told when to ask again (E87)', async () => {
    const made = await makeDevice(db, product);
    const outcome = await ask(made, newKey());
    expect(outcome).toEqual({ state: 'pending', retryAfter: expect.any(Number), waiting: expect.any(String) });
    expect((outcome as { retryAfter: number }).retryAfter).toBeGreaterThanOrEqual(48);
    expect((outcome as { retryAfter: number }).retryAfter).toBeLessThanOrEqual(72);
    expect(await certificatesOf(made.device)).toEqual([]);
    expect(await secretsOf(made.device)).toEqual([{ state: 'free', bound: true }]);
    const row = await newest(made.device);
    expect(row).toMatchObject({
      state: 'pending',
      keyType: 'ec-p256',
      names: [`uri:urn:uuid:${made.device.instanceId}`],
    });
    expect(await auditsOf(`enrollment:${row.id}`)).toEqual([{ action: 'enrollment.pending', outcome: 'success' }]);
  });

  test('is found again by the same request, although the bytes of the CSR differ (E88)', async () => {
    const { made, key } = await waiting();
    // ECDSA signatures are random, and a new connection is another challengePassword.
    expect(await ask(made, key)).toMatchObject({ state: 'pending' });
    expect(await ask(made, key, { wishes: { challengePassword: 'another connection' } })).toMatchObject({
      state: 'pending',
    });
    expect(await rowsOf(made.device)).toHaveLength(1);
  });

  test('gets its certificate at the next request once it is approved, and the same one when it asks again (E87, E91)', async () => {
    const { made, key, row } = await waiting();
    const { digest } = pendingFacts(row);
    expect(await approvePending(api, approver, row.id, { digest })).toMatchObject({ state: 'approved' });
    expect(await certificatesOf(made.device)).toEqual([]);
    const certificate = certificateIn(await ask(made, key));
    expect(readCertificate(certificate).publicKey.spki).toEqual(key.spki);
    expect(certificateIn(await ask(made, key))).toEqual(certificate);
    expect(await newest(made.device)).toMatchObject({
      state: 'done',
      serial: Buffer.from(readCertificate(certificate).serial, 'hex'),
    });
    expect((await auditsOf(`enrollment:${row.id}`)).map(({ action }) => action)).toEqual([
      'enrollment.pending',
      'enrollment.approved',
    ]);
  });

  test('is refused with the reason once it is rejected, and the secret serves nothing else', async () => {
    const { made, key, row } = await waiting();
    await rejectPending(api, approver, row.id, { reason: 'not on the packing list' });
    expect(await refusal(ask(made, key))).toMatchObject({
      kind: 'forbidden',
      code: 'enrollmentRejected',
      detail: 'the enrollment was rejected: not on the packing list',
    });
    expect(await refusal(ask(made, newKey()))).toMatchObject({ kind: 'unauthenticated' });
    const { enrollment } = await resetDevice(api, db.operator, made.device.id);
    expect(await ask({ ...made, secret: enrollment.secret }, key)).toMatchObject({ state: 'pending' });
  });

  test('is the only one of its secret: another key is refused, also at a label that asks nobody (EX26)', async () => {
    const { made, key } = await waiting();
    expect(await refusal(ask(made, newKey()))).toMatchObject({ kind: 'unauthenticated' });
    const open = { ...LABEL, approval: false };
    expect(await refusal(ask(made, newKey(), { label: open }))).toMatchObject({ kind: 'unauthenticated' });
    expect(await ask(made, key)).toMatchObject({ state: 'pending' });
  });

  test('sent by several at once waits once, and is issued once (Q05)', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const all = await Promise.all(Array.from({ length: 6 }, () => ask(made, key)));
    expect(all.map(({ state }) => state)).toEqual(Array(6).fill('pending'));
    const [row, ...more] = await rowsOf(made.device);
    expect(more).toEqual([]);
    await approvePending(api, approver, row!.id, {});
    const issued = await Promise.all(Array.from({ length: 6 }, () => ask(made, key)));
    expect(new Set(issued.map((one) => readCertificate(certificateIn(one)).serial)).size).toBe(1);
  });

  test('two keys of one secret at once: one of them waits (Q05)', async () => {
    const made = await makeDevice(db, product);
    const all = await Promise.allSettled([ask(made, newKey()), ask(made, newKey())]);
    expect(all.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await rowsOf(made.device)).toHaveLength(1);
  });

  test('is still approved when its certificate was abandoned before it was signed', async () => {
    const { made, key, row } = await waiting();
    await approvePending(api, approver, row.id, {});
    const dead = {
      ...est,
      signer: { sign: () => Promise.reject(new AuthorityError('unavailable', 'no signer')) } as never,
    };
    await expect(enrollOverEst(dead, enrollRequest(made, key, { label: LABEL }))).rejects.toMatchObject({
      kind: 'unavailable',
    });
    await db.tamper(`update certificates set created_at = created_at - interval '1 day' where device_id = $1`, [
      made.device.id,
    ]);
    expect(await reconcileIntents(await db.context('worker'), 0)).toMatchObject({ abandoned: 1 });
    expect(readCertificate(certificateIn(await ask(made, key))).publicKey.spki).toEqual(key.spki);
    expect(await rowsOf(made.device)).toHaveLength(1);
  });

  test('is not asked about again at a renewal', async () => {
    const { made, key, row } = await waiting();
    await approvePending(api, approver, row.id, {});
    const certificate = certificateIn(await ask(made, key));
    await enroll(est, renewRequest(made.device, certificate, newKey(), { label: LABEL }));
  });

  test('dies with its device: revoked or suspended, it waits no more and cannot be approved', async () => {
    const one = await waiting();
    await revokeDevice(api, db.operator, one.made.device.id, { reason: 'superseded' });
    expect(await newest(one.made.device)).toMatchObject({ state: 'withdrawn' });
    expect(await refusal(approvePending(api, approver, one.row.id, {}))).toMatchObject({ code: 'approvalDecided' });
    const two = await waiting();
    await approvePending(api, approver, two.row.id, {});
    const { seq } = await suspendDevice(api, db.operator, two.made.device.id);
    await est.follower.catchUp(seq);
    expect(await newest(two.made.device)).toMatchObject({ state: 'withdrawn' });
    expect(await refusal(ask(two.made, two.key))).toMatchObject({ kind: 'forbidden' });
    clock.advance(10);
    const resumed = await resumeDevice(api, db.operator, two.made.device.id);
    await est.follower.catchUp(resumed.seq);
    expect(await ask(two.made, two.key)).toMatchObject({ state: 'pending' });
    expect(await newest(two.made.device)).toMatchObject({ state: 'pending' });
  });
});

const lastSeq = async () =>
  Number((await db.sql<{ seq: string }>(`select max(seq) as seq from status_changes`))[0]!.seq);

describe('other names', () => {
  const withAddresses = (a: AuthorityContext): AuthorityContext =>
    withProfile(a, {
      san: [
        { type: 'uuid', min: 1, max: 1 },
        { type: 'ip', min: 0, max: 5 },
      ],
    });
  const rename = async (id: string, ...addresses: string[]): Promise<void> => {
    await changeDevice(withAddresses(api), db.operator, id, { names: addresses.map((one) => `ip:${one}`) });
    await est.follower.catchUp(await lastSeq());
  };

  test('than those that were approved are not issued: the device waits anew', async () => {
    const { made, key, row } = await waiting();
    await approvePending(api, approver, row.id, {});
    await rename(made.device.id, '192.0.2.7');
    expect(await rowsOf(made.device)).toMatchObject([{ state: 'withdrawn' }]);
    const again = enrollRequest(made, key, { label: LABEL });
    expect(await enrollOverEst(withAddresses(est), again)).toMatchObject({ state: 'pending' });
    expect(await certificatesOf(made.device)).toEqual([]);
  });

  test('at a renewal are approved as a new identity (E82)', async () => {
    const { made, key, row } = await waiting();
    await approvePending(api, approver, row.id, {});
    const current = certificateIn(await ask(made, key));
    await rename(made.device.id, '192.0.2.8');
    const uuid = { type: 'uri', value: `urn:uuid:${made.device.instanceId}` } as const;
    const address = { type: 'ip', value: '192.0.2.8' } as const;
    const subject = [[{ type: '2.5.4.3', value: made.device.id }]];
    const next = newKey();
    const renew = (by = next) => {
      const csr = readCsr(csrOf(made.device, by, { changeSubjectName: { subject, san: [uuid, address] } }));
      return enrollOverEst(withAddresses(est), renewRequest(made.device, current, by, { label: LABEL, csr }));
    };
    expect(await renew()).toMatchObject({ state: 'pending' });
    expect(await renew()).toMatchObject({ state: 'pending' });
    expect(await refusal(renew(newKey()))).toMatchObject({ kind: 'limited', code: 'tooMany' });
    const asked = (await rowsOf(made.device)).find(({ state }) => state === 'pending')!;
    expect(asked).toMatchObject({ names: ['ip:192.0.2.8', `uri:${uuid.value}`] });
    await approvePending(withAddresses(api), approver, asked.id, {});
    const issued = certificateIn(await renew());
    expect(readCertificate(issued).san).toEqual([uuid, address]);
    expect(certificateIn(await renew())).toEqual(issued);
    expect((await rowsOf(made.device)).map(({ state }) => state)).toEqual(['done', 'done']);
  });
});

test('a secret that has ended tells csrattrs no names, but where a request of it waits (E87, E121)', async () => {
  const [idle, waits] = [await makeDevice(db, product), await waiting()];
  const namesFor = async ({ device, secret }: TestDevice) =>
    (
      await csrDemandFor(est, {
        label: LABEL,
        presented: { ...enrollRequest(waits.made, waits.key).presented, basic: { user: device.id, password: secret } },
        address: `198.51.100.${++hosts % 250}`,
      })
    ).names;
  expect(await namesFor(idle)).toBeDefined();
  await jump(loadConfig({}).lifetimes.enrollmentSecret * 1000 + 1);
  expect(await refusal(namesFor(idle))).toMatchObject({ kind: 'unauthenticated' });
  expect(await namesFor(waits.made)).toBeDefined();
});

describe('a key that is made here for other names', () => {
  test('is made once somebody has approved them, not at each time that the device asks (E82, E87)', async () => {
    const wishes = {
      keyTypes: ['rsa-2048', 'ec-p256'] as const,
      san: [
        { type: 'uuid', min: 1, max: 1 },
        { type: 'ip', min: 0, max: 5 },
      ] as const,
    };
    const wide = (a: AuthorityContext) => withProfile(a, wishes as unknown as Parameters<typeof withProfile>[1]);
    const { made, key, row } = await waiting();
    await approvePending(api, approver, row.id, {});
    const current = certificateIn(await ask(made, key));
    await changeDevice(wide(api), db.operator, made.device.id, { names: ['ip:192.0.2.9'] });
    await est.follower.catchUp(await lastSeq());
    const san = [
      { type: 'uri', value: `urn:uuid:${made.device.instanceId}` },
      { type: 'ip', value: '192.0.2.9' },
    ] as const;
    const subject = [[{ type: '2.5.4.3', value: made.device.id }]];
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const spki = rsa.publicKey.export({ type: 'spki', format: 'der' });
    const asked = readKeyRequest(
      encodeCsr(
        {
          ...{ subject, publicKey: readPublicKey(spki), san: [san[0]] },
          changeSubjectName: { subject, san: [...san] },
        },
        rsa.privateKey,
      ),
    );
    const { csr: _csr, operation: _operation, ...rest } = renewRequest(made.device, current, key, { label: LABEL });
    const context = wide(est);
    const poll = () => enrollWithServerKey(context, { ...rest, asked });
    expect(await poll()).toMatchObject({ state: 'pending' });
    // No more than two such keys are made at the same time: the others would be told to come back.
    const polls = await Promise.all(Array.from({ length: 6 }, poll));
    expect(polls.map(({ state }) => state)).toEqual(Array(6).fill('pending'));
    const waits = (await rowsOf(made.device)).filter(({ state }) => state === 'pending');
    expect(waits).toMatchObject([{ keyType: 'rsa-2048', spkiSha256: Buffer.alloc(32) }]);
    await approvePending(wide(api), approver, waits[0]!.id, {});
    const got = await poll();
    if (got.state !== 'issued') throw new Error(got.state);
    const { publicKey, san: names } = readCertificate(got.certificate);
    expect([publicKey.keyType, names]).toEqual(['rsa-2048', san]);
    expect(
      createPublicKey(createPrivateKey({ key: got.pkcs8, format: 'der', type: 'pkcs8' })).export({
        type: 'spki',
        format: 'der',
      }),
    ).toEqual(publicKey.spki);
    expect((await rowsOf(made.device)).map(({ state }) => state)).toEqual(['done', 'done']);
  });
});

describe('who decides', () => {
  test('is a person who may approve, of the organization that vouches for the device', async () => {
    const { row } = await waiting();
    const officer = await makePerson(db, ['officer']);
    expect(await refusal(approvePending(api, officer, row.id, {}))).toMatchObject({ kind: 'forbidden' });
    const machine = await makeMachine(db, approver, ['approver']);
    expect(await refusal(approvePending(api, machine, row.id, {}))).toMatchObject({ code: 'approverMustBePerson' });
    const vendor = await makePerson(db, ['approver'], product.vendorId);
    expect(await refusal(approvePending(api, vendor, row.id, {}))).toMatchObject({ kind: 'forbidden' });
    const other = await createOrganization(api, db.operator, { name: 'Tester', kind: 'testing' });
    const stranger = await makePerson(db, ['approver'], other.id);
    expect(await refusal(approvePending(api, stranger, row.id, {}))).toMatchObject({ kind: 'notFound' });
    expect(await refusal(rejectPending(api, stranger, row.id, {}))).toMatchObject({ kind: 'notFound' });
    expect((await auditsOf(`enrollment:${row.id}`)).filter(({ outcome }) => outcome === 'refused')).toHaveLength(3);
    expect(await rowsOf({ id: row.deviceId })).toMatchObject([{ state: 'pending' }]);
  });

  test('is not whoever asked for it by an account', async () => {
    const both = await makePerson(db, ['officer', 'approver']);
    await est.follower.catchUp(await lastSeq());
    const made = await makeDevice(db, product);
    const person = (await est.database.transaction((tx) => findActivePerson(tx, est, both.personId)))!;
    const request = enrollRequest(made, newKey(), { label: LABEL, basic: undefined });
    expect(await enrollByAccount(est, request, person)).toMatchObject({ state: 'pending' });
    const row = await newest(made.device);
    expect(await refusal(approvePending(api, both, row.id, {}))).toMatchObject({
      kind: 'forbidden',
      code: 'samePerson',
    });
    await approvePending(api, approver, row.id, {});
    expect(await enrollByAccount(est, request, person)).toMatchObject({ state: 'issued' });
  });

  test('decides what was looked at, once', async () => {
    const { row } = await waiting();
    expect(await refusal(approvePending(api, approver, row.id, { digest: 'ab'.repeat(32) }))).toMatchObject({
      code: 'approvalAltered',
    });
    await approvePending(api, approver, row.id, {});
    expect(await approvePending(api, approver, row.id, {})).toMatchObject({ state: 'approved' });
    const second = await makePerson(db, ['approver']);
    expect(await refusal(rejectPending(api, second, row.id, {}))).toMatchObject({ code: 'approvalDecided' });
  });

  test('is not whoever writes to the table: neither an approval nor another key is believed', async () => {
    const { made, key, row } = await waiting();
    await db.tamper(`update pending_enrollments set state = 'approved' where id = $1`, [row.id]);
    expect(await refusal(ask(made, key))).toMatchObject({ kind: 'internal', code: 'rowMac' });
    await db.tamper(`update pending_enrollments set state = 'pending', names = '{}' where id = $1`, [row.id]);
    expect(await refusal(approvePending(api, approver, row.id, {}))).toMatchObject({ code: 'approvalAltered' });
    expect(await certificatesOf(made.device)).toEqual([]);
  });
});

test('an organization has no more than 1000 enrollments that wait', async () => {
  const other = await makeProduct(api, db.operator);
  const first = await makeDevice(db, other);
  const key = newKey();
  await ask(first, key);
  const row = await newest(first.device);
  await db.sql(
    `insert into pending_enrollments select (jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid(),
       'request', '\\x' || encode(uuid_send(gen_random_uuid()), 'hex')))).* from pending_enrollments p, generate_series(2, 1000)
     where id = $1`,
    [row.id],
  );
  expect(await refusal(ask(await makeDevice(db, other), newKey()))).toMatchObject({
    kind: 'limited',
    code: 'tooMany',
    retryAfter: 3600,
  });
  expect(await ask(first, key)).toMatchObject({ state: 'pending' });
});

// These move the clock for good, and therefore come last.
describe('time', () => {
  test('lets a request that waits be asked about less often, an hour at most', async () => {
    const { made, key } = await waiting();
    await jump(DAY_MS / 2);
    const { retryAfter } = (await ask(made, key)) as { retryAfter: number };
    expect(retryAfter).toBeGreaterThanOrEqual(2880);
    expect(retryAfter).toBeLessThanOrEqual(4320);
  });

  test('ends what nobody decided, gives the secret back, and begins anew', async () => {
    const { made, key, row } = await waiting();
    expect(row.mac).toEqual(pendingEnrollmentMac(db.macKey, row));
    await jump(7 * DAY_MS - 60_000);
    expect(await ask(made, key)).toMatchObject({ state: 'pending' });
    await jump(120_000);
    const worker = await db.context('worker');
    expect(await expirePendingEnrollments(worker)).toBeGreaterThan(0);
    while ((await expirePendingEnrollments(worker)) > 0);
    expect(await newest(made.device)).toMatchObject({ state: 'expired' });
    expect(await secretsOf(made.device)).toEqual([{ state: 'free', bound: false }]);
    expect(await refusal(approvePending(api, approver, row.id, {}))).toMatchObject({ code: 'approvalExpired' });
    // The secret has ended with it: another is given.
    expect(await refusal(ask(made, key))).toMatchObject({ kind: 'unauthenticated' });
    const { enrollment } = await resetDevice(api, db.operator, made.device.id);
    expect(await ask({ ...made, secret: enrollment.secret }, key)).toMatchObject({ state: 'pending' });
    expect((await rowsOf(made.device)).map(({ state }) => state)).toEqual(['expired', 'pending']);
  });

  test('that ends while approved: a week from the approval, also past the end of the secret', async () => {
    const { made, key, row } = await waiting();
    await jump(6 * DAY_MS);
    await approvePending(api, approver, row.id, {});
    await jump(6 * DAY_MS);
    expect(await ask(made, key)).toMatchObject({ state: 'issued' });
  });
});
