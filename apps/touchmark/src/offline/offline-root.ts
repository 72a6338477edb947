import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { externalIssuerId } from '#authority';
import { addSeconds, AuthorityError, wholeSecond, type Clock } from '#kernel';
import {
  assembleCertificate,
  assembleCrl,
  CRL_REASON_CODES,
  encodeCrlTbs,
  encodeName,
  fromPem,
  generateKeyPair,
  nameToString,
  newSerial,
  prepareCertificate,
  readCertificate,
  readCsr,
  signatureAlgorithm,
  signBytes,
  toPem,
  type Certificate,
  type CertificateTemplate,
  type CrlReason,
  type KeyType,
  type LintRules,
  type Name,
  type NameConstraintsTemplate,
} from '#pki';
import { replaceFile } from '../home.js';
import { openKey, sealKey } from './key-file.js';

const DAY = 86_400;
const YEAR = 365 * DAY;
const BACKDATE = 600;
const CA_USAGE = ['keyCertSign', 'cRLSign'] as const;

export interface RootPlan {
  subject: Name;
  keyType: KeyType;
  /** Years of 365 days. */
  years: number;
}

export interface SigningPlan {
  /** Where the instance publishes, without a slash at the end: CRL and root certificate have their URLs there. */
  statusUrl: string;
  years: number;
  pathLen: number | undefined;
  nameConstraints?: NameConstraintsTemplate | undefined;
}

/** One line of `issued.jsonl`: what this root signed, or took back. Times RFC 3339. */
type Entry =
  | { kind: 'issued'; serial: string; subject: string; notAfter: string; tbsSha256: string; at: string }
  | { kind: 'revoked'; serial: string; reason: CrlReason; at: string }
  | { kind: 'crl'; number: number; at: string };

/**
 * A root in a directory of a machine that has no network: `root.pem`, `root.key` (sealed under a passphrase), `root.crl`
 * and `issued.jsonl`, which only grows. It needs neither instance nor database.
 */
export class OfflineRoot {
  private constructor(
    readonly directory: string,
    readonly certificate: Certificate,
    private readonly key: KeyObject,
    private readonly clock: Clock,
  ) {}

