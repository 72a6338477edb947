import { timingSafeEqual } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { encodeName, OID, readPublicKey, type KeyType, type Name } from '#pki';
import { validity, type ShippedProfile } from '#policy';
import { announcedIssuers, intentRowMac, knownIssuer } from '#status';
import {
  blockKey,
  findIntentsOfKey,
  insertIssuer,
  listIssuers,
  newId,
  type CertificateRow,
  type IntentRow,
  type IssuerRow,
  type Tx,
} from '#store';
import { announceIssuer, issuerAudit, issuerChange } from './announce-issuer.js';
import { logStatus } from './change-status.js';
import { scopeOf, systemActor, type Actor, type AuthorityContext } from './context.js';
import { currentProfile } from './current-profile.js';
import {
  finishIntent,
  prepareIntent,
  recordIntent,
  signedForm,
  type IntentIssuer,
  type PreparedIntent,
} from './issue.js';
import type { Issuer } from './issuer-directory.js';

type CaContext = Pick<
  AuthorityContext,
  'plane' | 'database' | 'clock' | 'signer' | 'lifetimes' | 'authorityId' | 'macKey' | 'log'
> &
  Partial<Pick<AuthorityContext, 'follower'>>;

const KEY_TYPES: Readonly<Record<IssuerRow['kind'], KeyType>> = { root: 'ec-p384', issuing: 'ec-p256' };
const PROFILE: Readonly<Record<IssuerRow['kind'], ShippedProfile>> = { root: 'root-ca', issuing: 'issuing-ca' };

/**
 * Makes root and issuing CA where they are missing, each by the same way as any certificate: intent, lint, sign, store,
 * announce. Started again after a crash it goes on where it was. `statusUrl` is fixed into the certificates. Throws
 * `internal` (code `issuersAltered`) where a CA that was announced is not there as it was.
 */
export async function ensureHierarchy(a: CaContext, statusUrl: string): Promise<void> {
  const root = await ensureCa(a, 'root', undefined, statusUrl);
  await ensureCa(a, 'issuing', root, statusUrl);
}

async function ensureCa(
  a: CaContext,
  kind: IssuerRow['kind'],
  parent: Issuer | undefined,
  statusUrl: string,
): Promise<Issuer> {
  const { announced, unannounced } = await a.database.transaction((tx) => readIssuers(tx, a));
  const present = announced.find((one) => one.kind === kind);
  if (present) return present;
  const own = await firstOwn(a, kind, unannounced);
  const { row, certificate } = own ?? (await makeCa(a, kind, parent, statusUrl));
  const seq = await announceIssuer(a, systemActor(a, 'init'), { id: row.id, certificate, status: 'active' });
  await a.follower?.catchUp(seq ?? 0);
  a.log.info({ issuer: row.id, kind }, 'CA announced');
  const announcement = { ...issuerChange(row.id, certificate, 'active', a.clock.now()), seq: 0 };
  const made = knownIssuer({ ...row, certificate }, announcement);
  if (!made) throw new AuthorityError('internal', 'a CA was made that is not known');
  return made;
}

async function readIssuers(
  tx: Tx,
  a: Pick<CaContext, 'macKey'>,
): Promise<{ announced: Issuer[]; unannounced: IssuerRow[] }> {
  const log = await announcedIssuers(tx, a.macKey);
  const rows = await listIssuers(tx);
  const announced = rows.flatMap((row) => knownIssuer(row, log.get(row.id)) ?? []);
  if (announced.length < log.size) {
    throw new AuthorityError('internal', 'a CA that was announced is gone, or is not what it was: restore a backup', {
      code: 'issuersAltered',
    });
  }
  return { announced, unannounced: rows.filter((row) => !log.has(row.id)) };
}

interface MadeCa {
  row: IssuerRow;
  certificate: Buffer;
}

/** Of rows that nobody announced (an older release, a crash) the first that this authority wrote; others were planted. */
async function firstOwn(a: CaContext, kind: IssuerRow['kind'], rows: IssuerRow[]): Promise<MadeCa | undefined> {
  for (const row of rows.filter((one) => one.kind === kind)) {
    const intents = await findOwnIntents(a, systemActor(a, 'init'), row);
    const signed = intents.find((one) => row.certificate !== null && one.der?.equals(row.certificate));
    if (signed) return { row, certificate: await finish(a, row, signed) };
    const [begun] = intents;
    if (begun && row.certificate === null) return { row, certificate: await finish(a, row, begun) };
    a.log.error({ issuer: row.id }, 'ALARM: a CA that this authority did not make; passed over');
  }
  return undefined;
}

