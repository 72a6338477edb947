import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { systemClock } from '#kernel';
import { type KeyType, readPublicKey, signatureAlgorithm, verifyBytes } from '#pki';
import { CircuitBreaker, DeadlineSigner, InProcessSigner, Token, type TokenLog } from '#signing';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { describeWith, succeed } from './program.js';
import { PIN, SoftHsm } from './softhsm.js';

const LABEL = 'touchmark-test';
const MESSAGE = Buffer.from('whole bytes, hashed before they reach the token');

describeWith(['softhsm2-util', 'pkcs11-tool', 'openssl'], 'CA keys in a PKCS#11 token', () => {
  let db: TestDatabase;
  let hsm: SoftHsm;
  let directory: string;
  const tokens: Token[] = [];
  const said: string[] = [];

  beforeAll(async () => {
    db = await startTestDatabase({ upTo: 'schema' });
    hsm = await SoftHsm.create(LABEL);
    directory = await mkdtemp(path.join(tmpdir(), 'touchmark-pkcs11-'));
  });
  afterAll(async () => {
    for (const token of tokens) token.close();
    await db?.stop();
    await hsm?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  const log: TokenLog = {
    warn: (_, message) => void said.push(message),
    error: (_, message) => void said.push(message),
  };
  const where = () => ({ module: hsm.module, environment: hsm.environment });
  const openToken = (readPin = () => readFileSync(hsm.pinFile, 'utf8').trim()): Token => {
    const token = new Token({ ...where(), label: LABEL, readPin }, systemClock, log);
    tokens.push(token);
    return token;
  };
  const signerOf = async (token: Token) =>
    new InProcessSigner(await db.as('signer'), db.caKek, systemClock, { token, location: 'pkcs11' });
  const request = (keyId: string) => ({
    purpose: 'certificate' as const,
    keyId,
    subject: { intentId: '01' },
    message: MESSAGE,
  });

  test.each<KeyType>(['ec-p256', 'ec-p384', 'ec-p521', 'rsa-2048', 'rsa-3072', 'rsa-4096'])(
    'an %s key made in it signs what openssl verifies; the database holds its public half alone',
    async (keyType) => {
      const signer = await signerOf(openToken());
      const { keyId, spki } = await signer.createKey(keyType);
      const signature = await signer.sign(request(keyId));
      const key = readPublicKey(spki);
      expect(key.keyType).toBe(keyType);
      expect(verifyBytes(signatureAlgorithm(keyType).der, key.keyObject, MESSAGE, signature)).toBe(true);

      const file = (name: string) => path.join(directory, `${keyType}.${name}`);
      const pem = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'pem', type: 'spki' });
      await Promise.all([
        writeFile(file('pem'), pem),
        writeFile(file('sig'), signature),
        writeFile(file('message'), MESSAGE),
      ]);
      const digest = `-${signatureAlgorithm(keyType).digest}`;
      const args = ['dgst', digest, '-verify', file('pem'), '-signature', file('sig'), file('message')];
      expect(await succeed('openssl', args)).toContain('Verified OK');

      const [row] = await db.sql<{ location: string; sealed_private: Buffer | null }>(
        `select location, sealed_private from ca_keys where id = $1`,
        [keyId],
      );
      expect(row).toEqual({ location: `pkcs11:${LABEL}`, sealed_private: null });
      // Whoever has just started finds it by its id.
      const again = await (await signerOf(openToken())).sign(request(keyId));
      expect(verifyBytes(signatureAlgorithm(keyType).der, key.keyObject, MESSAGE, again)).toBe(true);
    },
  );

  test('a private key never leaves it, and does nothing but sign', async () => {
    const signer = await signerOf(openToken());
    const { keyId } = await signer.createKey('ec-p256');
    const id = keyId.replaceAll('-', '');
    const tool = ['--module', hsm.module, '--token-label', LABEL, '--login', '--pin', PIN];
    const listed = await succeed('pkcs11-tool', [...tool, '--list-objects', '--type', 'privkey', '--id', id], {
      env: hsm.environment,
    });
    expect(listed).toMatch(/Usage: +sign\n/);
    expect(listed).toMatch(/Access: +sensitive, always sensitive, never extractable, local/);
  });

  test.each<KeyType>(['ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'])(
    'a key of type %s is refused with a text that says what to do',
    async (keyType) => {
      const signer = await signerOf(openToken());
      await expect(signer.createKey(keyType)).rejects.toMatchObject({
        kind: 'invalid',
        code: 'keyLocation',
        detail: `a PKCS#11 token holds no key of type ${keyType}: choose ECDSA or RSA, or a sealed key`,
      });
    },
  );

  test('a lost session, a crashed library: the next request opens it anew', async () => {
    const token = openToken();
    const signer = await signerOf(token);
    const { keyId } = await signer.createKey('ec-p256');
    for (let round = 0; round < 3; round++) {
      await delay(600);
      const pid = token.pid!;
      process.kill(pid, 'SIGKILL');
      while (token.pid === pid) await delay(5);
      expect(await signer.sign(request(keyId))).toBeInstanceOf(Buffer);
    }
  });

  test('a token that hangs costs nobody more than 2 s, soon nothing, and heals by itself', async () => {
    const token = openToken();
    const signer = new CircuitBreaker(new DeadlineSigner(await signerOf(token)), systemClock);
    const { keyId } = await signer.createKey('ec-p256');
    const pid = token.pid!;
    process.kill(pid, 'SIGSTOP');
    const begin = performance.now();
    const stuck = await Promise.allSettled([1, 2, 3].map(() => signer.sign(request(keyId))));
    expect(performance.now() - begin).toBeLessThan(2100);
    for (const one of stuck)
      expect(one).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable', retryAfter: 2 } });

    const fast = performance.now();
    await expect(signer.sign(request(keyId))).rejects.toMatchObject({ code: 'signerDown' });
    expect(performance.now() - fast).toBeLessThan(50);
    // What hung is gone, and was not merely left behind.
    await expect(goneBy(pid, performance.now() + 1000)).resolves.toBe(true);
    for (let tries = 0; ; tries++) {
      const signature = await signer.sign(request(keyId)).catch(() => undefined);
      if (signature) break;
      expect(tries).toBeLessThan(100);
      await delay(50);
    }
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  test('a token that is taken out is unavailable, and back in service when it is put back', async () => {
    const token = openToken();
    const signer = await signerOf(token);
    const { keyId } = await signer.createKey('rsa-2048');
    await hsm.takeOut();
    process.kill(token.pid!, 'SIGKILL');
    await delay(600);
    await expect(signer.sign(request(keyId))).rejects.toMatchObject({ kind: 'unavailable', code: 'tokenDown' });
    await hsm.putBack();
    await delay(600);
    expect(await signer.sign(request(keyId))).toHaveLength(256);
  });

  test('a refused PIN is tried once and never again by this process, also not after a restart of the library', async () => {
    let asked = 0;
    const token = openToken(() => `wrong${++asked}`);
    const signer = await signerOf(token);
    for (let tries = 0; tries < 5; tries++) {
      await expect(signer.createKey('ec-p256')).rejects.toMatchObject({ kind: 'unavailable' });
      await delay(150);
    }
    expect(asked).toBe(1);
    await expect(signer.createKey('ec-p256')).rejects.toMatchObject({
      code: 'tokenPin',
      detail: 'the PIN of the token was refused (CKR_PIN_INCORRECT) and is not tried again before a restart',
    });
    expect(said).toContain('ALARM: the PIN of the token was refused; it is not tried again');
    expect(said.join()).not.toContain('wrong1');
    // The right one still opens it: nothing was locked.
    expect(await (await signerOf(openToken())).createKey('ec-p256')).toMatchObject({ keyType: 'ec-p256' });
  });

  test('a token of another label, or a library that is none, is said plainly', async () => {
    const missing = new Token({ ...where(), label: 'nobody', readPin: () => PIN }, systemClock, log);
    const broken = new Token({ module: '/etc/hostname', label: LABEL, readPin: () => PIN }, systemClock, log);
    tokens.push(missing, broken);
    await expect((await signerOf(missing)).createKey('ec-p256')).rejects.toMatchObject({
      kind: 'unavailable',
      detail: 'no token of this label is there',
    });
    await expect((await signerOf(broken)).createKey('ec-p256')).rejects.toMatchObject({ kind: 'unavailable' });
  });

  test('a key of a token that is not set up here is unavailable, the sealed ones go on', async () => {
    const { keyId } = await (await signerOf(openToken())).createKey('ec-p256');
    const without = new InProcessSigner(await db.as('signer'), db.caKek, systemClock);
    const sealed = await without.createKey('ec-p256');
    await expect(without.sign(request(keyId))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await without.sign(request(sealed.keyId))).toBeInstanceOf(Buffer);
  });
});

async function goneBy(pid: number, until: number): Promise<boolean> {
  while (performance.now() < until) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await delay(10);
  }
  return false;
}
