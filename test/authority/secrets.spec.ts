import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { reconcileIntents, resetDevice, revokeDevice, type AuthorityContext, type Transactor } from '#authority';
import { mintEnrollmentSecret, parseCredential, sealVerifier, verifierHash } from '#credential';
import { addSeconds, AuthorityError, loadConfig } from '#kernel';
import { OID, readCertificate } from '#pki';
import { profiles, shippedLabel } from '#policy';
import type { Signer } from '#signing';
import { secretSealContext } from '../../libs/authority/src/secret-seal.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { type Product, type TestDevice, enroll, enrollRequest, makeDevice, makeProduct } from '../harness/fixtures.js';

const DEFAULT = shippedLabel(profiles(loadConfig({}).lifetimes).device);

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

const unauthenticated = expect.objectContaining({ kind: 'unauthenticated' });
const certificatesOf = (device: { id: string }) =>
  db.sql<{ serial: Buffer; der: Buffer | null; state: string }>(
    `select c.serial, c.der, s.state from certificates c join serials s using (serial) where c.device_id = $1`,
    [device.id],
  );
const secretsOf = (device: { id: string }) =>
  db.sql<{ state: string; bound_serial: Buffer | null }>(
    `select state, bound_serial from enrollment_secrets where device_id = $1 order by created_at`,
    [device.id],
  );
/** As if it had been made a week and a second ago: the end is sealed with the secret, so both are written anew. */
async function expire(made: TestDevice): Promise<void> {
  const credential = parseCredential(made.secret)!;
  const expiresAt = addSeconds(db.clock.now(), -1);
  const sealed = sealVerifier(
    est.pepper,
    verifierHash(credential),
    secretSealContext({ id: credential.id, expiresAt }, made.device),
  );
  await db.tamper(`update enrollment_secrets set expires_at = $2, sealed_verifier = $3 where id = $1`, [
    credential.id,
    expiresAt,
    sealed,
  ]);
}

/** So that specs full of wrong secrets do not meet the limit of another. */
let hosts = 0;
const address = (): string => `198.51.100.${++hosts}`;

