import { createHash, createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  currentLabel,
  DigestNonces,
  FailedAttempts,
  registerDevice,
  resetDevice,
  rewrapVerifiers,
  suspendDevice,
  type AuthorityContext,
} from '#authority';
import { KeyRing, parseCredential } from '#credential';
import { readCertificate, readCertsOnly } from '#pki';
import { encodePkiData, signByNewKey, taggedPkcs10 } from '../../../libs/est/src/testing/cmc-client.js';
import { approveEnrollment } from '../../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic, csrOf, newKey } from '../../harness/device.js';
import { makeDevice, makeProduct, type Product, type TestDevice } from '../../harness/fixtures.js';
import { makeLabel } from '../../harness/manufacturer.js';
import { httpsRequest, type HttpsAnswer } from '../https-request.js';
import { digestHeader, isStale, nonceOf, type DigestAnswer } from './digest-client.js';
import { counts, newestRefusal, openEst, plainCsr, type EstPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let label: string;
/** Made before any label had Digest. */
let early: TestDevice;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  early = await makeDevice(db, product);
  label = await makeLabel(db, { digest: true, operations: ['csrattrs', 'serverkeygen', 'fullcmc'] });
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const WRONG = 'user name or one-time secret is wrong, expired or used\n';
const uri = (operation = 'simpleenroll'): string => `/.well-known/est/${label}/${operation}`;
const challenge = async (operation?: string): Promise<string> =>
  nonceOf(await call(operation ?? 'simpleenroll', undefined, plainCsr(newKey())))!;

function call(
  operation: string,
  authorization: string | undefined,
  body?: Buffer,
  type = 'application/pkcs10',
  from?: string,
) {
  const headers = { ...(authorization && { authorization }), ...(body && { 'content-type': type }) };
  const options = { method: body ? 'POST' : 'GET', rejectUnauthorized: false, headers, localAddress: from };
  return httpsRequest(plane.base, uri(operation), { ...options, ...(body && { body: body.toString('base64') }) });
}

/** One that answers a new challenge. */
const headerOf = async (made: TestDevice, some: Partial<DigestAnswer> = {}): Promise<string> =>
  digestHeader({
    user: made.device.id,
    password: made.secret,
    uri: uri(),
    nonce: some.nonce ?? (await challenge()),
    ...some,
  });
const certificateOf = (answer: HttpsAnswer) => {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertificate(readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!);
};
/** Each from an address of its own: what others have failed is not counted. */
let hosts = 0;
const enrolls = async (made: TestDevice, some: Partial<DigestAnswer> = {}, csr = plainCsr(newKey())) =>
  call('simpleenroll', await headerOf(made, some), csr, 'application/pkcs10', `127.0.9.${(++hosts % 250) + 1}`);
const digests = ({ device }: Pick<TestDevice, 'device'>) =>
  db.sql<{ sealed_digest: Buffer | null }>(
    `select sealed_digest from enrollment_secrets where device_id = $1 order by created_at`,
    [device.id],
  );

describe('a label with Digest', () => {
  test('offers it first, with SHA-256, qop="auth" and a nonce that no other challenge has (E43, E44)', async () => {
    const answers = [await call('simpleenroll', undefined, plainCsr(newKey())), await plane.ask({ label })];
    for (const answer of answers) {
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(
        /^Digest realm="Touchmark EST", qop="auth", algorithm=SHA-256, nonce="[\w-]{72}", charset=UTF-8, Basic realm="Touchmark EST", charset="UTF-8"$/,
      );
      expect(answer.text).toBe('send device id and one-time secret by HTTP Digest or Basic\n');
    }
    expect(new Set(answers.map(nonceOf)).size).toBe(2);
  });

  test('gives the certificate to who answers on another connection than the challenge (E46)', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const certificate = certificateOf(await enrolls(made, {}, plainCsr(key)));
    expect(certificate.san).toEqual([{ type: 'uri', value: `urn:uuid:${made.device.instanceId}` }]);
    expect(certificate.publicKey.spki.equals(key.spki)).toBe(true);
  });

  test('still takes the secret by Basic; the same request by either is one request', async () => {
    const made = await makeDevice(db, product);
    const csr = plainCsr(newKey());
    const first = certificateOf(await call('simpleenroll', basic(made.device.id, made.secret), csr));
    expect(certificateOf(await enrolls(made, {}, csr)).serial).toBe(first.serial);
    const other = await enrolls(made);
    expect([other.status, other.text, isStale(other)]).toEqual([401, WRONG, false]);
  });

  test('makes a key for who proves the secret, and says to him which names he has (E121)', async () => {
    const made = await makeDevice(db, product);
    const plain = await call('csrattrs', undefined);
    const asked = { method: 'GET', uri: uri('csrattrs') };
    const told = await call('csrattrs', await headerOf(made, asked));
    expect([plain.status, told.status]).toEqual([200, 200]);
    expect(told.text.length).toBeGreaterThan(plain.text.length);
    const wrong = await call('csrattrs', await headerOf(made, { ...asked, password: 'x' }));
    expect([wrong.status, wrong.text, isStale(wrong)]).toEqual([401, WRONG, false]);
    expect(nonceOf(wrong)).toBeDefined();

    const key = await headerOf(made, { uri: uri('serverkeygen') });
    const keyed = await call('serverkeygen', key, csrOf(made.device, newKey()));
    expect([keyed.status, keyed.text.slice(0, 2)]).toEqual([200, '--']);
  });

  test('takes a full CMC request with it, and challenges who sends none', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const message = signByNewKey(encodePkiData({ requests: [taggedPkcs10(1, csrOf(made.device, key))] }), key);
    const type = 'application/pkcs7-mime; smime-type=CMC-request';
    const refused = await call('fullcmc', undefined, message, type);
    expect(refused.status).toBe(401);
    const authorization = await headerOf(made, { uri: uri('fullcmc'), nonce: nonceOf(refused)! });
    expect((await call('fullcmc', authorization, message, type)).status).toBe(200);
    const again = await call('fullcmc', authorization, message, type);
    expect([again.status, isStale(again)]).toEqual([401, true]);
  });

  test('keeps the request waiting for approval until somebody has approved', async () => {
    const waiting = await makeLabel(db, { digest: true, approval: true });
    const made = await makeDevice(db, product);
    const csr = plainCsr(newKey());
    const path = `/.well-known/est/${waiting}/simpleenroll`;
    const ask = async (nonce: string): Promise<HttpsAnswer> =>
      plane.ask({ label: waiting, csr, headers: { authorization: await headerOf(made, { nonce, uri: path }) } });
    expect((await ask(await challenge())).status).toBe(202);
    await approveEnrollment(db, made.device.id);
    expect((await ask(await challenge())).status).toBe(200);
  });
});

