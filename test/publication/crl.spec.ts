import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { X509Crl } from '@peculiar/x509';
import { pino } from 'pino';
import { addSeconds } from '#kernel';
import { readCrl, verifyCrl } from '#pki';
import { crlName, publishCrl, publishNeededCrls } from '#publication';
import { findArtifact, type Artifact } from '#store';
import { startInstance, STATUS_URL, type PublishingInstance } from './instance.js';

let instance: PublishingInstance;
beforeAll(async () => {
  instance = await startInstance({ shards: 2 });
});
afterAll(() => instance.close());

async function published(scope: 'full' | number, issuerId = instance.issuing.id): Promise<Artifact> {
  const artifact = await instance.owner.transaction((tx) => findArtifact(tx, crlName(issuerId, scope)));
  if (artifact === undefined) throw new Error('nothing is published');
  return artifact;
}

const serialsOf = async (scope: 'full' | number): Promise<string[]> =>
  [...readCrl((await published(scope)).bytes).entries()].map((entry) => entry.serial);

const auditOutcomes = async (): Promise<string[]> =>
  (
    await instance.owner.rows<{ outcome: string }>(
      `select outcome from audit where action = 'crl.published' order by id`,
    )
  ).map((row) => row.outcome);

async function inOnePlace<T>(work: () => Promise<T>): Promise<{ result: T; before: Buffer; after: Buffer }> {
  const before = (await published('full')).bytes;
  const result = await work();
  return { result, before, after: (await published('full')).bytes };
}

describe('the CRL', () => {
  test('is published for root and issuing CA, full and by shard, and verifies (C01-C05, C16, C17, C19)', async () => {
    expect(await publishNeededCrls(instance.publisher, instance.root)).toBe(1);
    expect(await publishNeededCrls(instance.publisher, instance.issuing)).toBe(3);
    for (const [issuer, scope] of [
      [instance.root, 'full'],
      [instance.issuing, 'full'],
      [instance.issuing, 1],
    ] as const) {
      const artifact = await published(scope, issuer.id);
      const crl = readCrl(artifact.bytes);
      expect(verifyCrl(crl, issuer.publicKey)).toBe(true);
      expect(artifact.mediaType).toBe('application/pkix-crl');
      expect(crl.number).toBe(BigInt(artifact.number));
      expect(crl.distributionPoint).toBe(scope === 'full' ? undefined : `${STATUS_URL}/crl/${issuer.id}/1.crl`);
      expect(crl.entryCount).toBe(0);
    }
    const rootCrl = readCrl((await published('full', instance.root.id)).bytes);
    expect(rootCrl.nextUpdate).toEqual(addSeconds(rootCrl.thisUpdate, instance.lifetimes.rootCrlNextUpdate));
  });

  test('lists a revocation with time and reason in full CRL and shard, and a second reader agrees', async () => {
    const serial = await instance.issue();
    const at = addSeconds(instance.clock.now(), -3600);
    const seq = await instance.change(serial, 'revoked', 'keyCompromise', at);
    expect(await publishNeededCrls(instance.publisher, instance.issuing)).toBe(2);
    const artifact = await published('full');
    expect(artifact.seq).toBe(seq);
    const second = new X509Crl(artifact.bytes);
    expect(second.entries.map((entry) => entry.serialNumber.toLowerCase())).toEqual([serial]);
    expect(second.entries[0]?.reason).toBe(1);
    expect(second.entries[0]?.revocationDate.getTime()).toBe(Math.floor(at.getTime() / 1000) * 1000);
    const shard = Number.parseInt(serial.slice(2, 6), 16) % 2;
    expect(await serialsOf(shard)).toEqual([serial]);
    expect(await serialsOf(1 - shard)).toEqual([]);
  });

  test('stays as it is when the job runs again: nothing is wanted', async () => {
    const { result, before, after } = await inOnePlace(() => publishNeededCrls(instance.publisher, instance.issuing));
    expect(result).toBe(0);
    expect(after.equals(before)).toBe(true);
  });

  test('loses a hold when it is released, and never a revocation', async () => {
    const held = await instance.issue();
    await instance.change(held, 'onHold', 'certificateHold');
    await publishCrl(instance.publisher, instance.issuing, 'full');
    expect(await serialsOf('full')).toContain(held);
    await instance.change(held, 'active', null);
    await publishCrl(instance.publisher, instance.issuing, 'full');
    expect(await serialsOf('full')).not.toContain(held);
  });

  test('never repeats a number under two concurrent publishers, and numbers only rise', async () => {
    const before = (await published('full')).number;
    const serial = await instance.issue();
    const seq = await instance.change(serial, 'revoked', 'superseded');
    await Promise.all(Array.from({ length: 6 }, () => publishCrl(instance.publisher, instance.issuing, 'full')));
    const rows = await instance.owner.rows<{ number: string }>(
      `select convert_from(canonical, 'UTF8')::json->'detail'->>'number' as number from audit
       where action = 'crl.published' and subject = $1 and convert_from(canonical, 'UTF8')::json->'detail'->>'scope' = 'full'
       order by id`,
      [`issuer:${instance.issuing.id}`],
    );
    const numbers = rows.map((row) => Number(row.number));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    const now = await published('full');
    expect(now.number).toBeGreaterThan(before);
    expect(now.seq).toBeGreaterThanOrEqual(seq);
    expect(await serialsOf('full')).toContain(serial);
  });

  test('drops an ended certificate only after one CRL made past its end has listed it (C14)', async () => {
    const notAfter = addSeconds(instance.clock.now(), 2);
    const serial = await instance.issue({ notAfter });
    await instance.change(serial, 'revoked', 'superseded');
    await publishCrl(instance.publisher, instance.issuing, 'full');
    while (instance.clock.now().getTime() < notAfter.getTime() + 1000)
      await new Promise((resolve) => setTimeout(resolve, 100));
    await publishCrl(instance.publisher, instance.issuing, 'full');
    expect(await serialsOf('full')).toContain(serial);
    await publishCrl(instance.publisher, instance.issuing, 'full');
    expect(await serialsOf('full')).not.toContain(serial);
  });
});

