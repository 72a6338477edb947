import { isAuthorityError } from '#kernel';
import { der, readCertificate, readPublicKey, restoreCertificate, signatureAlgorithm, type Certificate } from '#pki';
import { lintRules, type Profile } from '#policy';
import { checkRowMac, intentRowMac } from '#status';
import { findCertificate, listIssuers, type CertificateRow, type IssuerRow } from '#store';
import { currentProfile } from '../current-profile.js';
import { lintIssuer, type IntentIssuer } from '../issue.js';
import { requireUsable } from '../hierarchy.js';
import { requireApprovedCa } from './approved-ca.js';
import { overtaken, refusal, type SignerContext } from './signer-context.js';

/** Whoever asked for an intent that is older has long gone on; the reconciler abandons it. */
const STALE_SECONDS = 900;
const DAY_SECONDS = 86_400;

/**
 * The bytes that were recorded under this serial, for the key of their issuer: derived again from the row, as if nobody had
 * sent any. The row must carry this authority's MAC, its issuer must have been announced and not be revoked, its profile
 * be the one in force, and the bytes pass the linter once more. A certificate of a CA is signed only for a key that a CA of
 * ours was recorded with, or one that two people approved. Throws `internal` (code `signerRefused`), or `unavailable` for what was overtaken by a change.
 */
export async function recordedCertificate(s: SignerContext, intentId: string, keyId: string): Promise<Buffer> {
  if (!/^([0-9a-f]{2}){1,20}$/.test(intentId)) throw refusal('it names no serial number');
  const [row, issuers] = await s.database.transaction(
    async (tx) => [await findCertificate(tx, Buffer.from(intentId, 'hex')), await listIssuers(tx)] as const,
  );
  if (row === undefined) throw refusal('nothing was recorded under this serial number');
  checkMac(s, row);
  if (row.state === 'abandoned') throw overtaken('the request was abandoned');
  const issuer = await issuerOf(s, row, issuers);
  if (issuer.caKeyId !== keyId) throw refusal('the key is not the one of the issuer');
  const profile = currentProfile(s, row.profile);
  if (profile.version !== row.profileVersion) throw overtaken('its profile has changed');
  await checkBytes(s, row, issuer, profile, issuers);
  return row.tbs;
}

function checkMac(s: SignerContext, row: CertificateRow): void {
  try {
    checkRowMac(row.mac, intentRowMac(s.macKey, row), 'the intent');
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    throw refusal('the intent was not written by this authority');
  }
}

/** Announced in the status log; a root that certifies itself is not yet, and may be nothing else then. */
async function issuerOf(s: SignerContext, row: CertificateRow, rows: readonly IssuerRow[]): Promise<IntentIssuer> {
  const known = await s.issuers.find(row.issuerId);
  if (known !== undefined) {
    requireUsable(s, known);
    if (known.status === 'revoked') throw overtaken('its issuer is revoked');
    return known;
  }
  const own = rows.find((one) => one.id === row.issuerId);
  const certifiesItself = own?.kind === 'root' && keyOf(row, own).publicKey.spki.equals(own.spki);
  if (own === undefined || !certifiesItself) throw refusal('its issuer was never announced');
  return { ...own, publicKey: readPublicKey(own.spki), serial: '' };
}

/** The recorded bytes in the form of a certificate, with nothing for a signature. */
function keyOf(row: CertificateRow, issuer: Pick<IssuerRow, 'spki'>): Certificate {
  const { keyType } = readPublicKey(issuer.spki);
  return readCertificate(der.sequence(row.tbs, signatureAlgorithm(keyType).der, der.bitString(Buffer.alloc(8))));
}

async function checkBytes(
  s: SignerContext,
  row: CertificateRow,
  issuer: IntentIssuer,
  profile: Profile,
  issuers: readonly IssuerRow[],
): Promise<void> {
  const certificate = keyOf(row, issuer.publicKey);
  const { spki } = certificate.publicKey;
  const selfSigned = spki.equals(issuer.publicKey.spki);
  const ofOurs = profile.ca && issuers.some((one) => one.spki.equals(spki));
  const asDecided = ofOurs ? { ...profile, validitySeconds: await longestLife(s, profile) } : profile;
  try {
    restoreCertificate(row.tbs, lintRules(asDecided, selfSigned ? undefined : lintIssuer(issuer)));
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    throw refusal(`lint: ${error.detail}`);
  }
  if (certificate.serial !== row.serial.toString('hex')) throw refusal('the bytes carry another serial number');
  if (profile.ca) {
    if (!ofOurs) await requireApprovedCa(s, row, certificate);
    return;
  }
  const made = certificate.notBefore.getTime() / 1000 + profile.backdateSeconds;
  if (s.clock.now().getTime() / 1000 - made > STALE_SECONDS) throw overtaken('it is older than 15 minutes');
}

/**
 * How long a certificate of one of our CAs may live: for that length was decided with its approval, and a link or another key
 * for a root lives as long as the one before it. Nothing lives longer by far than what was announced.
 */
async function longestLife(s: SignerContext, profile: Profile): Promise<number> {
  const lives = (await s.issuers.list()).map(({ notBefore, notAfter }) => notAfter.getTime() - notBefore.getTime());
  return Math.max(profile.validitySeconds, s.lifetimes.rootCa, ...lives.map((life) => life / 1000)) + DAY_SECONDS;
}
