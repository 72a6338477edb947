import { createPrivateKey, createPublicKey, randomBytes, verify } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ensureAuthority, ensureHierarchy, type AuthorityContext, type Transactor } from '#authority';
import { open, sealContext } from '#credential';
import { AuthorityError, systemClock } from '#kernel';
import { readCertificate, validatePath } from '#pki';
import { InProcessSigner, type Signer, type SigningPurpose } from '#signing';
import { findCaKey, listIssuers } from '#store';
import { silent, startTestDatabase, STATUS_URL, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db.stop());

const makeSigner = async (kek = db.caKek): Promise<InProcessSigner> =>
  new InProcessSigner(await db.as('signer'), kek, systemClock);
const request = (keyId: string, purpose: SigningPurpose = 'certificate') => ({
  purpose,
  keyId,
  subject: { intentId: '01' },
  message: Buffer.from('whole bytes'),
});
const contextOf = (keyId: string, keyType: string, spki: Buffer) =>
  sealContext('ca-key', { keyId, keyType, spki: spki.toString('hex') });

describe('a CA key', () => {
  test.each(['ec-p256', 'ec-p384', 'ec-p521'] as const)(
    'of type %s signs whole messages with the key it announced',
    async (keyType) => {
      const signer = await makeSigner();
      const { keyId, spki } = await signer.createKey(keyType);
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
      // A signer that has just started opens the stored key.
      for (const one of [signer, await makeSigner()]) {
        const signature = await one.sign(request(keyId));
        const digest = { 'ec-p256': 'sha256', 'ec-p384': 'sha384', 'ec-p521': 'sha512' }[keyType];
        expect(verify(digest, Buffer.from('whole bytes'), key, signature)).toBe(true);
      }
    },
  );

  test('refuses every purpose that is not of a CA', async () => {
    const signer = await makeSigner();
    const { keyId } = await signer.createKey('ec-p256');
    await signer.sign(request(keyId, 'crl'));
    for (const purpose of ['ocsp', 'audit', 'feed', '', 'toString'] as unknown as SigningPurpose[]) {
      await expect(signer.sign(request(keyId, purpose))).rejects.toMatchObject({ kind: 'forbidden' });
    }
  });

  test('that does not exist is not found', async () => {
    const attempt = (await makeSigner()).sign(request('01900000-0000-7000-8000-000000000000'));
    await expect(attempt).rejects.toMatchObject({ kind: 'notFound' });
  });

  test('of an unknown type is not made', async () => {
    await expect((await makeSigner()).createKey('unknown')).rejects.toMatchObject({ kind: 'invalid' });
  });

  test('opens under its own key and in its own row only', async () => {
    const signer = await makeSigner();
    const one = await signer.createKey('ec-p256');
    const two = await signer.createKey('ec-p256');
    const broken = expect.objectContaining({ code: 'sealBroken' });
    await expect((await makeSigner(randomBytes(32))).sign(request(one.keyId))).rejects.toEqual(broken);
    const tampering: [string, unknown[]][] = [
      [
        `update ca_keys set sealed_private = (select sealed_private from ca_keys where id = $2) where id = $1`,
        [two.keyId, one.keyId],
      ],
      [`update ca_keys set spki = (select spki from ca_keys where id = $2) where id = $1`, [two.keyId, one.keyId]],
      [`update ca_keys set key_type = 'ec-p384' where id = $1`, [two.keyId]],
      [
        `update ca_keys set sealed_private = set_byte(sealed_private, 20, get_byte(sealed_private, 20) # 1) where id = $1`,
        [two.keyId],
      ],
    ];
    for (const [sql, values] of tampering) {
      const [kept] = await db.sql<{ key_type: string; spki: Buffer; sealed_private: Buffer }>(
        `select * from ca_keys where id = $1`,
        [two.keyId],
      );
      await db.tamper(sql, values);
      await expect((await makeSigner()).sign(request(two.keyId))).rejects.toEqual(broken);
      await db.tamper(`update ca_keys set key_type = $2, spki = $3, sealed_private = $4 where id = $1`, [
        two.keyId,
        kept!.key_type,
        kept!.spki,
        kept!.sealed_private,
      ]);
    }
    await (await makeSigner()).sign(request(two.keyId));
  });

  test('stands in no dump, neither as PKCS #8 nor as its scalar', async () => {
    const dump = await db.dump();
    const rows = await (
      await db.as('signer')
    ).transaction(async (tx) => {
      const ids = await tx.rows<{ id: string }>(`select id from ca_keys`);
      const found = [];
      for (const { id } of ids) found.push(await findCaKey(tx, id));
      return found;
    });
    expect(rows.length).toBeGreaterThan(4);
    for (const row of rows) {
      const pkcs8 = open(db.caKek, row!.sealedPrivate!, contextOf(row!.id, row!.keyType, row!.spki));
      const scalar = Buffer.from(
        createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' }).d!,
        'base64url',
      );
      expect(dump).toContain(row!.sealedPrivate!.toString('hex'));
      for (const secret of [pkcs8, scalar]) {
        for (const encoding of ['hex', 'base64', 'base64url'] as const) {
          expect(dump.includes(secret.toString(encoding))).toBe(false);
        }
      }
    }
  });

  test('is read by the role of the signer alone', async () => {
    for (const plane of ['api', 'est', 'worker', 'responder'] as const) {
      const attempt = (await db.as(plane)).transaction((tx) => tx.rows(`select 1 from ca_keys`));
      await expect(attempt).rejects.toMatchObject({
        cause: expect.objectContaining({ message: expect.stringMatching(/permission denied/) }),
      });
    }
  });
});