describe('a request without a body and without credentials', () => {
  test('is a question for the nonce: 401, and no entry of a refusal', async () => {
    const before = await newestRefusal(db);
    for (const [operation, type] of [
      ['simpleenroll', 'application/pkcs10'],
      ['serverkeygen', 'application/pkcs10'],
      ['fullcmc', 'application/pkcs7-mime'],
    ] as const) {
      const answer = await call(operation, undefined, Buffer.alloc(0), type);
      expect([answer.status, nonceOf(answer)]).toEqual([401, expect.any(String)]);
    }
    expect(await newestRefusal(db)).toEqual(before);
  });

  test('is malformed where it renews, where it has credentials, and at a label without Digest', async () => {
    const made = await makeDevice(db, product);
    const empty = Buffer.alloc(0);
    expect((await call('simplereenroll', undefined, empty)).status).toBe(400);
    expect((await call('simpleenroll', await headerOf(made), empty)).status).toBe(400);
    const headers = { 'content-type': 'application/pkcs10' };
    expect((await plane.ask({ csr: empty, headers })).status).toBe(400);
  });
});

describe('a label without Digest', () => {
  test('offers Basic alone, and takes no answer to the challenge of another label', async () => {
    const made = await makeDevice(db, product);
    const nonce = await challenge();
    const authorization = await headerOf(made, { nonce, uri: '/.well-known/est/simpleenroll' });
    const [bare, digest] = [await plane.ask(), await plane.ask({ headers: { authorization } })];
    for (const answer of [bare, digest]) {
      expect([answer.status, answer.text]).toEqual([401, 'send device id and one-time secret by HTTP Basic\n']);
      expect(answer.headers['www-authenticate']).toBe('Basic realm="Touchmark EST", charset="UTF-8"');
    }
    expect(currentLabel(plane.est, 'device')?.digest).toBe(false);
  });
});

