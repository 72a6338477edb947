import { randomBytes } from 'node:crypto';
import { addSeconds } from '#kernel';
import { newSerial } from '#pki';
import { listIssuers, recordIntent, type IntentRow, type NewAuditRow } from '#store';
import type { TestDatabase } from '../harness/database.js';

/** An intent as the use cases record it, of nobody's device; the bytes are not a certificate. */
export async function plantIntent(db: TestDatabase, rest: Partial<IntentRow> = {}): Promise<IntentRow> {
  const owner = await db.as('owner');
  const now = db.clock.now();
  const row = await owner.transaction(async (tx): Promise<IntentRow> => {
    const issuer = (await listIssuers(tx)).find((one) => one.kind === 'issuing');
    const intent: IntentRow = {
      serial: Buffer.from(newSerial(), 'hex'),
      issuerId: issuer!.id,
      shard: 0,
      notBefore: now,
      notAfter: addSeconds(now, 86_400),
      profile: 'device',
      profileVersion: 1,
      published: true,
      tbs: randomBytes(32),
      spkiSha256: randomBytes(32),
      subject: 'CN=planted',
      names: [],
      deviceId: null,
      appId: null,
      releaseId: null,
      secretId: null,
      requestLabel: '',
      requester: 'system:test',
      ownerOrgId: null,
      issuerOrgId: db.authorityId,
      mac: Buffer.alloc(32),
      ...rest,
    };
    await recordIntent(tx, { row: intent, audit: plantedAudit(now) });
    return intent;
  });
  return row;
}

/** The entry that goes with a planted row. */
export const plantedAudit = (at: Date): NewAuditRow => ({
  at,
  actor: 'system:test',
  action: 'certificate.requested',
  subject: 'certificate:test',
  outcome: 'success',
  requestId: 'test',
  canonical: Buffer.from('{}'),
  ownerOrgId: null,
  issuerOrgId: null,
});
