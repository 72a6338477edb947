import { createHash } from 'node:crypto';
import { resealAuditKey } from '#audit';
import { reseal, type KeyRing } from '#credential';
import { isAuthorityError } from '#kernel';
import { resealCaKey } from '#signing';
import { ocspDelegateName, resealOcspDelegate } from '#status';
import {
  findArtifact,
  listArtifacts,
  listCaKeys,
  lockSealedWebhooks,
  replaceSealedCaKey,
  replaceSealedWebhook,
  swapArtifact,
  type Tx,
} from '#store';
import { webhookSealContext } from '../notices/webhook-secret.js';
import type { Transactor } from '../transactor.js';
import type { Rewrapped } from './rewrap-verifiers.js';

const BLOCK = 100;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** `undefined`: sealed under the version in use already. */
async function count(sums: Rewrapped, work: () => Promise<boolean>): Promise<void> {
  try {
    if (await work()) sums.resealed++;
  } catch (error) {
    if (!isAuthorityError(error, 'internal')) throw error;
    sums.broken++;
  }
}

/** The CA keys that lie in the database, as the signer's role. Those in tokens are under no key of ours. */
export async function rewrapCaKeys(database: Transactor, ring: KeyRing): Promise<Rewrapped> {
  const sums: Rewrapped = { resealed: 0, broken: 0 };
  for (const row of await database.transaction(listCaKeys)) {
    await count(sums, async () => {
      const sealed = resealCaKey(ring, row);
      if (sealed === undefined) return false;
      await database.transaction((tx) => replaceSealedCaKey(tx, row.id, sealed));
      return true;
    });
  }
  return sums;
}

export async function rewrapAuditKey(database: Transactor, ring: KeyRing): Promise<Rewrapped> {
  const sums: Rewrapped = { resealed: 0, broken: 0 };
  await count(sums, () => database.transaction((tx) => resealAuditKey(tx, ring)));
  return sums;
}

/** Secrets of webhooks. What a begun sign-in must come back with is sealed under the same key and ends by itself. */
export async function rewrapWebhooks(database: Transactor, ring: KeyRing): Promise<Rewrapped> {
  const sums: Rewrapped = { resealed: 0, broken: 0 };
  for (let after: string | undefined = FIRST_ID; after !== undefined;) {
    const from: string = after;
    after = await database.transaction((tx) => rewrapWebhookBlock(tx, ring, from, sums));
  }
  return sums;
}

async function rewrapWebhookBlock(tx: Tx, ring: KeyRing, after: string, sums: Rewrapped): Promise<string | undefined> {
  const rows = await lockSealedWebhooks(tx, after, BLOCK);
  for (const row of rows) {
    await count(sums, async () => {
      const context = webhookSealContext(row);
      const secret = reseal(ring, row.sealedSecret, context);
      const previous = row.sealedPrevious && reseal(ring, row.sealedPrevious, context);
      if (!secret && !previous) return false;
      const { sealedSecret, sealedPrevious } = row;
      const renewed = { sealedSecret: secret ?? sealedSecret, sealedPrevious: previous ?? sealedPrevious };
      await replaceSealedWebhook(tx, { ...row, ...renewed });
      return true;
    });
  }
  return rows.at(-1)?.id;
}

/** The published OCSP signers: each is published anew, with the same certificate and key. */
export async function rewrapOcspDelegates(database: Transactor, ring: KeyRing): Promise<Rewrapped> {
  const sums: Rewrapped = { resealed: 0, broken: 0 };
  const prefix = ocspDelegateName('');
  for (const { name } of await database.transaction(listArtifacts)) {
    if (!name.startsWith(prefix)) continue;
    await count(sums, () =>
      database.transaction(async (tx) => {
        const present = await findArtifact(tx, name);
        const bytes = present && resealOcspDelegate(ring, present.bytes, name.slice(prefix.length));
        if (present === undefined || bytes === undefined) return false;
        const sha256 = createHash('sha256').update(bytes).digest();
        return swapArtifact(tx, { ...present, number: present.number + 1, sha256, bytes }, present.sha256);
      }),
    );
  }
  return sums;
}