describe('what is kept of a secret for Digest', () => {
  test('is kept for labels of the profile alone, sealed, and never in clear', async () => {
    const made = await makeDevice(db, product);
    const [row] = await digests(made);
    expect(row?.sealed_digest).toHaveLength(12 + 32 + 16);
    const key = createHash('sha256').update(`${made.device.id}:Touchmark EST:${made.secret}`).digest('hex');
    const dump = await db.dump();
    expect(dump).toContain(row!.sealed_digest!.toString('hex'));
    for (const secret of [key, made.secret]) expect(dump).not.toContain(secret);
    expect(await digests(early)).toEqual([{ sealed_digest: null }]);
    const profile = 'device-short-lived';
    const kept = async () =>
      (await digests(await registerDevice(api, db.operator, { appId: product.appId, profile })))[0]?.sealed_digest !==
      null;
    await makeLabel(db, { profile }, profile);
    expect(await kept()).toBe(false);
    await makeLabel(db, { profile, digest: true }, profile);
    expect(await kept()).toBe(true);
  });

  test('a secret of before the label had Digest is good for Basic; a reset makes one for both', async () => {
    const refused = await enrolls(early);
    expect([refused.status, refused.text]).toEqual([401, WRONG]);
    const { enrollment } = await resetDevice(api, db.operator, early.device.id);
    certificateOf(await enrolls({ ...early, secret: enrollment.secret }));
  });

  test('opens nowhere but in its own row: put into another, or in place of the verifier, it is a fault', async () => {
    const [own, other] = [await makeDevice(db, product), await makeDevice(db, product)];
    const idOf = (made: TestDevice) => parseCredential(made.secret)!.id;
    await db.tamper(
      `update enrollment_secrets set sealed_digest = (select sealed_digest from enrollment_secrets where id = $2) where id = $1`,
      [idOf(other), idOf(own)],
    );
    const moved = await enrolls(other, { password: own.secret });
    expect(moved.status).toBe(500);
    await db.tamper(`update enrollment_secrets set sealed_digest = sealed_verifier where id = $1`, [idOf(other)]);
    expect((await enrolls(other)).status).toBe(500);
    certificateOf(await enrolls(own));
  });

  test('is only resealed, together with the verifier, under a later pepper', async () => {
    const made = await makeDevice(db, product);
    const worker = await db.as('worker');
    const id = parseCredential(made.secret)!.id;
    const change = (set: string) => db.sql(`update enrollment_secrets set ${set} where id = $1`, [id]).catch(String);
    for (const set of [
      `sealed_digest = '\\x00'`,
      `sealed_digest = null`,
      `sealed_digest = null, sealed_verifier = '\\x00', pepper_version = pepper_version + 1`,
      `sealed_verifier = '\\x00', pepper_version = pepper_version + 1`,
    ]) {
      expect(await change(set)).toMatch(/sealed anew under a later pepper/);
    }
    const next = { version: 2, key: randomBytes(32) };
    await rewrapVerifiers(worker, new KeyRing([db.pepper, next]));
    const est = await db.context('est');
    const peppers = est.peppers as Map<number, typeof next>;
    expect((await enrolls(made)).status).toBe(500);
    peppers.set(2, next);
    certificateOf(await enrolls(made));
  });
});

