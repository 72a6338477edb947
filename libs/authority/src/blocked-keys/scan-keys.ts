import { timingSafeEqual } from 'node:crypto';
import { appendAudit } from '#audit';
import { addSeconds, isAuthorityError } from '#kernel';
import { checkKeyStrength, KEY_STRENGTH_RULES, readCertificate } from '#pki';
import { keyImportRowMac } from '#status';
import {
  blockKey,
  clearKeyFindings,
  findUnblockedCompromised,
  readKeyImports,
  readKeyScan,
  readSuspects,
  recordKeyFinding,
  storeKeyScan,
  type KeyScan,
  type SuspectCertificate,
  type Tx,
} from '#store';
import { CA_PROFILES } from '../certificates.js';
import { systemActor, type AuthorityContext } from '../context.js';

type ScanContext = Pick<
  AuthorityContext,
  'database' | 'clock' | 'issuers' | 'macKey' | 'plane' | 'authorityId' | 'log'
>;

const BLOCK = 500;
const DAY_SECONDS = 86_400;

export interface KeyScanResult {
  /** Certificates found now. */
  found: number;
  /** Keys that are blocked again, because a row was taken out. */
  restored: number;
  /** Imports whose keys are not all there. */
  altered: number;
}

/**
 * Looks for certificates that are good and whose key is blocked, or weak by rules that are newer than the last search: after each
 * import, after an update and daily; undefined where nothing is due. Each is told once, by an audit entry from which notices follow.
 * First puts back what somebody took out of the list by SQL: our own CA keys, and what the status log revoked as compromised. Twice at
 * once is harmless.
 */
export async function scanKeys(a: ScanContext): Promise<KeyScanResult | undefined> {
  const last = await a.database.transaction(readKeyScan);
  const at = a.clock.now();
  const isDaily = last.scannedAt === null || last.scannedAt <= addSeconds(at, -DAY_SECONDS);
  const isNewer = last.rules < KEY_STRENGTH_RULES;
  if (!isDaily && !isNewer && last.importId === last.newestImport) return undefined;
  const restored = await restoreBlocks(a);
  const altered = isDaily ? await countAltered(a) : last.altered;
  if (altered > last.altered) await a.database.transaction((tx) => auditAltered(tx, a, at, altered));
  await a.database.transaction((tx) => clearKeyFindings(tx, at));
  const found = await findAll(a, at, isNewer);
  const scan: KeyScan = { rules: KEY_STRENGTH_RULES, importId: last.newestImport, scannedAt: at, altered };
  // Between two daily ones the day goes on counting.
  if (!isDaily) scan.scannedAt = last.scannedAt;
  await a.database.transaction((tx) => storeKeyScan(tx, scan));
  return { found, restored, altered };
}

async function restoreBlocks(a: ScanContext): Promise<number> {
  const actor = systemActor(a, 'keys.scan').id;
  const cas = (await a.issuers.list()).map(({ publicKey }) => publicKey.sha256);
  const restored = await a.database.transaction(async (tx) => {
    let count = 0;
    for (const key of cas) if (await blockKey(tx, key, 'CA key', { source: 'ca', actor })) count++;
    const compromised = await findUnblockedCompromised(tx, BLOCK);
    for (const key of compromised) if (await blockKey(tx, key, 'keyCompromise', { actor })) count++;
    return count;
  });
  if (restored > 0) a.log.error({ restored }, 'ALARM: keys were taken out of the list of blocked ones; they are back');
  return restored;
}

/** A list whose row is not ours, or whose keys are not those that it added. */
async function countAltered(a: ScanContext): Promise<number> {
  let altered = 0;
  for (let after: string | null = null; ;) {
    const imports: Awaited<ReturnType<typeof readKeyImports>> = await nextImports(a, after);
    for (const { present, mac, ...row } of imports) {
      const own = keyImportRowMac(a.macKey, row);
      if (mac.length === own.length && timingSafeEqual(mac, own) && present.equals(row.digest)) continue;
      altered++;
      a.log.error({ import: row.id }, 'ALARM: an imported list of blocked keys is not what it was; import it again');
    }
    const last = imports.at(-1);
    if (last === undefined || imports.length < BLOCK) return altered;
    after = last.id;
  }
}

const nextImports = (a: ScanContext, after: string | null) =>
  a.database.transaction((tx) => readKeyImports(tx, after, BLOCK));

async function auditAltered(tx: Tx, a: ScanContext, at: Date, altered: number): Promise<void> {
  const actor = systemActor(a, 'keys.scan');
  await appendAudit(tx, {
    at,
    actor: actor.id,
    action: 'blockedKeys.altered',
    subject: 'blockedKeys:all',
    outcome: 'failed',
    requestId: actor.requestId,
    detail: { altered },
    issuerOrgId: a.authorityId,
  });
}

async function findAll(a: ScanContext, at: Date, all: boolean): Promise<number> {
  let found = 0;
  for (let after: Buffer | null = null; ;) {
    const block: BlockOfSuspects = await findBlock(a, at, after, all);
    found += block.count;
    const last = block.suspects.at(-1);
    if (last === undefined || block.suspects.length < BLOCK) return found;
    after = last.serial;
  }
}

interface BlockOfSuspects {
  suspects: SuspectCertificate[];
  count: number;
}

function findBlock(a: ScanContext, at: Date, after: Buffer | null, all: boolean): Promise<BlockOfSuspects> {
  return a.database.transaction(async (tx) => {
    const suspects = await readSuspects(tx, { at, after, limit: BLOCK, all, cas: CA_PROFILES });
    let count = 0;
    for (const one of suspects) if (await tell(tx, a, at, one)) count++;
    return { suspects, count };
  });
}

async function tell(tx: Tx, a: ScanContext, at: Date, one: SuspectCertificate): Promise<boolean> {
  const serial = one.serial.toString('hex');
  const why = one.blocked ?? weakness(one.der);
  if (why === undefined) return false;
  const problem = one.blocked === null ? 'weak' : 'blocked';
  const finding = { serial: one.serial, notAfter: one.notAfter, problem, detail: why, foundAt: at } as const;
  if (!(await recordKeyFinding(tx, finding))) return false;
  const actor = systemActor(a, 'keys.scan');
  await appendAudit(tx, {
    at,
    actor: actor.id,
    action: 'certificate.badKey',
    subject: `certificate:${serial}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail: { problem, why, profile: one.profile, deviceId: one.deviceId ?? undefined },
    ownerOrgId: one.ownerOrgId,
    issuerOrgId: one.issuerOrgId ?? a.authorityId,
  });
  return true;
}

function weakness(der: Buffer): string | undefined {
  try {
    checkKeyStrength(readCertificate(der).publicKey);
    return undefined;
  } catch (error) {
    if (isAuthorityError(error)) return error.detail;
    throw error;
  }
}
