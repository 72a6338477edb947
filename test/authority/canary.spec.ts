import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  authenticateOperator,
  introspect,
  issueKey,
  issueBootstrapToken,
  registerDevice,
  renewOcspDelegate,
  renewServerCertificate,
  resetDevice,
  revokeDevice,
  revokeKey,
  rotateKey,
  suspendKey,
  withIdempotency,
  type AuthorityContext,
} from '#authority';
import { derivationRoot, derivedSecret, parseCredential, verifierHash } from '#credential';
import { AuthorityError } from '#kernel';
import { readCertificate } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeProduct, renewRequest } from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  worker = await db.context('worker');
});
afterAll(() => db.stop());

const newest = async (): Promise<number> =>
  (await db.sql<{ seq: number }>(`select seq::int from status_counter`))[0]!.seq;

/** What must not stand in a dump, in every spelling in which it could. */
function spellings(secret: Buffer): string[] {
  return [
    secret.toString('hex'),
    secret.toString('base64'),
    secret.toString('base64url'),
    secret.toString('base64').replace(/=+$/, ''),
  ];
}

/** The secret part of a credential (the id is public), and everything that stands for it when it is checked. */
function partsOf(text: string): string[] {
  const credential = parseCredential(text)!;
  const secretText = text.slice(text.lastIndexOf('_') + 1);
  const root = derivationRoot(credential.secret);
  return [
    secretText,
    secretText.slice(0, 43),
    Buffer.from(secretText.slice(0, 43)).toString('hex'),
    ...spellings(credential.secret),
    ...spellings(verifierHash(credential)),
    ...spellings(root),
    ...spellings(derivedSecret(root, db.authorityId)),
  ];
}