describe('a nonce', () => {
  const moved = (ms: number): string => {
    const { clock } = db;
    const at = () => new Date(clock.now().getTime() + ms);
    return new DigestNonces({ now: at, monotonicMs: () => 0 }, db.macKey).make();
  };

  test('of another process, or of before a restart, is as good; so is one of a clock that is a little ahead', async () => {
    certificateOf(await enrolls(await makeDevice(db, product), { nonce: moved(0) }));
    certificateOf(await enrolls(await makeDevice(db, product), { nonce: moved(50_000) }));
    certificateOf(await enrolls(await makeDevice(db, product), { nonce: moved(-290_000) }));
  });

  test.each([
    ['more than 5 minutes old', -301_000],
    ['of more than a minute from now', 61_000 + 10_000],
  ])('%s is stale, whoever says so; the new one does', async (_, ms) => {
    const made = await makeDevice(db, product);
    const [right, wrong] = [
      await enrolls(made, { nonce: moved(ms) }),
      await enrolls(made, { nonce: moved(ms), password: 'x' }),
    ];
    for (const answer of [right, wrong]) {
      expect([answer.status, isStale(answer)]).toEqual([401, true]);
      expect(answer.text).toBe('the nonce is old or was used; answer the new one\n');
    }
    certificateOf(await enrolls(made, { nonce: nonceOf(right)! }));
  });

  const altered = (at: number): string => {
    const bytes = Buffer.from(new DigestNonces(db.clock, db.macKey).make(), 'base64url');
    bytes[at]! ^= 1;
    return bytes.toString('base64url');
  };

  test.each([
    ['that somebody else made', () => new DigestNonces(db.clock, createSecretKey(randomBytes(32))).make()],
    ['with an altered time', () => altered(0)],
    ['with an altered random part', () => altered(8)],
    ['with an altered MAC', () => altered(53)],
    ['that is cut', () => new DigestNonces(db.clock, db.macKey).make().slice(0, -4)],
    ['that is longer', () => `${new DigestNonces(db.clock, db.macKey).make()}AAAA`],
    ['in another alphabet', () => '+'.repeat(72)],
    ['that is a word', () => 'nonce'],
  ])('%s is refused as a wrong secret is, and not stale', async (_, make) => {
    const made = await makeDevice(db, product);
    const answer = await enrolls(made, { nonce: make() });
    expect([answer.status, answer.text, isStale(answer)]).toEqual([401, WRONG, false]);
  });

  test('and count that were used are no use again, to the same request or to another; the next count is', async () => {
    const made = await makeDevice(db, product);
    const nonce = await challenge();
    // Refused after the secret was proved: names of somebody else. The secret is free as before.
    const other = await makeDevice(db, product);
    const authorization = await headerOf(made, { nonce });
    const before = await counts(db);
    const first = await call('simpleenroll', authorization, csrOf(other.device, newKey()));
    expect(first.status).toBe(403);
    const replay = await call('simpleenroll', authorization, plainCsr(newKey()));
    expect([replay.status, isStale(replay)]).toEqual([401, true]);
    expect(await counts(db)).toEqual(before);
    const csr = plainCsr(newKey());
    const next = await headerOf(made, { nonce, nc: '00000002' });
    const certificate = certificateOf(await call('simpleenroll', next, csr));
    const lost = await call('simpleenroll', next, csr);
    expect([lost.status, isStale(lost)]).toEqual([401, true]);
    expect(certificateOf(await enrolls(made, { nonce: nonceOf(lost)! }, csr)).serial).toBe(certificate.serial);
  });

  test('used by two requests at once lets one of them in, 5 times (E47)', async () => {
    for (let round = 0; round < 5; round++) {
      const made = await makeDevice(db, product);
      const authorization = await headerOf(made);
      const keys = [newKey(), newKey()];
      const answers = await Promise.all(keys.map((key) => call('simpleenroll', authorization, plainCsr(key))));
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 401]);
    }
  });
});