describe('a one-time secret', () => {
  test('gives the device the certificate of the profile, and is spent', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const certificate = readCertificate(await enroll(est, enrollRequest(made, key)));
    expect(certificate.subject).toEqual([[expect.objectContaining({ type: OID.commonName, value: made.device.id })]]);
    expect(certificate.san).toEqual([{ type: 'uri', value: `urn:uuid:${made.device.instanceId}` }]);
    expect(certificate.publicKey.spki.equals(key.spki)).toBe(true);
    expect(certificate.eku).toEqual([OID.clientAuth]);
    expect(await secretsOf(made.device)).toEqual([{ state: 'spent', bound_serial: expect.any(Buffer) }]);
    const [row] = await db.sql<{ status: string }>(`select status from devices where id = $1`, [made.device.id]);
    expect(row?.status).toBe('enrolled');
  });

  test('used by two keys at once gives exactly one certificate, 50 times', async () => {
    for (let round = 0; round < 50; round++) {
      const made = await makeDevice(db, product);
      const keys = [newKey(), newKey()];
      const results = await Promise.allSettled(
        keys.map((key) => enroll(est, enrollRequest(made, key, { address: address() }))),
      );
      const won = results.filter((result) => result.status === 'fulfilled');
      expect(won).toHaveLength(1);
      const lost = results.find((result) => result.status === 'rejected');
      expect(lost?.reason).toEqual(unauthenticated);
      expect(await certificatesOf(made.device)).toHaveLength(1);
    }
  });

  test('used by the same key at once gives everybody the same certificate', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const all = await Promise.all(Array.from({ length: 6 }, () => enroll(est, enrollRequest(made, key))));
    expect(new Set(all.map((der) => der.toString('hex'))).size).toBe(1);
    expect(await certificatesOf(made.device)).toHaveLength(1);
  });

  test('with the same request again gives the same certificate, also past its expiry', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const first = await enroll(est, enrollRequest(made, key));
    await expire(made);
    expect(await enroll(est, enrollRequest(made, key))).toEqual(first);
    expect(await certificatesOf(made.device)).toHaveLength(1);
  });

  test.each<[string, (made: TestDevice, key: ReturnType<typeof newKey>) => ReturnType<typeof enrollRequest>]>([
    ['another key', (made) => enrollRequest(made, newKey(), { address: address() })],
    [
      'another label',
      (made, key) => enrollRequest(made, key, { label: { ...DEFAULT, name: 'other' }, address: address() }),
    ],
    [
      'other names',
      (made, key) => enrollRequest(made, key, { wishes: { san: undefined as never }, address: address() }),
    ],
  ])('that is spent is refused to %s', async (_, again) => {
    const made = await makeDevice(db, product);
    const key = newKey();
    await enroll(est, enrollRequest(made, key));
    const request = again(made, key);
    if (request.csr.san === undefined) expect(request.csr.extensions).toEqual([]);
    await expect(enroll(est, request)).rejects.toEqual(unauthenticated);
    expect(await certificatesOf(made.device)).toHaveLength(1);
  });

  test('that has expired unused is refused', async () => {
    const made = await makeDevice(db, product);
    await expire(made);
    await expect(enroll(est, enrollRequest(made, newKey(), { address: address() }))).rejects.toEqual(unauthenticated);
    expect(await certificatesOf(made.device)).toEqual([]);
  });

  test('that was replaced by a reset is refused; the new one works', async () => {
    const made = await makeDevice(db, product);
    const { enrollment } = await resetDevice(api, db.operator, made.device.id);
    await expect(enroll(est, enrollRequest(made, newKey(), { address: address() }))).rejects.toEqual(unauthenticated);
    await enroll(est, enrollRequest({ ...made, secret: enrollment.secret }, newKey()));
    expect((await secretsOf(made.device)).map((row) => row.state)).toEqual(['withdrawn', 'spent']);
  });

  test('of a revoked device is refused, and no new one is made', async () => {
    const made = await makeDevice(db, product);
    await revokeDevice(api, db.operator, made.device.id, { reason: 'superseded' });
    await expect(enroll(est, enrollRequest(made, newKey(), { address: address() }))).rejects.toMatchObject({
      kind: expect.stringMatching(/^(unauthenticated|forbidden)$/),
    });
    await expect(resetDevice(api, db.operator, made.device.id)).rejects.toMatchObject({
      kind: 'conflict',
      code: 'deviceRevoked',
    });
    expect((await secretsOf(made.device)).map((row) => row.state)).toEqual(['withdrawn']);
  });

  test('answers alike whatever is wrong: user, secret, kind, spelling', async () => {
    const made = await makeDevice(db, product);
    const other = await makeDevice(db, product);
    const key = newKey();
    const attempts: { user: string; password: string }[] = [
      { user: other.device.id, password: made.secret },
      { user: made.device.id, password: other.secret },
      { user: made.device.id, password: mintEnrollmentSecret().text },
      { user: made.device.id, password: `${made.secret}x` },
      { user: made.device.id, password: '' },
      { user: 'nobody', password: made.secret },
      { user: made.device.id, password: made.secret.replace(/^tme1_/, 'tmo1_') },
    ];
    const texts = new Set<string>();
    for (const basic of attempts) {
      const attempt = enroll(est, enrollRequest(made, key, { basic, address: address() }));
      const error = await attempt.catch((thrown: unknown) => thrown as AuthorityError);
      expect(error).toEqual(unauthenticated);
      texts.add((error as AuthorityError).detail);
    }
    expect(texts.size).toBe(1);
    await enroll(est, enrollRequest(made, key, { basic: { user: '', password: made.secret } }));
  });
});

/** Fails at the n-th transaction, before it or after its commit (when the answer is lost on the way). */
class FailingOnce implements Transactor {
  calls = 0;

  constructor(
    private readonly inner: Transactor,
    private readonly at: number,
    private readonly when: 'before' | 'after',
  ) {}

  transaction: Transactor['transaction'] = (work, options) => this.run(() => this.inner.transaction(work, options));
  single: Transactor['single'] = (work) => this.run(() => this.inner.single(work));

  private async run<T>(work: () => Promise<T>): Promise<T> {
    const failing = ++this.calls === this.at;
    if (failing && this.when === 'before') throw lost();
    const result = await work();
    if (failing) throw lost();
    return result;
  }
}

class FailingSigner implements Signer {
  calls = 0;

  constructor(
    private readonly inner: Signer,
    private readonly when: 'before' | 'after',
  ) {}

  sign: Signer['sign'] = async (request) => {
    const failing = ++this.calls === 1;
    if (failing && this.when === 'before') throw lost();
    const signature = await this.inner.sign(request);
    if (failing) throw lost();
    return signature;
  };

  createKey: Signer['createKey'] = (keyType) => this.inner.createKey(keyType);
}

const lost = (): AuthorityError => new AuthorityError('unavailable', 'made to fail', { retryAfter: 1 });