describe('a dump of every table', () => {
  const secrets = new Map<string, string[]>();
  let dump: string;

  beforeAll(async () => {
    const remember = (name: string, text: string) => secrets.set(name, partsOf(text));
    const me = db.operator;
    const product = await makeProduct(api, me);

    const token = await issueBootstrapToken({ ...api, plane: 'init', database: await db.as('owner') }, 'canary');
    remember('operator token', token.text);
    await api.follower.catchUp(await newest());
    await authenticateOperator(api, token.text, { address: '203.0.113.1', requestId: 'r' });
    await authenticateOperator(api, `${token.text}x`, { address: '203.0.113.1', requestId: 'r' }).catch(
      () => undefined,
    );

    const issued = await issueKey(api, me, { releaseId: product.releaseId, audience: 'all', environment: 'live' });
    remember('API key', issued.key);
    introspect(api, issued.key, undefined);
    const rotated = await rotateKey(api, me, issued.row.id, { overlapSeconds: 60 });
    remember('rotated API key', rotated.key);
    await suspendKey(api, me, rotated.row.id);
    await revokeKey(api, me, issued.row.id, { reason: 'keyCompromise' });
    const request = { key: 'the-idempotency-key-of-the-canary', route: 'POST /v1/keys', body: {}, secret: true };
    const replayable = () =>
      withIdempotency(api, me, request, async (joined) => {
        const one = await issueKey(joined, me, { releaseId: product.releaseId, audience: 'all', environment: 'test' });
        return { status: 201, body: { key: one.key } };
      });
    remember('API key in an idempotent answer', (await replayable()).body.key);
    await replayable();
    secrets.set('Idempotency-Key', [request.key, Buffer.from(request.key).toString('hex')]);

    const made = await makeDevice(db, product);
    remember('enrollment secret', made.secret);
    const leaf = newKey();
    secrets.set(
      'private key of a device',
      spellings(Buffer.from(leaf.privateKey.export({ format: 'jwk' }).d!, 'base64url')),
    );
    const wrongUser = { user: made.secret, password: made.device.id };
    await enroll(est, enrollRequest(made, leaf, { basic: wrongUser })).catch(() => undefined);
    const swapped = { user: made.device.id, password: issued.key };
    await enroll(est, enrollRequest(made, leaf, { basic: swapped })).catch(() => undefined);
    const certificate = await enroll(est, enrollRequest(made, leaf));
    await enroll(est, enrollRequest(made, newKey())).catch(() => undefined);
    await enroll(est, renewRequest(made.device, certificate, newKey()));
    remember('second enrollment secret', (await resetDevice(api, me, made.device.id)).enrollment.secret);
    await revokeDevice(api, me, made.device.id, { reason: 'keyCompromise' });
    remember('unused enrollment secret', (await registerDevice(api, me, { appId: product.appId })).enrollment.secret);

    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await renewServerCertificate(api, { plane: 'api', privateKey, hostnames: ['localhost'] });
    secrets.set(
      'private key of a server',
      spellings(Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url')),
    );
    for (const issuer of await worker.issuers.list())
      await renewOcspDelegate(worker, issuer, { ocspKek: Buffer.alloc(32, 9) });

    secrets.set('pepper', spellings(db.pepper.key));
    secrets.set('MAC key of the status log', spellings(db.macKey.export()));
    secrets.set('key that opens derivation roots', spellings(db.roots.privateKey));
    secrets.set('key that seals CA keys', spellings(db.caKek));
    dump = await db.dump();
    secrets.set('certificate, which must be found', [readCertificate(certificate).der.toString('hex'), issued.row.id]);
  });

  test('holds what is public, so that the search is one that finds', () => {
    for (const part of secrets.get('certificate, which must be found')!) expect(dump.includes(part)).toBe(true);
    for (const table of [
      'audit',
      'keys',
      'operator_tokens',
      'enrollment_secrets',
      'idempotency',
      'outbox',
      'ca_keys',
      'artifacts',
    ]) {
      expect(dump).toContain(`== touchmark.${table}\n`);
    }
  });

  test('holds no secret in any spelling', () => {
    expect(secrets.size).toBeGreaterThan(12);
    for (const [name, parts] of secrets) {
      if (name === 'certificate, which must be found') continue;
      for (const part of parts) {
        expect(part.length).toBeGreaterThan(20);
        expect({ name, found: dump.includes(part) }).toEqual({ name, found: false });
      }
    }
  });
});

describe('an operator token', () => {
  const at = { address: '203.0.113.2', requestId: 'r' };
  const issue = async () => {
    const token = await issueBootstrapToken({ ...api, plane: 'init', database: await db.as('owner') }, 'spec');
    await api.follower.catchUp(await newest());
    return token;
  };
  const refusal = (text: string | undefined) =>
    authenticateOperator(api, text, at).then(
      () => undefined,
      (error: AuthorityError) => error,
    );

  test('names its operator and the organization it acts for', async () => {
    const { id, text } = await issue();
    expect(await authenticateOperator(api, text, at)).toMatchObject({
      actor: { id: `operator:${id}`, organizationId: db.authorityId, personId: db.authorityId, authority: true },
      kind: 'bootstrap',
      roles: ['admin', 'officer', 'approver', 'auditor'],
      organization: expect.objectContaining({ id: db.authorityId, kind: 'authority' }),
    });
  });

  test('is refused with one text, whatever is wrong with it', async () => {
    const { text } = await issue();
    const { releaseId } = await makeProduct(api, db.operator);
    const { key } = await issueKey(api, db.operator, { releaseId, audience: 'all', environment: 'live' });
    const other = (await issue()).text;
    const crossed = `${text.slice(0, 19)}${other.slice(19)}`;
    const errors = await Promise.all([undefined, '', 'x', text.slice(0, -1), crossed, key].map(refusal));
    for (const error of errors) expect(error).toMatchObject({ kind: 'unauthenticated' });
    expect(new Set(errors.map((error) => error?.detail)).size).toBe(1);
  });

  test('whose row was changed by SQL alone is not believed', async () => {
    const { id, text } = await issue();
    await db.tamper(
      `update operator_tokens set organization_id = (select id from organizations where id <> organization_id limit 1) where id = $1`,
      [id],
    );
    const follower = await db.follower({ plane: 'api' });
    await follower.start();
    await expect(authenticateOperator({ ...api, follower }, text, at)).rejects.toMatchObject({
      kind: 'unauthenticated',
    });
  });
});