describe('an answer to the challenge', () => {
  const withoutKey = (nonce: string): string => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    return `"${sha256(`${'00'.repeat(32)}:${nonce}:00000001:c:auth:${sha256(`POST:${uri()}`)}`)}"`;
  };

  let made: TestDevice;
  beforeAll(async () => {
    made = await makeDevice(db, product);
  });

  test.each<[string, (made: TestDevice, other: TestDevice, nonce: string) => Partial<DigestAnswer>]>([
    ['with another secret', (_, other) => ({ password: other.secret })],
    ['with the secret of another device', (_, other) => ({ user: other.device.id })],
    ['with an unknown device', () => ({ user: '0199f3a0-0000-7000-8000-000000000001' })],
    ['with a user that is no device', () => ({ user: 'nobody' })],
    ['with no user, who would not be known by it', () => ({ user: '' })],
    ['with the device in capitals', ({ device }) => ({ user: device.id.toUpperCase() })],
    ['with no secret', () => ({ password: '' })],
    ['with the secret and more', ({ secret }) => ({ password: `${secret}x` })],
    ['for GET', () => ({ method: 'GET' })],
    [
      'with another nonce than it was computed with',
      (_m, _o, nonce) => ({ nonce, change: { nonce: `"${new DigestNonces(db.clock, db.macKey).make()}"` } }),
    ],
    ['with another count than it was computed with', () => ({ change: { nc: '00000002' } })],
    ['with another cnonce than it was computed with', () => ({ change: { cnonce: '"other"' } })],
    [
      'that everybody can compute',
      (_m, _o, nonce) => ({ nonce, change: { cnonce: '"c"', response: withoutKey(nonce) } }),
    ],
    [
      'of an unknown device, that everybody can compute',
      (_m, _o, nonce) => ({ nonce, user: 'nobody', change: { cnonce: '"c"', response: withoutKey(nonce) } }),
    ],
  ])('%s: 401, one text, an audit entry, and nothing done (EX12)', async (_, wrong) => {
    const [made, other] = [await makeDevice(db, product), early];
    const nonce = await challenge();
    const [entry, had] = [await newestRefusal(db), await counts(db)];
    const some = wrong(made, other, nonce);
    const answer = await enrolls(made, some);
    expect([answer.status, answer.text, isStale(answer)]).toEqual([401, WRONG, false]);
    const written = await newestRefusal(db);
    expect(written!.id).toBeGreaterThan(entry!.id);
    const user = some.user ?? made.device.id;
    expect(written!.subject).toBe(/^[0-9a-f-]{36}$/.test(user) ? `device:${user}` : 'device:unknown');
    expect(await counts(db)).toEqual(had);
  });

  test.each<[string, Record<string, string | undefined>]>([
    ['for another operation', { uri: '"/.well-known/est/simpleenroll"' }],
    ['for another spelling of the path', { uri: '"/%2ewell-known/est/simpleenroll"' }],
    ['for the absolute URI', { uri: '"https://localhost/.well-known/est/simpleenroll"' }],
    ['with MD5', { algorithm: 'MD5' }],
    ['without an algorithm, which means MD5', { algorithm: undefined }],
    ['with qop=auth-int', { qop: 'auth-int' }],
    ['without qop, as of RFC 2069', { qop: undefined, nc: undefined, cnonce: undefined }],
    ['without a count', { nc: undefined }],
    ['without a cnonce', { cnonce: undefined }],
    ['with a hashed user name', { userhash: 'true' }],
    ['of another realm', { realm: '"elsewhere"' }],
    ['with the nonce twice', { Nonce: '"x"' }],
  ])('%s: 400, an audit entry, and nothing done (EX13)', async (_, change) => {
    const nonce = await challenge();
    const [entry, had] = [await newestRefusal(db), await counts(db)];
    const answer = await enrolls(made, { nonce, change });
    expect(answer.status).toBe(400);
    expect(answer.text).not.toContain(made.secret);
    expect((await newestRefusal(db))!.id).toBeGreaterThan(entry!.id);
    expect(await counts(db)).toEqual(had);
  });

  test('as it should be, after all that', async () => {
    certificateOf(await enrolls(made));
  });

  test('with a secret that a reset has withdrawn, or that has been used, is refused; that of a suspended device too', async () => {
    const made = await makeDevice(db, product);
    const { enrollment } = await resetDevice(api, db.operator, made.device.id);
    const old = await enrolls(made);
    expect([old.status, old.text]).toEqual([401, WRONG]);
    const csr = plainCsr(newKey());
    const now = { ...made, secret: enrollment.secret };
    const certificate = certificateOf(await enrolls(now, {}, csr));
    expect((await enrolls(now)).status).toBe(401);
    await resetDevice(api, db.operator, made.device.id);
    // What was begun is still told, whatever was granted since.
    expect(certificateOf(await enrolls(now, {}, csr)).serial).toBe(certificate.serial);
    const other = await makeDevice(db, product);
    await suspendDevice(api, db.operator, other.device.id);
    expect((await enrolls(other)).status).toBe(403);
  });

  test('that is wrong too often makes the address wait, and nobody else (EX14)', async () => {
    const made = await makeDevice(db, product);
    const { failedAttempts } = plane.est;
    plane.est.failedAttempts = new FailedAttempts(db.clock, { perAddressPerMinute: 8, perSecretPerMinute: 2 });
    try {
      const from = (host: string, header: string) =>
        call('simpleenroll', header, plainCsr(newKey()), 'application/pkcs10', host);
      const wrong = async () => headerOf(made, { password: 'x' });
      const foreign = async () =>
        headerOf(made, { nonce: new DigestNonces(db.clock, createSecretKey(randomBytes(32))).make() });
      const statuses: number[] = [];
      for (let tries = 0; tries < 4; tries++) {
        for (const header of [await wrong(), await foreign()]) statuses.push((await from('127.0.8.1', header)).status);
      }
      expect(statuses).toEqual(Array.from({ length: 8 }, () => 401));
      const late = await from('127.0.8.1', await headerOf(made));
      expect([late.status, Number(late.headers['retry-after'])]).toEqual([429, expect.any(Number)]);
      certificateOf(await from('127.0.8.2', await headerOf(made)));
    } finally {
      plane.est.failedAttempts = failedAttempts;
    }
  });
});
