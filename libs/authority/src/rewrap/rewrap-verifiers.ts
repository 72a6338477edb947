import { openVerifier, sealVerifier, type KeyRing } from '#credential';
import { isAuthorityError } from '#kernel';
import { invitationSealContext, keySealContext, tokenSealContext } from '#status';
import {
  findKeys,
  findOperatorTokens,
  findSealedInvitations,
  findSealedSecrets,
  findStaleVerifiers,
  replaceVerifiers,
  VERIFIER_TABLES,
  type Tx,
  type VerifierTable,
} from '#store';
import { digestSealContext, secretSealContext } from '../secret-seal.js';
import type { Transactor } from '../transactor.js';

export interface Rewrapped {
  /** Values that are sealed under the version in use now. */
  resealed: number;
  /** Values that open under no version: altered, or from elsewhere. They stay, and open nothing. */
  broken: number;
}

/** Small enough that whoever waits for one of these rows does not notice. */
const BLOCK = 200;

interface StoredVerifier {
  id: string;
  sealed: Buffer;
  version: number;
  context: Buffer;
  /** What is kept beside it for HTTP Digest. */
  digest: { sealed: Buffer; context: Buffer } | undefined;
}

/**
 * Seals every verifier that an older pepper sealed under the one in use, without any secret being known. In blocks, each a
 * transaction; what is cut off goes on when it is called again. `onBlock` hears of each block, with the sums until then.
 */
export async function rewrapVerifiers(
  database: Transactor,
  peppers: KeyRing,
  onBlock: (table: VerifierTable, sums: Rewrapped) => void = () => undefined,
): Promise<Rewrapped> {
  const sums: Rewrapped = { resealed: 0, broken: 0 };
  for (const table of VERIFIER_TABLES) {
    let after = '';
    for (;;) {
      const block = await database.transaction((tx) => rewrapBlock(tx, table, peppers, after));
      if (block.last === undefined) break;
      after = block.last;
      sums.resealed += block.resealed;
      sums.broken += block.broken;
      onBlock(table, { ...sums });
    }
  }
  return sums;
}

async function rewrapBlock(
  tx: Tx,
  table: VerifierTable,
  peppers: KeyRing,
  after: string,
): Promise<Rewrapped & { last: string | undefined }> {
  const { current } = peppers;
  const ids = await findStaleVerifiers(tx, table, { version: current.version, after, limit: BLOCK });
  const stored = ids.length === 0 ? [] : await READ[table](tx, ids);
  const renewed = stored.flatMap((row) => {
    const renewed = renew(row, peppers);
    return renewed === undefined ? [] : [{ id: row.id, ...renewed }];
  });
  const resealed = renewed.length === 0 ? 0 : await replaceVerifiers(tx, table, current.version, renewed);
  return { last: ids.at(-1), resealed, broken: ids.length - renewed.length };
}

function renew(
  { sealed, version, context, digest }: StoredVerifier,
  peppers: KeyRing,
): { sealed: Buffer; digest: Buffer | null } | undefined {
  const pepper = peppers.byVersion.get(version);
  if (pepper === undefined) return undefined;
  const reseal = (value: Buffer, aad: Buffer): Buffer => {
    const verifier = openVerifier(pepper, value, aad);
    const renewed = sealVerifier(peppers.current, verifier, aad);
    verifier.fill(0);
    return renewed;
  };
  try {
    return { sealed: reseal(sealed, context), digest: digest ? reseal(digest.sealed, digest.context) : null };
  } catch (error) {
    if (isAuthorityError(error, 'internal')) return undefined;
    throw error;
  }
}

type Row = { id: string; sealedVerifier: Buffer; pepperVersion: number };
const stored = (row: Row, context: Buffer, digest?: StoredVerifier['digest']): StoredVerifier => ({
  id: row.id,
  sealed: row.sealedVerifier,
  version: row.pepperVersion,
  context,
  digest,
});

/** Each kind with what it was sealed to. */
const READ: Readonly<Record<VerifierTable, (tx: Tx, ids: string[]) => Promise<StoredVerifier[]>>> = {
  keys: async (tx, ids) => (await findKeys(tx, ids)).map((row) => stored(row, keySealContext(row))),
  operator_tokens: async (tx, ids) =>
    (await findOperatorTokens(tx, ids)).map((row) => stored(row, tokenSealContext(row))),
  enrollment_secrets: async (tx, ids) =>
    (await findSealedSecrets(tx, ids)).map((row) => {
      const device = { id: row.deviceId, instanceId: row.instanceId };
      const { sealedDigest } = row;
      const digest = sealedDigest ? { sealed: sealedDigest, context: digestSealContext(row, device) } : undefined;
      return stored(row, secretSealContext(row, device), digest);
    }),
  invitations: async (tx, ids) =>
    (await findSealedInvitations(tx, ids)).map((row) => stored(row, invitationSealContext(row))),
};
