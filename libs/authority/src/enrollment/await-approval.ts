import { randomInt } from 'node:crypto';
import { appendAudit } from '#audit';
import { addSeconds, AuthorityError } from '#kernel';
import { canonicalGeneralName, type KeyType } from '#pki';
import { checkRowMac, pendingEnrollmentMac } from '#status';
import {
  closePendingEnrollment,
  fulfilPendingEnrollment,
  insertPendingEnrollment,
  lockPendingRequest,
  newId,
  type Device,
  type PendingEnrollmentRow,
  type Tx,
} from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { requireRoomFor } from '../holdings.js';
import type { EstRequest } from './est-request.js';
import { isServerKey, isServerKeyIntent, labelOf } from './prepare-enrollment.js';

/** A poll each hour in the end; seconds. */
const LONGEST_WAIT = 3600;

/** In place of the hash of a key that is made here once it is approved. */
const NO_KEY = Buffer.alloc(32);

export interface Asked {
  device: Device;
  request: EstRequest;
  /** The principal, as it stands in the intent. */
  requester: string;
  /** `requestDigest`. */
  digest: Buffer;
  /** Keeps, in the same transaction, what the request rests on for it; false: it was taken meanwhile. */
  bind: (tx: Tx) => Promise<boolean>;
}

/** What the request has come to; `taken`: it rests on something that another request has taken. */
export type Waiting =
  | { state: 'pending'; retryAfter: number; waiting: string }
  | { state: 'approved'; row: PendingEnrollmentRow }
  | { state: 'taken' };

/**
 * Whether somebody decides about a first enrollment here. Renewals were decided with their first certificate, but those
 * that ask for other names (E82).
 */
export const asksSomebody = (
  a: AuthorityContext,
  { label, keyToCome }: Pick<EstRequest, 'label' | 'keyToCome'>,
): boolean => keyToCome === true || label.approval || currentProfile(a, label.profile).approval;

/** The kind of key that somebody has approved for a request whose key is made here; undefined: nobody has, and none is made yet. */
export async function approvedKeyType(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock'>,
  digest: Buffer,
): Promise<KeyType | undefined> {
  const known = await lockPendingRequest(tx, digest);
  if (known === undefined || known.expiresAt <= a.clock.now() || !isApproved(known)) return undefined;
  return known.keyType as KeyType;
}

/** Throws `unavailable` where a certificate would come of a request whose key is not made: it was approved a moment ago. */
export function requireKey({ keyToCome }: Pick<EstRequest, 'keyToCome'>): void {
  if (keyToCome !== true) return;
  throw new AuthorityError('unavailable', 'the request was approved just now; send it again', { retryAfter: 1 });
}

/** What was approved stays so until a certificate came of it. */
const isApproved = ({
  state,
  serialState,
}: Pick<PendingEnrollmentRow, 'state'> & { serialState: string | null }): boolean =>
  state === 'approved' || (state === 'done' && serialState === 'abandoned');

/**
 * The same request finds what it began (E87, E88); none there, or ended unanswered: it begins to wait. Call it with the device
 * locked and everything else decided. Throws `forbidden` (code `enrollmentRejected`), with the reason, for what was
 * rejected, `limited` where too many wait.
 */
export async function awaitApproval(tx: Tx, a: AuthorityContext, actor: Actor, asked: Asked): Promise<Waiting> {
  const known = await lockPendingRequest(tx, asked.digest);
  const now = a.clock.now();
  if (known) checkRowMac(known.mac, pendingEnrollmentMac(a.macKey, known), `pending enrollment ${known.id}`);
  if (known && known.expiresAt > now) {
    if (known.state === 'pending') {
      return { state: 'pending', retryAfter: secondsToPoll(a, now, known.requestedAt), waiting: known.id };
    }
    if (isApproved(known)) {
      requireKey(asked.request);
      return { state: 'approved', row: known };
    }
    if (known.state === 'rejected') throw rejected(known.reason);
  }
  if (known && (known.state === 'pending' || known.state === 'approved')) await lapse(tx, a, known);
  return begin(tx, a, actor, asked);
}

