import { auditRow } from '#audit';
import { AuthorityError, isAuthorityError } from '#kernel';
import {
  assembleCertificate,
  canonicalGeneralName,
  nameToString,
  newSerial,
  prepareCertificate,
  readCertificate,
  type GeneralName,
  type LintRules,
  type Name,
  type NameConstraintsTemplate,
  type PreparedCertificate,
  type SubjectPublicKey,
} from '#pki';
import { ekuOf, isPublished, keyUsageOf, lintRules, validity, type Profile } from '#policy';
import { checkRowMac, intentRowMac } from '#status';
import {
  findCertificate,
  storeAllSigned,
  storeSigned,
  together,
  type IntentRow,
  type NewAuditRow,
  type SignedRow,
  type Tx,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { requirePermittedNames, requireUsable, type Issuer } from './hierarchy.js';
import { intentAudit } from './intent-audit.js';
import { caIssuersUri, crlUri, ocspUri } from './issuer-directory.js';
import { storeSuperseding, supersedeBy } from './supersede.js';

/** What issuing needs to know of a CA; the root is its own issuer before it has a certificate. */
export type IntentIssuer = Pick<
  Issuer,
  'id' | 'kind' | 'name' | 'caKeyId' | 'subjectDer' | 'publicKey' | 'serial' | 'statusUrl' | 'shards' | 'notAfter'
> &
  Partial<Pick<Issuer, 'nameConstraints' | 'above'>>;

export interface IssueRequest {
  profile: Profile;
  issuer: IntentIssuer;
  subject: Name;
  san: GeneralName[];
  publicKey: SubjectPublicKey;
  /** Of CAs only. */
  nameConstraints?: NameConstraintsTemplate | Buffer | undefined;
  /** Instead of the profile's validity from now on: of a certificate that must begin and end with another one. */
  period?: { notBefore: Date; notAfter: Date } | undefined;
  deviceId: string | null;
  appId: string | null;
  releaseId: string | null;
  secretId: string | null;
  requestLabel: string;
  requester: string;
  ownerOrgId: string | null;
  issuerOrgId: string;
}

/** An intent not yet recorded: the linted token and the row that will hold its bytes. */
export interface PreparedIntent {
  token: PreparedCertificate;
  row: Omit<IntentRow, 'tbs' | 'mac'>;
}

/**
 * Fixes serial, shard, validity and names, builds the to-be-signed certificate from policy and lints it.
 * Needs no database: call it before a transaction, so that no lock is held meanwhile.
 */
export function prepareIntent(
  a: Pick<AuthorityContext, 'clock'> & Partial<Pick<AuthorityContext, 'follower'>>,
  request: IssueRequest,
): PreparedIntent {
  const { profile, issuer, publicKey } = request;
  requireUsable(a, issuer);
  requirePermittedNames(issuer, request);
  const serial = newSerial();
  // The first random octet; the octet before it is the epoch.
  const shard = Number.parseInt(serial.slice(2, 6), 16) % issuer.shards;
  const { notBefore, notAfter } = request.period ?? validity(profile, a.clock.now(), issuer.notAfter);
  const token = prepareCertificate(
    {
      serial,
      issuer: { subjectDer: issuer.subjectDer, keyId: issuer.publicKey.keyId, keyType: issuer.publicKey.keyType },
      subject: request.subject,
      publicKey,
      notBefore,
      notAfter,
      keyUsage: keyUsageOf(profile, publicKey.keyType),
      ...(profile.ca
        ? { basicConstraints: profile.pathLen === undefined ? { ca: true } : { ca: true, pathLen: profile.pathLen } }
        : {}),
      ...(request.nameConstraints ? { nameConstraints: request.nameConstraints } : {}),
      ...purposesOf(profile, publicKey),
      ...(request.san.length > 0 ? { san: request.san } : {}),
      ...statusUris(profile, issuer, shard),
      ...(profile.ocspNoCheck ? { ocspNoCheck: true } : {}),
      ...(request.appId !== null ? { appId: request.appId } : {}),
    },
    lintRules(profile, publicKey.spki.equals(issuer.publicKey.spki) ? undefined : lintIssuer(issuer)),
  );
  return {
    token,
    row: {
      serial: Buffer.from(serial, 'hex'),
      issuerId: issuer.id,
      shard,
      notBefore,
      notAfter,
      profile: profile.name,
      profileVersion: profile.version,
      published: isPublished(profile),
      spkiSha256: publicKey.sha256,
      subject: nameToString(request.subject),
      names: request.san.map(canonicalGeneralName),
      deviceId: request.deviceId,
      appId: request.appId,
      releaseId: request.releaseId,
      secretId: request.secretId,
      requestLabel: request.requestLabel,
      requester: request.requester,
      ownerOrgId: request.ownerOrgId,
      issuerOrgId: request.issuerOrgId,
    },
  };
}

function purposesOf(profile: Profile, { keyType }: SubjectPublicKey): { eku?: string[] } {
  const eku = ekuOf(profile, keyType);
  return eku.length > 0 ? { eku } : {};
}

/** Where to ask about a certificate, as far as its profile has anybody to ask; a root has one CRL for all. */
function statusUris({ revocation }: Profile, issuer: IntentIssuer, shard: number) {
  if (revocation === 'none') return {};
  return {
    crlUri: crlUri(issuer, issuer.kind === 'root' ? undefined : shard),
    ...(revocation === 'crl+ocsp' ? { ocspUri: ocspUri(issuer) } : {}),
    caIssuersUri: caIssuersUri(issuer),
  };
}

/** What the linter holds a certificate against. */
export function lintIssuer(
  issuer: Pick<Issuer, 'subjectDer' | 'publicKey' | 'notAfter'>,
): NonNullable<LintRules['issuer']> {
  const { subjectDer, publicKey, notAfter } = issuer;
  return { subjectDer, keyId: publicKey.keyId, keyType: publicKey.keyType, notAfter };
}

/**
 * Signs the stored bytes of a committed intent, verifies the signature and stores the certificate; only then it may be
 * sent. Safe to call again and by several at once: the first one to store wins, the others get what it stored.
 * An intent that this authority did not write is `internal` (code `rowMac`) and never reaches the signer.
 * Throws `unavailable` when signer or database are not there (the intent stays, a retry resumes it) and when the intent
 * was abandoned meanwhile.
 */
export async function finishIntent(
  a: Pick<AuthorityContext, 'plane' | 'database' | 'clock' | 'signer' | 'macKey'> &
    Partial<Pick<AuthorityContext, 'follower' | 'lifetimes'>>,
  actor: Actor,
  row: IntentRow,
  issuer: IntentIssuer,
  supersedes: Buffer | null,
): Promise<Buffer> {
  const { serial, notAfter, deviceId, profile } = row;
  requireUsable(a, issuer);
  if (row.issuerId !== issuer.id) throw new AuthorityError('internal', 'an intent is signed by its own issuer');
  checkRowMac(row.mac, intentRowMac(a.macKey, row), `intent ${serial.toString('hex')}`);
  const signature = await a.signer.sign({
    purpose: 'certificate',
    keyId: requireKey(issuer),
    subject: { intentId: serial.toString('hex') },
    message: row.tbs,
  });
  const der = assembleCertificate(row.tbs, signature, issuer.publicKey);
  const audit = auditRow({
    ...intentAudit(a, actor, row),
    action: 'certificate.issued',
    detail: { profile, deviceId, supersedes: supersedes?.toString('hex') ?? null },
  });
  if (await store(a, actor, { profile, supersedes, row: { serial, notAfter, der, deviceId }, audit })) return der;
  return a.database.transaction(
    async (tx) => signedForm(row, await storedByAnother(tx, serial), issuer),
    scopeOf(a, actor),
  );
}

/** Throws `unavailable` (code `externalKey`) for a CA whose key is kept elsewhere: it is never asked to sign. */
export function requireKey(issuer: Pick<Issuer, 'name' | 'caKeyId'>): string {
  if (issuer.caKeyId !== null) return issuer.caKeyId;
  throw new AuthorityError('unavailable', `the key of ${issuer.name} is not here; it signs where it is kept`, {
    code: 'externalKey',
    retryAfter: 3600,
  });
}

/** One statement, but where the profile ends what is renewed. False: the intent is not open any more. */
async function store(
  a: Parameters<typeof finishIntent>[0],
  actor: Actor,
  { profile, supersedes, row, audit }: Storing,
): Promise<boolean> {
  const { scope } = scopeOf(a, actor);
  const options = scope ? { scope } : {};
  const how = supersedeBy(a, profile, supersedes);
  if (supersedes === null || how.mode === 'never') {
    const signed = { row: { ...row, supersedes }, audit };
    if (!scope) return together(a.database, storeAllSigned, signed);
    return a.database.transaction((tx) => storeSigned(tx, signed.row, audit), options);
  }
  const renewal = { row: { ...row, supersedes }, audit, how };
  const seq = await a.database.transaction((tx) => storeSuperseding(tx, a, actor, renewal), options);
  if (seq !== undefined && seq > 0) await a.follower?.catchUp(seq);
  return seq !== undefined;
}

interface Storing {
  profile: string;
  supersedes: Buffer | null;
  row: Omit<SignedRow, 'supersedes'>;
  audit: NewAuditRow;
}

/**
 * The certificate of an intent whose MAC was checked, as the table holds it. Planes may write one where there is none, so
 * that it is believed only if it is the issuer's signature over exactly the bytes of the intent. Throws `internal` (code
 * `badSignature`).
 */
export function signedForm(
  row: Pick<IntentRow, 'tbs'>,
  stored: Buffer,
  issuer: Pick<IntentIssuer, 'publicKey'>,
): Buffer {
  return assembleCertificate(row.tbs, signatureIn(stored), issuer.publicKey);
}

/** Of what is no certificate: none, which does not verify. */
function signatureIn(der: Buffer): Buffer {
  try {
    return readCertificate(der).signature;
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    return Buffer.alloc(0);
  }
}

async function storedByAnother(tx: Tx, serial: Buffer): Promise<Buffer> {
  const row = await findCertificate(tx, serial);
  if (row?.der) return row.der;
  throw new AuthorityError('unavailable', 'the request was abandoned before it was signed; try again', {
    retryAfter: 1,
  });
}
