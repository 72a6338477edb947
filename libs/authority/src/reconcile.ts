import { timingSafeEqual } from 'node:crypto';
import { appendAudit } from '#audit';
import { isAuthorityError } from '#kernel';
import { restoreCertificate } from '#pki';
import { lintRules } from '#policy';
import { intentRowMac } from '#status';
import {
  abandonIntent,
  findOpenIntents,
  latestStatus,
  lockDevice,
  readStanding,
  type CertificateRow,
  type Tx,
} from '#store';
import { CA_PROFILES, certificateAudit, revocation } from './certificates.js';
import { logStatus } from './change-status.js';
import { systemActor, type AuthorityContext } from './context.js';
import { findProfile } from './current-profile.js';
import { isServerKeyIntent } from './enrollment/prepare-enrollment.js';
import { finishIntent, lintIssuer } from './issue.js';
import type { Issuer } from './hierarchy.js';

/** Older than this, an intent is not signed any more: who asked for it has long gone on. */
const ABANDON_SECONDS = 600;
const BATCH = 200;

/**
 * Closes what was left open by a crash or a lost signer: signs exactly the stored bytes, after linting them again, or
 * abandons the intent where policy, key, device or age stand against it. Younger ones than `minAgeSeconds` are still
 * being worked on. Run at start and every minute; twice at once is harmless.
 */
export async function reconcileIntents(
  a: AuthorityContext,
  minAgeSeconds = 30,
): Promise<{ signed: number; abandoned: number }> {
  const done = { signed: 0, abandoned: 0 };
  const open = await a.database.transaction((tx) => findOpenIntents(tx, minAgeSeconds, BATCH));
  // Those of CAs are finished by whoever makes CAs: the first start, `reconcileIssuers`.
  for (const row of open.filter((one) => !CA_PROFILES.includes(one.profile))) {
    try {
      done[await closeIntent(a, row)] += 1;
    } catch (error) {
      a.log.warn({ err: error, serial: row.serial.toString('hex') }, 'intent stays open, next try in a minute');
    }
  }
  return done;
}

async function closeIntent(a: AuthorityContext, row: CertificateRow): Promise<'signed' | 'abandoned'> {
  const issuer = await a.issuers.find(row.issuerId);
  const against = issuer === undefined ? 'its issuer is gone' : await reasonAgainst(a, row, issuer);
  if (issuer === undefined || against !== undefined) {
    await abandon(a, row, against ?? 'its issuer is gone');
    return 'abandoned';
  }
  const renews = /^(?:certificate|ra:[0-9a-f-]{36}):([0-9a-f]+)$/.exec(row.requester)?.[1];
  await finishIntent(
    a,
    systemActor(a, 'reconcile'),
    row,
    issuer,
    renews === undefined ? null : Buffer.from(renews, 'hex'),
  );
  return 'signed';
}

async function reasonAgainst(a: AuthorityContext, row: CertificateRow, issuer: Issuer): Promise<string | undefined> {
  const mac = intentRowMac(a.macKey, row);
  if (row.mac.length !== mac.length || !timingSafeEqual(row.mac, mac)) {
    a.log.error({ serial: row.serial.toString('hex') }, 'ALARM: an intent that this authority did not write');
    return 'not written by this authority';
  }
  if (isServerKeyIntent(row)) return 'its private key was lost with the request';
  const ageMs = a.clock.now().getTime() - row.createdAt.getTime();
  if (ageMs > ABANDON_SECONDS * 1000) return 'older than 10 minutes';
  const profile = findProfile(a, row.profile);
  if (profile?.version !== row.profileVersion) return 'its profile has changed';
  try {
    restoreCertificate(row.tbs, lintRules(profile, lintIssuer(issuer)));
  } catch (error) {
    if (isAuthorityError(error)) return `lint: ${error.detail}`;
    throw error;
  }
  return a.database.transaction((tx) => standingAgainst(tx, row));
}

async function standingAgainst(tx: Tx, row: CertificateRow): Promise<string | undefined> {
  const device = row.deviceId === null ? undefined : await lockDevice(tx, row.deviceId);
  if (row.deviceId !== null && !device) return 'its device is gone';
  const standing = await readStanding(tx, device ?? { id: '', groupId: null, nameHolders: [] }, row.spkiSha256);
  if (standing.keyBlocked) return 'its key is blocked';
  if (!standing.namesHeld) return 'a name of it is not held any more';
  const states = [device?.status, standing.deviceStatus, standing.groupStatus];
  const against = states.find((state) => state === 'revoked' || state === 'suspended');
  if (against) return `its device or the group of it is ${against}`;
  const latest = await latestStatus(tx, 'certificate', row.serial.toString('hex'));
  return latest?.status === 'revoked' ? 'it is revoked already' : undefined;
}

/** In one transaction: out of `issuing`, its secret free again, and revoked, because a signature may exist somewhere. */
async function abandon(a: AuthorityContext, row: CertificateRow, why: string): Promise<void> {
  const actor = systemActor(a, 'reconcile');
  await a.database.transaction(async (tx) => {
    // As a reset does: of the two, one sees what the other did to the device's secrets.
    if (row.deviceId !== null) await lockDevice(tx, row.deviceId);
    if (!(await abandonIntent(tx, row.serial))) return;
    const at = a.clock.now();
    const latest = await latestStatus(tx, 'certificate', row.serial.toString('hex'));
    const audit = certificateAudit(row, 'certificate.abandoned', { why });
    if (latest?.status === 'revoked') {
      await appendAudit(tx, { ...audit, at, actor: actor.id, requestId: actor.requestId, outcome: 'success' });
      return;
    }
    const change = revocation(row, latest, { status: 'revoked', reason: 'unspecified', at, invalidityDate: null });
    await logStatus(tx, a, actor, at, [audit], [change]);
  });
}