describe('root and issuing CA', () => {
  test('form a path for clients and servers, and nobody else may carry their keys', async () => {
    const { issuers } = await db.context('worker');
    const [root, issuing] = [await issuers.root(), await issuers.issuing()];
    const anchor = { subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'own' };
    const at = db.clock.now();
    const result = validatePath({
      leaf: readCertificate(issuing.certificate),
      intermediates: [],
      anchors: [anchor],
      at,
      revocation: () => 'good',
    });
    expect(result).toMatchObject({ ok: true });
    const certificate = readCertificate(issuing.certificate);
    expect(certificate.basicConstraints).toMatchObject({ ca: true, pathLen: 0 });
    expect(certificate.notAfter <= readCertificate(root.certificate).notAfter).toBe(true);
    expect(readCertificate(root.certificate).publicKey.keyType).toBe('ec-p384');
    const blocked = await db.sql<{ n: number }>(
      `select count(*)::int as n from blocked_keys where spki_sha256 = any($1)`,
      [[root.publicKey.sha256, issuing.publicKey.sha256]],
    );
    expect(blocked).toEqual([{ n: 2 }]);
  });

  test('are made once, whatever the start finds', async () => {
    const owner = await db.as('owner');
    const signer = await makeSigner();
    const context = {
      plane: 'init' as const,
      database: owner,
      clock: systemClock,
      signer,
      lifetimes: db.lifetimes,
      authorityId: db.authorityId,
      macKey: db.macKey,
      log: silent,
    };
    const before = await owner.transaction(listIssuers);
    await ensureHierarchy(context, 'http://other.example');
    expect(await owner.transaction(listIssuers)).toEqual(before);
    expect(await ensureAuthority({ database: owner, clock: systemClock })).toBe(db.authorityId);
    expect(before.map((row) => [row.kind, row.statusUrl])).toEqual([
      ['root', STATUS_URL],
      ['issuing', STATUS_URL],
    ]);
  });
});

describe('a first start that is cut off anywhere', () => {
  let empty: TestDatabase;
  let base: Pick<AuthorityContext, 'clock' | 'lifetimes' | 'authorityId' | 'macKey' | 'log'> & { plane: 'init' };
  beforeAll(async () => {
    empty = await startTestDatabase({ upTo: 'schema' });
    const authorityId = await ensureAuthority({ database: await empty.as('owner'), clock: systemClock });
    base = {
      plane: 'init',
      clock: systemClock,
      lifetimes: empty.lifetimes,
      authorityId,
      macKey: empty.macKey,
      log: silent,
    };
  });
  afterAll(() => empty.stop());

  test('goes on where it was, and ends with one root, one issuing CA and no open intent', async () => {
    const owner = await empty.as('owner');
    const inner = new InProcessSigner(await empty.as('signer'), empty.caKek, systemClock);
    const cut = () => {
      throw new AuthorityError('unavailable', 'cut off');
    };
    // One step further at each try: the n-th thing that touches database or signer fails after it was done.
    let done = false;
    for (let limit = 1; !done; limit++) {
      expect(limit).toBeLessThan(60);
      let steps = 0;
      const step = async <T>(work: Promise<T>): Promise<T> => {
        const result = await work;
        if (++steps === limit) cut();
        return result;
      };
      const database: Transactor = {
        transaction: (work, options) => step(owner.transaction(work, options)),
        single: (work) => step(owner.single(work)),
      };
      const signer: Signer = {
        sign: (one) => step(inner.sign(one)),
        createKey: (keyType) => step(inner.createKey(keyType)),
      };
      done = await ensureHierarchy({ ...base, database, signer }, STATUS_URL).then(
        () => true,
        (error: AuthorityError) => {
          expect(error.detail).toBe('cut off');
          return false;
        },
      );
    }
    const issuers = await owner.transaction(listIssuers);
    expect(issuers.map((row) => [row.kind, row.certificate !== null])).toEqual([
      ['root', true],
      ['issuing', true],
    ]);
    expect(await empty.sql(`select state, count(*)::int as n from serials group by 1`)).toEqual([
      { state: 'issued', n: 2 },
    ]);
  });
});