/** What was recorded to certify the key of a CA, by this authority alone; the oldest first. */
export async function findOwnIntents(
  a: Pick<AuthorityContext, 'plane' | 'database' | 'macKey'>,
  actor: Actor,
  ca: Pick<IssuerRow, 'kind' | 'spki'>,
): Promise<CertificateRow[]> {
  const { sha256 } = readPublicKey(ca.spki);
  const find = (tx: Tx) => findIntentsOfKey(tx, sha256, PROFILE[ca.kind]);
  const rows = await a.database.transaction(find, scopeOf(a, actor));
  return rows.filter((row) => {
    const mac = intentRowMac(a.macKey, row);
    return row.mac.length === mac.length && timingSafeEqual(row.mac, mac);
  });
}

async function finish(a: CaContext, row: IssuerRow, begun: CertificateRow): Promise<Buffer> {
  const issuer = row.kind === 'root' ? ownIssuer(row) : await readRoot(a);
  if (begun.der !== null) return signedForm(begun, begun.der, issuer);
  return finishIntent(a, systemActor(a, 'init'), begun, issuer, null);
}

async function makeCa(
  a: CaContext,
  kind: IssuerRow['kind'],
  parent: Issuer | undefined,
  statusUrl: string,
): Promise<MadeCa> {
  const name = kind === 'root' ? 'Touchmark Root CA' : 'Touchmark Issuing CA 1';
  const prepared = await prepareCa(a, { id: newId(a.clock), name, parent, statusUrl });
  const actor = systemActor(a, 'init');
  const recorded = await a.database.transaction(async (tx) => {
    const intent = await recordCa(tx, a, actor, prepared);
    await logStatus(tx, a, actor, a.clock.now(), [caCreatedAudit(a, prepared.row)], []);
    return intent;
  });
  return { row: prepared.row, certificate: await finishIntent(a, actor, recorded, prepared.issuer, null) };
}

/** A CA that is ready to be recorded: its key made, its certificate linted. */
export interface PreparedCa {
  row: IssuerRow;
  issuer: IntentIssuer;
  intent: PreparedIntent;
}

/** Makes the key and decides what the certificate will say; no lock is held meanwhile. `parent`: undefined for a root. */
export async function prepareCa(
  a: CaContext,
  ca: { id: string; name: string; parent: Issuer | undefined; statusUrl: string },
): Promise<PreparedCa> {
  const { id, name, parent, statusUrl } = ca;
  const kind = parent === undefined ? 'root' : 'issuing';
  const key = await a.signer.createKey(KEY_TYPES[kind]);
  const subject = caSubject(name);
  const made = {
    id,
    kind,
    name,
    caKeyId: key.keyId,
    subjectDer: encodeName(subject),
    spki: key.spki,
    statusUrl,
  } as const;
  const profile = currentProfile(a, PROFILE[kind]);
  const { notAfter } = validity(profile, a.clock.now(), parent?.notAfter);
  const row: IssuerRow = { ...made, parentId: parent?.id ?? null, certificate: null, shards: 1, notAfter };
  const issuer = parent ?? ownIssuer(row);
  const intent = prepareIntent(a, {
    profile,
    issuer,
    subject,
    san: [],
    publicKey: readPublicKey(key.spki),
    deviceId: null,
    appId: null,
    releaseId: null,
    secretId: null,
    requestLabel: '',
    requester: requesterOf(row),
    ownerOrgId: null,
    issuerOrgId: a.authorityId,
  });
  return { row, issuer, intent };
}

/** Stands under the MAC of the intent: which row of `issuers` the certificate is for. */
export const requesterOf = (ca: Pick<IssuerRow, 'id'>): string => `issuer:${ca.id}`;

const ownIssuer = (row: IssuerRow): IntentIssuer => ({ ...row, publicKey: readPublicKey(row.spki), serial: '' });

/** CA and intent in one transaction: a row without an intent of ours is not ours. */
export async function recordCa(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  { row, intent }: PreparedCa,
): Promise<IntentRow> {
  await insertIssuer(tx, row);
  // Nobody may ever carry one of our CA keys.
  await blockKey(tx, readPublicKey(row.spki).sha256, 'CA key', { source: 'ca', actor: actor.id });
  const recorded = await recordIntent(tx, a, actor, intent);
  if (!recorded) throw new AuthorityError('internal', 'the intent was not recorded');
  return recorded;
}

export const caCreatedAudit = (a: Pick<AuthorityContext, 'authorityId'>, row: IssuerRow) =>
  issuerAudit(a, 'ca.created', row, { kind: row.kind, name: row.name, keyType: KEY_TYPES[row.kind] });

export const caSubject = (name: string): Name => [
  [{ type: OID.organizationName, value: 'Touchmark' }],
  [{ type: OID.commonName, value: name }],
];

/**
 * The root as this authority announced it, for whoever has no follower. Throws `unavailable` where there is none, `internal`
 * where the log was forged.
 */
export async function readRoot(a: Pick<AuthorityContext, 'database' | 'macKey'>): Promise<Issuer> {
  const { announced } = await a.database.transaction((tx) => readIssuers(tx, a));
  const root = announced.find((one) => one.kind === 'root');
  if (!root) throw new AuthorityError('unavailable', 'there is no root CA yet', { retryAfter: 5 });
  return root;
}