  /** Makes key and self-signed certificate in an empty or new directory. Throws `conflict` for one that is not empty. */
  static async init(directory: string, plan: RootPlan, passphrase: string, clock: Clock): Promise<OfflineRoot> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if ((await readdir(directory)).some((name) => name.startsWith('root.'))) {
      throw new AuthorityError('conflict', `${directory} holds a root already`);
    }
    const { keyType, privateKey, publicKey } = await generateKeyPair(plan.keyType);
    const key = sealKey(privateKey, publicKey, passphrase);
    const subjectDer = encodeName(plan.subject);
    const period = periodOf(clock, plan.years, undefined);
    const prepared = prepareCertificate(
      {
        ...{ serial: newSerial(), subject: plan.subject, publicKey, ...period },
        issuer: { subjectDer, keyId: publicKey.keyId, keyType },
        basicConstraints: { ca: true },
        keyUsage: [...CA_USAGE],
      },
      rules(plan.years, [keyType], undefined, 'none'),
    );
    const tbs = prepared.consume();
    const der = assembleCertificate(tbs, signBytes(keyType, privateKey, tbs), publicKey);
    await replaceFile(path.join(directory, 'root.key'), key, 0o400);
    await replaceFile(path.join(directory, 'root.pem'), toPem('CERTIFICATE', der), 0o644);
    return new OfflineRoot(directory, readCertificate(der), privateKey, clock);
  }

  /** Throws `forbidden` for a wrong passphrase. */
  static async open(directory: string, passphrase: string, clock: Clock): Promise<OfflineRoot> {
    const [der] = fromPem(await readFile(path.join(directory, 'root.pem'), 'utf8'), 'CERTIFICATE');
    const certificate = readCertificate(der!);
    const key = openKey(await readFile(path.join(directory, 'root.key'), 'utf8'), certificate.publicKey, passphrase);
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    if (!spki.equals(certificate.publicKey.spki)) {
      throw new AuthorityError('invalid', 'root.key is not the key of root.pem');
    }
    return new OfflineRoot(directory, certificate, key, clock);
  }

  /** Id under which an instance knows this root. */
  get id(): string {
    return externalIssuerId(this.certificate.publicKey);
  }

  /**
   * Certifies the CA of a request (PKCS#10, DER): an issuing CA with `pathLen` 0, a CA above others with more or none. Its
   * status is told by the CRL alone: this root is asked by nobody. Returns the certificate, DER.
   */
  async sign(csr: Buffer, plan: SigningPlan): Promise<Buffer> {
    const { subject, subjectDer, publicKey } = readCsr(csr);
    if (subject.length === 0 || subjectDer.equals(this.certificate.subjectDer)) {
      throw new AuthorityError('invalid', 'the request must have a subject, and another one than this root');
    }
    const { keyType, keyId } = this.certificate.publicKey;
    const issuer = { subjectDer: this.certificate.subjectDer, keyId, keyType, notAfter: this.certificate.notAfter };
    const { pathLen, nameConstraints } = plan;
    const template: CertificateTemplate = {
      ...{ serial: newSerial(), subject, publicKey, issuer },
      ...periodOf(this.clock, plan.years, this.certificate.notAfter),
      basicConstraints: pathLen === undefined ? { ca: true } : { ca: true, pathLen },
      ...(nameConstraints && { nameConstraints }),
      keyUsage: [...CA_USAGE],
      crlUri: `${plan.statusUrl}/crl/${this.id}.crl`,
      caIssuersUri: `${plan.statusUrl}/ca/${this.id}.cer`,
    };
    const prepared = prepareCertificate(template, rules(plan.years, [publicKey.keyType], issuer, 'crl'));
    // Written down before it is signed: a serial that may be out there is never unknown.
    const { serial, notAfter } = prepared;
    const tbs = prepared.consume();
    await this.note({
      ...{ kind: 'issued', serial, subject: nameToString(subject), notAfter: notAfter.toISOString() },
      ...{ tbsSha256: createHash('sha256').update(tbs).digest('hex'), at: this.clock.now().toISOString() },
    });
    return assembleCertificate(tbs, signBytes(keyType, this.key, tbs), this.certificate.publicKey);
  }

  /** Takes back what this root signed; the next CRL tells. Throws `notFound`. */
  async revoke(serial: string, reason: CrlReason): Promise<void> {
    const entries = await this.entries();
    if (!Object.hasOwn(CRL_REASON_CODES, reason) || reason === 'removeFromCRL' || reason === 'certificateHold') {
      throw new AuthorityError('invalid', `no reason for a CA: ${reason}`);
    }
    if (!entries.some((entry) => entry.kind === 'issued' && entry.serial === serial)) {
      throw new AuthorityError('notFound', `this root signed no certificate with the serial ${serial}`);
    }
    if (entries.some((entry) => entry.kind === 'revoked' && entry.serial === serial)) return;
    await this.note({ kind: 'revoked', serial, reason, at: this.clock.now().toISOString() });
  }

  /** The next CRL, DER, good for so many days; also in `root.crl`, as PEM. Its number is used up before it is signed. */
  async crl(days: number): Promise<Buffer> {
    const entries = await this.entries();
    const number = entries.filter(({ kind }) => kind === 'crl').length + 1;
    const thisUpdate = wholeSecond(this.clock.now());
    await this.note({ kind: 'crl', number, at: thisUpdate.toISOString() });
    const { keyId, keyType } = this.certificate.publicKey;
    const revoked = entries.flatMap((entry) =>
      entry.kind === 'revoked'
        ? [{ serial: entry.serial, revokedAt: new Date(entry.at), reason: entry.reason, invalidityDate: undefined }]
        : [],
    );
    const tbs = encodeCrlTbs({
      issuer: { subjectDer: this.certificate.subjectDer, keyId, keyType },
      number: BigInt(number),
      thisUpdate,
      nextUpdate: addSeconds(thisUpdate, days * DAY),
      distributionPoint: undefined,
      entries: revoked.toSorted((one, other) => (one.serial < other.serial ? -1 : 1)),
    });
    const der = assembleCrl(tbs, signatureAlgorithm(keyType).der, signBytes(keyType, this.key, tbs));
    await replaceFile(path.join(this.directory, 'root.crl'), toPem('X509 CRL', der), 0o644);
    return der;
  }

  /** A detached signature over the text of a ceremony. Throws `invalid` for what could be read as a certificate or a CRL. */
  signText(text: Buffer): Buffer {
    if (text[0] !== 0x7b) throw new AuthorityError('invalid', 'a transcript begins with {');
    return signBytes(this.certificate.publicKey.keyType, this.key, text);
  }

  async entries(): Promise<Entry[]> {
    const text = await readFile(this.file, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Entry]));
  }

  private get file(): string {
    return path.join(this.directory, 'issued.jsonl');
  }

  private async note(entry: Entry): Promise<void> {
    await appendFile(this.file, `${JSON.stringify(entry)}\n`, { mode: 0o644, flush: true });
  }
}

function periodOf(clock: Clock, years: number, limit: Date | undefined): { notBefore: Date; notAfter: Date } {
  const now = wholeSecond(clock.now());
  const notAfter = addSeconds(now, years * YEAR - 1);
  if (limit !== undefined && notAfter > limit) {
    throw new AuthorityError('invalid', `it would end after the root, which ends at ${limit.toISOString()}`);
  }
  return { notBefore: addSeconds(now, -BACKDATE), notAfter };
}

function rules(
  years: number,
  keyTypes: readonly KeyType[],
  issuer: LintRules['issuer'],
  revocation: LintRules['revocation'],
): LintRules {
  return {
    ...{ selfSigned: issuer === undefined, issuer, ca: true, keyTypes, revocation },
    ...{ keyUsage: CA_USAGE, eku: [], san: 'forbidden', maxValiditySeconds: years * YEAR + BACKDATE },
  };
}