describe('the gate', () => {
  /** Takes the revocation out of the log's rows behind the protection, as an owner of the database could. */
  async function hideRevocation(serial: string, work: () => Promise<void>): Promise<void> {
    await instance.owner.rows(`alter table status_changes disable trigger status_append_only`);
    await instance.owner.rows(`update status_changes set subject = subject || '00' where subject = $1`, [serial]);
    try {
      await work();
    } finally {
      await instance.owner.rows(`update status_changes set subject = $1 where subject = $1 || '00'`, [serial]);
      await instance.owner.rows(`alter table status_changes enable trigger status_append_only`);
    }
  }

  test('refuses a CRL that lost an entry: the old one stays, with an alarm in the audit log', async () => {
    const serial = await instance.issue();
    const seq = await instance.change(serial, 'revoked', 'keyCompromise');
    await publishCrl(instance.publisher, instance.issuing, 'full');
    await instance.publisher.follower.catchUp(seq);
    expect(await serialsOf('full')).toContain(serial);
    await hideRevocation(serial, async () => {
      const { before, after } = await inOnePlace(() =>
        expect(publishCrl(instance.publisher, instance.issuing, 'full')).rejects.toMatchObject({ code: 'crlRefused' }),
      );
      expect(after.equals(before)).toBe(true);
      expect((await auditOutcomes()).at(-1)).toBe('failed');
    });
    // Red control: with the row back the same call passes.
    await publishCrl(instance.publisher, instance.issuing, 'full');
    expect((await auditOutcomes()).at(-1)).toBe('success');
  });

  test('refuses one that lost an entry by a release that nobody with the key wrote', async () => {
    const serial = await instance.issue();
    const seq = await instance.change(serial, 'revoked', 'keyCompromise');
    await publishCrl(instance.publisher, instance.issuing, 'full');
    await instance.publisher.follower.catchUp(seq);
    await instance.owner.rows(`alter table status_changes disable trigger status_append_only`);
    await instance.owner.rows(`update status_changes set status = 'active' where subject = $1`, [serial]);
    try {
      await expect(publishCrl(instance.publisher, instance.issuing, 'full')).rejects.toMatchObject({
        code: 'crlRefused',
      });
      expect(await serialsOf('full')).toContain(serial);
    } finally {
      await instance.owner.rows(`update status_changes set status = 'revoked' where subject = $1`, [serial]);
      await instance.owner.rows(`alter table status_changes enable trigger status_append_only`);
    }
  });

  test('publishes nothing once the status log is not believed', async () => {
    const follower = {
      ...instance.publisher.follower,
      broken: new Error('a row was edited'),
    } as typeof instance.publisher.follower;
    const { before, after } = await inOnePlace(() =>
      expect(publishCrl({ ...instance.publisher, follower }, instance.issuing, 'full')).rejects.toMatchObject({
        kind: 'unavailable',
      }),
    );
    expect(after.equals(before)).toBe(true);
  });

  test('refuses a signature that does not verify, whoever made it', async () => {
    const signer = {
      ...instance.publisher.signer,
      sign: async () => Buffer.alloc(70, 1),
    } as PublishingInstance['publisher']['signer'];
    const { before, after } = await inOnePlace(() =>
      expect(publishCrl({ ...instance.publisher, signer }, instance.issuing, 'full')).rejects.toMatchObject({
        code: 'crlRefused',
      }),
    );
    expect(after.equals(before)).toBe(true);
  });

  test('keeps what is published while the signer is down', async () => {
    const signer = {
      ...instance.publisher.signer,
      sign: async () => Promise.reject(new Error('no signer')),
    } as PublishingInstance['publisher']['signer'];
    const { before, after } = await inOnePlace(() =>
      expect(publishCrl({ ...instance.publisher, signer }, instance.issuing, 'full')).rejects.toThrow('no signer'),
    );
    expect(after.equals(before)).toBe(true);
  });

  test('replaces one whose row claims changes that never were, and would hide those to come', async () => {
    await publishNeededCrls(instance.publisher, instance.issuing);
    const name = crlName(instance.issuing.id, 'full');
    await instance.owner.rows(`update artifacts set seq = seq + 1000000 where name = $1`, [name]);
    const serial = await instance.issue();
    const seq = await instance.change(serial, 'revoked', 'keyCompromise');
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });
    await publishNeededCrls({ ...instance.publisher, log }, instance.issuing);
    expect(await serialsOf('full')).toContain(serial);
    expect((await published('full')).seq).toBe(seq);
    expect(lines.join('')).toContain('ALARM: a published CRL claims changes');
    expect(await publishNeededCrls(instance.publisher, instance.issuing)).toBe(0);
  });

  test('replaces a published CRL that its issuer never signed', async () => {
    const { bytes } = await published('full');
    const forged = Buffer.from(bytes);
    forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
    await instance.owner.rows(`update artifacts set bytes = $1, sha256 = sha256($1) where name = $2`, [
      forged,
      crlName(instance.issuing.id, 'full'),
    ]);
    await publishCrl(instance.publisher, instance.issuing, 'full');
    expect(verifyCrl(readCrl((await published('full')).bytes), instance.issuing.publicKey)).toBe(true);
  });
});