describe('a fault anywhere never leaves a device with a dead secret and no certificate', () => {
  const faults: [string, (context: AuthorityContext) => AuthorityContext][] = [
    ...[1, 2, 3].flatMap((at) =>
      (['before', 'after'] as const).map((when): [string, (context: AuthorityContext) => AuthorityContext] => [
        `${when} transaction ${at}`,
        (context) => ({ ...context, database: new FailingOnce(context.database, at, when) }),
      ]),
    ),
    ['before the signature', (context) => ({ ...context, signer: new FailingSigner(context.signer, 'before') })],
    ['after the signature', (context) => ({ ...context, signer: new FailingSigner(context.signer, 'after') })],
  ];

  test.each(faults)('%s: the same request again ends with one certificate', async (_, fault) => {
    const made = await makeDevice(db, product);
    const key = newKey();
    await expect(enroll(fault(est), enrollRequest(made, key))).rejects.toMatchObject({ kind: 'unavailable' });
    const before = await certificatesOf(made.device);
    const der = await enroll(est, enrollRequest(made, key));
    expect(readCertificate(der).publicKey.spki.equals(key.spki)).toBe(true);
    const after = await certificatesOf(made.device);
    expect(after).toHaveLength(1);
    expect(after[0]).toMatchObject({ state: 'issued', der });
    if (before[0]) expect(after[0]!.serial).toEqual(before[0].serial);
    expect((await secretsOf(made.device)).map((row) => row.state)).toEqual(['spent']);
  });

  test.each(faults)(
    '%s: the reconciler finishes or nothing was begun, and the secret stays good for its holder',
    async (_, fault) => {
      const made = await makeDevice(db, product);
      const key = newKey();
      await expect(enroll(fault(est), enrollRequest(made, key))).rejects.toMatchObject({ kind: 'unavailable' });
      await reconcileIntents(await db.context('worker'), 0);
      const open = await certificatesOf(made.device);
      expect(open.every((row) => row.state === 'issued' && row.der !== null)).toBe(true);
      const der = await enroll(est, enrollRequest(made, key));
      expect(await certificatesOf(made.device)).toMatchObject([{ state: 'issued', der }]);
    },
  );

  test('the secret of a begun request is refused to another key before the request is finished too', async () => {
    const made = await makeDevice(db, product);
    const failing = { ...est, signer: new FailingSigner(est.signer, 'before') };
    await expect(enroll(failing, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'unavailable' });
    expect((await secretsOf(made.device))[0]?.state).toBe('bound');
    await expect(enroll(est, enrollRequest(made, newKey(), { address: address() }))).rejects.toEqual(unauthenticated);
    expect(await reconcileIntents(await db.context('worker'), 0)).toEqual({ signed: 1, abandoned: 0 });
  });
});

describe('an abandoned request', () => {
  async function abandoned(): Promise<TestDevice> {
    const made = await makeDevice(db, product);
    const failing = { ...est, signer: new FailingSigner(est.signer, 'before') };
    await expect(enroll(failing, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'unavailable' });
    return made;
  }
  const abandonAll = async () => {
    await db.tamper(`update certificates set created_at = created_at - interval '30 days' where der is null`);
    return reconcileIntents(await db.context('worker'), 0);
  };

  test('frees its secret in the same step: another key may use it', async () => {
    const made = await abandoned();
    expect(await abandonAll()).toMatchObject({ abandoned: 1 });
    expect(await secretsOf(made.device)).toEqual([{ state: 'free', bound_serial: null }]);
    const der = await enroll(est, enrollRequest(made, newKey()));
    const rows = await certificatesOf(made.device);
    expect(rows.map((row) => row.state).sort()).toEqual(['abandoned', 'issued']);
    expect(rows.find((row) => row.state === 'issued')?.der).toEqual(der);
  });

  test('does not bring back a secret that a reset has replaced meanwhile', async () => {
    const made = await abandoned();
    const { enrollment } = await resetDevice(api, db.operator, made.device.id);
    expect(await abandonAll()).toMatchObject({ abandoned: 1 });
    expect((await secretsOf(made.device)).map((row) => row.state)).toEqual(['withdrawn', 'free']);
    await expect(enroll(est, enrollRequest(made, newKey(), { address: address() }))).rejects.toEqual(unauthenticated);
    await enroll(est, enrollRequest({ ...made, secret: enrollment.secret }, newKey()));
  });

  test('does not bring back the secret of a device that was revoked meanwhile', async () => {
    const made = await abandoned();
    await revokeDevice(api, db.operator, made.device.id, { reason: 'superseded' });
    expect(await reconcileIntents(await db.context('worker'), 0)).toMatchObject({ abandoned: 1 });
    expect((await secretsOf(made.device)).map((row) => row.state)).toEqual(['withdrawn']);
  });
});
