import { AuthorityError, isAuthorityError } from '#kernel';
import {
  canonicalGeneralName,
  der,
  encodeName,
  isKemKey,
  nameToString,
  readCertificate,
  readCsr,
  signatureAlgorithm,
  type Certificate,
  type CertificationRequest,
  type KeyType,
} from '#pki';
import { isPublished, objections, type CertificateRequest } from '#policy';
import { findDevice, isId, readStanding, type Device, type DeviceStanding } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { currentLabel } from '../current-profile.js';
import type { Issuer } from '../hierarchy.js';
import type { PreparedIntent } from '../issue.js';
import { notFound } from '../registry.js';
import { askedOf, prepareDeviceIntent, standingObjections } from './prepare-enrollment.js';
import { sampleKey } from './sample-key.js';

/** What a device would send: a request, or no more than the type of its key. */
export interface DryRunRequest {
  /** DER; undefined: no wishes, and a key of `keyType`. */
  csr: Buffer | undefined;
  keyType: KeyType;
  /** EST label; undefined: the one of the device's profile. */
  label: string | undefined;
}

/** A certificate as it would be; serial and end may differ by the moment. */
export interface ExpectedCertificate {
  issuer: Pick<Issuer, 'id' | 'name'>;
  subject: string;
  names: string[];
  keyType: KeyType;
  keyUsage: readonly string[];
  eku: readonly string[];
  notBefore: Date;
  notAfter: Date;
  crl: string | undefined;
  ocsp: string | undefined;
  /** Whether CRL and OCSP would tell of it. */
  published: boolean;
}

export interface DryRun {
  /** Everything that speaks against it; empty: it would be issued. */
  reasons: { code: string; detail: string }[];
  label: string;
  profile: { name: string; version: number } | undefined;
  /** Whether somebody would have to approve it first. */
  approval: boolean;
  certificate: ExpectedCertificate | undefined;
}

/**
 * What this device would get, and what speaks against it: by the way of every first enrollment, up to the linted bytes. No
 * serial is taken, nothing is signed, nothing is written. Throws `notFound` for a device that is not the caller's.
 */
export async function dryRun(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  request: DryRunRequest,
): Promise<DryRun> {
  const reasons: AuthorityError[] = [];
  const csr = await attempt(reasons, () => requestOf(request));
  const { device, standing } = await readDevice(a, actor, deviceId, csr);
  const name = request.label ?? device.profile;
  const label = currentLabel(a, name);
  if (label === undefined)
    reasons.push(new AuthorityError('notFound', `there is no EST label ${name}`, { code: 'label' }));
  await attempt(reasons, () => a.follower.assertFresh(60_000));
  reasons.push(...standingObjections(a, device, standing));
  const asked =
    label &&
    csr &&
    (await attempt(reasons, () => askedOf(a, { label, csr }, device, { current: undefined, vouched: true })));
  if (asked !== undefined) reasons.push(...objections(asked));
  if (csr && isKemKey(csr.publicKey.keyType)) reasons.push(needsCertificate());
  const certificate =
    reasons.length > 0 || !label || !asked
      ? undefined
      : await attempt(reasons, async () => {
          const ofRequest = { operation: 'simpleenroll', label, csr: asked.csr } as const;
          const by = { requester: actor.id, secretId: null, current: undefined, vouched: true };
          const intent = await prepareDeviceIntent(a, ofRequest, device, by);
          return expected(asked, intent, await a.issuers.require(intent.row.issuerId));
        });
  return {
    reasons: reasons.map(reasonOf),
    label: name,
    profile: asked && { name: asked.profile.name, version: asked.profile.version },
    approval: (label?.approval ?? false) || (asked?.profile.approval ?? false),
    certificate,
  };
}

async function readDevice(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  csr: CertificationRequest | undefined,
): Promise<{ device: Device; standing: DeviceStanding }> {
  return a.database.transaction(
    async (tx) => {
      const device = isId(id) ? await findDevice(tx, id) : undefined;
      if (device === undefined) throw notFound('device');
      return { device, standing: await readStanding(tx, device, csr?.publicKey.sha256 ?? Buffer.alloc(32)) };
    },
    scopeOf(a, actor),
  );
}

async function requestOf({ csr, keyType }: DryRunRequest): Promise<CertificationRequest> {
  if (csr !== undefined) return readCsr(csr);
  return {
    der: Buffer.alloc(0),
    subject: [],
    subjectDer: encodeName([]),
    publicKey: await sampleKey(keyType),
    extensions: [],
    san: undefined,
    challengePassword: undefined,
    changeSubjectName: undefined,
    possession: undefined,
    attributeTypes: [],
  };
}

/** What a first enrollment cannot prove; with the certificate for signatures that it leads to, a renewal can (RFC 9883). */
const needsCertificate = (): AuthorityError =>
  new AuthorityError('invalid', 'an ML-KEM key is proved by the certificate of an earlier key: enroll that first', {
    code: 'possession',
  });

/** What the bytes say, not what they were made of. */
function expected(asked: CertificateRequest, intent: PreparedIntent, issuer: Issuer): ExpectedCertificate {
  const certificate = unsigned(intent, issuer);
  const { crlUris, ocspUris, notBefore, notAfter } = certificate;
  return {
    issuer: { id: issuer.id, name: issuer.name },
    subject: nameToString(certificate.subject),
    names: certificate.san.map(canonicalGeneralName),
    keyType: certificate.publicKey.keyType,
    keyUsage: certificate.keyUsage ?? [],
    eku: certificate.eku ?? [],
    notBefore,
    notAfter,
    crl: crlUris[0],
    ocsp: ocspUris[0],
    published: isPublished(asked.profile),
  };
}

/** Readable, and sure not to verify: the bytes leave this function as what they say alone. */
function unsigned({ token }: PreparedIntent, { publicKey }: Issuer): Certificate {
  const nothing = der.bitString(Buffer.alloc(1));
  return readCertificate(der.sequence(token.tbs, signatureAlgorithm(publicKey.keyType).der, nothing));
}

async function attempt<T>(reasons: AuthorityError[], work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    reasons.push(error);
    return undefined;
  }
}

/** The linter's findings say which of our own rules the profile breaks with these names and this key. */
function reasonOf({ code, detail, cause }: AuthorityError): { code: string; detail: string } {
  return { code, detail: code === 'lint' && cause instanceof Error ? `${detail}: ${cause.message}` : detail };
}