const rejected = (reason: string | null): AuthorityError =>
  new AuthorityError('forbidden', `the enrollment was rejected${reason === null ? '' : `: ${reason}`}`, {
    code: 'enrollmentRejected',
  });

async function begin(tx: Tx, a: AuthorityContext, actor: Actor, asked: Asked): Promise<Waiting> {
  const { device, request, requester, digest } = asked;
  const { csr, label, address } = request;
  if (!(await asked.bind(tx))) return { state: 'taken' };
  await a.quotas.take('issuance', device.ownerOrgId, actor);
  await checkRoom(tx, device.ownerOrgId);
  const now = a.clock.now();
  const facts = {
    id: newId(a.clock),
    deviceId: device.id,
    requester,
    requestLabel: labelOf(request),
    request: digest,
    profile: label.profile,
    keyType: csr.publicKey.keyType,
    spkiSha256: isServerKey(request) ? NO_KEY : csr.publicKey.sha256,
    names: ((csr.changeSubjectName ?? csr).san ?? []).map(canonicalGeneralName).sort(),
    csr: label.challengePassword === 'secret' && csr.challengePassword !== undefined ? null : csr.der,
    address,
    state: 'pending' as const,
    requestedAt: now,
    expiresAt: addSeconds(now, a.lifetimes.pendingEnrollment),
    decider: null,
    deciderPerson: null,
    decidedAt: null,
    reason: null,
    serial: null,
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  };
  await insertPendingEnrollment(tx, { ...facts, mac: pendingEnrollmentMac(a.macKey, facts) });
  await appendAudit(tx, {
    at: now,
    actor: actor.id,
    action: 'enrollment.pending',
    outcome: 'success',
    requestId: actor.requestId,
    ...pendingAudit(facts),
  });
  return { state: 'pending', retryAfter: secondsToPoll(a, now, now), waiting: facts.id };
}

/** What every audit entry about it says. */
export function pendingAudit(row: Omit<PendingEnrollmentRow, 'mac'>) {
  const { deviceId, profile, keyType, reason, ownerOrgId, issuerOrgId } = row;
  const spkiSha256 = isServerKeyIntent(row) ? null : row.spkiSha256.toString('hex');
  const detail = { deviceId, profile, keyType, spkiSha256, reason };
  return { subject: `enrollment:${row.id}`, ownerOrgId, issuerOrgId, detail };
}

async function checkRoom(tx: Tx, organizationId: string): Promise<void> {
  try {
    await requireRoomFor(tx, organizationId, 'enrollments');
  } catch (cause) {
    // To a device it is a matter of time, not a conflict.
    throw new AuthorityError('limited', 'too many enrollments wait for approval; try again later', {
      code: 'tooMany',
      retryAfter: LONGEST_WAIT,
      cause,
    });
  }
}

async function lapse(tx: Tx, a: AuthorityContext, row: PendingEnrollmentRow): Promise<void> {
  const lapsed = { ...row, state: 'expired' as const, decidedAt: a.clock.now() };
  await closePendingEnrollment(tx, { ...lapsed, mac: pendingEnrollmentMac(a.macKey, lapsed) });
}

/** In the transaction that records the intent that it came to. */
export async function fulfil(
  tx: Tx,
  a: Pick<AuthorityContext, 'macKey'>,
  row: PendingEnrollmentRow,
  serial: Buffer,
): Promise<void> {
  const done = { ...row, state: 'done' as const, serial };
  await fulfilPendingEnrollment(tx, { ...done, mac: pendingEnrollmentMac(a.macKey, done) });
}

/** A tenth of the time waited so far, a fifth more or less, so that those who began together do not come back together. */
function secondsToPoll({ lifetimes }: AuthorityContext, now: Date, since: Date): number {
  const waited = (now.getTime() - since.getTime()) / 1000;
  const wait = Math.min(LONGEST_WAIT, Math.max(lifetimes.pendingRetry, waited / 10));
  return Math.round((wait * randomInt(80, 121)) / 100);
}
