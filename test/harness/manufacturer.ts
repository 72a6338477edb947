import 'reflect-metadata';
import { createPrivateKey, randomBytes, type KeyObject, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { approve, proposeAnchorsChange, proposeLabelChange, type AnchorSettings, type LabelSettings } from '#authority';
import { loadConfig } from '#kernel';
import { assembleCrl, der, encodeCrlTbs, OID, readCertificate, signatureAlgorithm, signBytes } from '#pki';
import { profiles, shippedLabel } from '#policy';
import type { TestDatabase } from './database.js';
import type { Product } from './fixtures.js';
import { makePerson, type Person } from './people.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** What a client shows in the handshake: PEM. */
export interface ClientIdentity {
  cert: string;
  key: string;
  /** DER. */
  der: Buffer;
  serial: string;
}

export interface IdentityWishes {
  /** Attribute serialNumber of the subject; null for none. */
  serialNumber?: string | null;
  commonName?: string;
  /** OIDs; null for no extension. */
  eku?: string[] | null;
  keyUsage?: x509.KeyUsageFlags;
  ca?: boolean;
  notBefore?: Date;
  notAfter?: Date;
  extensions?: x509.Extension[];
}

/** A CA of somebody else, made by an independent library. */
export interface Manufacturer {
  rootPem: string;
  intermediatePem: string;
  /** Issued by the intermediate. */
  issue(wishes?: IdentityWishes): Promise<ClientIdentity>;
  /** Issued by the root itself. */
  issueByRoot(wishes?: IdentityWishes): Promise<ClientIdentity>;
  /** DER of the CRL of the intermediate, or of the root. */
  crl(of: 'root' | 'intermediate', facts: CrlFacts): Promise<Buffer>;
  /** A whole CRL of the root with so many entries of 20 octets each, as large as they make it. */
  largeCrl(number: number, entries: number): Promise<Buffer>;
}

export interface CrlFacts {
  number: number;
  revoked?: string[];
  thisUpdate?: Date;
  nextUpdate?: Date;
}

interface Authority {
  name: string;
  keys: webcrypto.CryptoKeyPair;
  certificate: x509.X509Certificate;
}

let counter = 0;

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

const pemOf = async ({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> =>
  x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY');

export async function makeManufacturer(): Promise<Manufacturer> {
  const n = ++counter;
  const rootKeys = await newKeys();
  const rootName = `CN=Acme Root ${n}, O=Acme`;
  const authority = (pathLength: number) => [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
  ];
  const dates = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + 3650 * DAY_MS) };
  const rootCertificate = await x509.X509CertificateGenerator.createSelfSigned(
    { name: rootName, keys: rootKeys, signingAlgorithm: ALGORITHM, ...dates, extensions: authority(1) },
    crypto,
  );
  const keys = await newKeys();
  const name = `CN=Acme Devices ${n}, O=Acme`;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      ...{ subject: name, issuer: rootName, signingKey: rootKeys.privateKey, publicKey: keys.publicKey },
      ...{ signingAlgorithm: ALGORITHM, ...dates, extensions: authority(0) },
    },
    crypto,
  );
  const root: Authority = { name: rootName, keys: rootKeys, certificate: rootCertificate };
  const intermediate: Authority = { name, keys, certificate };
  return {
    rootPem: rootCertificate.toString('pem'),
    intermediatePem: certificate.toString('pem'),
    issue: (wishes = {}) => issueIdentity(intermediate, wishes),
    issueByRoot: (wishes = {}) => issueIdentity(root, wishes),
    crl: (of, facts) => makeCrl(of === 'root' ? root : intermediate, facts),
    largeCrl: async (number, entries) => {
      const key = createPrivateKey(await pemOf(rootKeys));
      return makeLargeCrl(Buffer.from(rootCertificate.rawData), key, { number, entries });
    },
  };
}

async function issueIdentity(issuer: Authority, wishes: IdentityWishes): Promise<ClientIdentity> {
  const { serialNumber = `SN-${++counter}`, commonName = 'Camera', eku = [OID.clientAuth] } = wishes;
  const keys = await newKeys();
  const subject = [{ CN: [commonName] }, ...(serialNumber === null ? [] : [{ '2.5.4.5': [serialNumber] }])];
  const serial = `01${randomBytes(15).toString('hex')}`;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial,
      subject: new x509.Name(subject).toString(),
      issuer: issuer.name,
      notBefore: wishes.notBefore ?? new Date(Date.now() - 3_600_000),
      notAfter: wishes.notAfter ?? new Date(Date.now() + 365 * DAY_MS),
      signingKey: issuer.keys.privateKey,
      publicKey: keys.publicKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(wishes.ca ?? false, undefined, true),
        new x509.KeyUsagesExtension(wishes.keyUsage ?? x509.KeyUsageFlags.digitalSignature, true),
        ...(eku === null ? [] : [new x509.ExtendedKeyUsageExtension(eku)]),
        ...(wishes.extensions ?? []),
      ],
    },
    crypto,
  );
  return identityOf(certificate, keys, serial);
}

/** A certificate that nobody but its own key vouches for. */
export async function selfSignedIdentity(
  wishes: Pick<IdentityWishes, 'commonName' | 'notBefore' | 'notAfter'> = {},
  given?: webcrypto.CryptoKeyPair,
): Promise<ClientIdentity & { keys: webcrypto.CryptoKeyPair }> {
  const keys = given ?? (await newKeys());
  const serial = `01${randomBytes(15).toString('hex')}`;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serial,
      name: `CN=${wishes.commonName ?? 'self'}`,
      keys,
      signingAlgorithm: ALGORITHM,
      notBefore: wishes.notBefore ?? new Date(Date.now() - 3_600_000),
      notAfter: wishes.notAfter ?? new Date(Date.now() + DAY_MS),
      // Without any the library writes an empty list of extensions, which is not DER of a certificate.
      extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true)],
    },
    crypto,
  );
  return { ...(await identityOf(certificate, keys, serial)), keys };
}

async function identityOf(
  certificate: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
  serial: string,
): Promise<ClientIdentity> {
  return { cert: certificate.toString('pem'), key: await pemOf(keys), der: Buffer.from(certificate.rawData), serial };
}

async function makeCrl(issuer: Authority, facts: CrlFacts): Promise<Buffer> {
  const number = der.integer(BigInt(facts.number));
  const crl = await x509.X509CrlGenerator.create(
    {
      issuer: issuer.name,
      thisUpdate: facts.thisUpdate ?? new Date(Date.now() - 60_000),
      nextUpdate: facts.nextUpdate ?? new Date(Date.now() + DAY_MS),
      entries: (facts.revoked ?? []).map((serialNumber) => ({
        serialNumber,
        // Without one the library writes an empty list of extensions, which is not DER of a CRL.
        reason: x509.X509CrlReason.cessationOfOperation,
        revocationDate: new Date(Date.now() - 60_000),
      })),
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.Extension(OID.cRLNumber, false, number)],
    },
    crypto,
  );
  return Buffer.from(crl.rawData);
}

/** The library above needs minutes for what a large manufacturer has. */
export function makeLargeCrl(certificate: Buffer, key: KeyObject, facts: { number: number; entries: number }): Buffer {
  const { subjectDer, publicKey } = readCertificate(certificate);
  const { keyId, keyType } = publicKey;
  const revokedAt = new Date(Date.now() - 60_000);
  const tbs = encodeCrlTbs({
    issuer: { subjectDer, keyId, keyType },
    number: BigInt(facts.number),
    thisUpdate: revokedAt,
    nextUpdate: new Date(Date.now() + DAY_MS),
    distributionPoint: undefined,
    entries: Array.from({ length: facts.entries }, (_, at) => ({
      serial: `01${at.toString(16).padStart(38, '0')}`,
      revokedAt,
      reason: 'keyCompromise' as const,
      invalidityDate: undefined,
    })),
  });
  return assembleCrl(tbs, signatureAlgorithm(keyType).der, signBytes(keyType, key, tbs));
}

const deciders = new WeakMap<TestDatabase, Promise<{ admin: Person; approver: Person }>>();

/** Two people of the authority who change what takes two. */
export function decidersOf(db: TestDatabase): Promise<{ admin: Person; approver: Person }> {
  const made =
    deciders.get(db) ??
    (async () => ({ admin: await makePerson(db, ['admin']), approver: await makePerson(db, ['approver']) }))();
  deciders.set(db, made);
  return made;
}

/** The set as two people decided it, in force in every plane. Returns its name. */
export async function makeAnchors(
  db: TestDatabase,
  product: Pick<Product, 'appId'>,
  wishes: Partial<AnchorSettings>,
  name = `acme-${++counter}`,
): Promise<string> {
  const api = await db.context('api');
  const { admin, approver } = await decidersOf(db);
  const { approvalId } = await proposeAnchorsChange(api, admin, name, {
    description: 'Acme',
    certificates: [],
    intermediates: [],
    appId: product.appId,
    register: 'preregistered',
    registersPerMinute: 60,
    identity: 'serialNumber',
    revocation: 'none',
    crlMaxAgeSeconds: null,
    ...wishes,
  });
  await approve(api, approver, approvalId, {});
  await inStep(db);
  return name;
}

/** The label as two people decided it, in force in every plane. Returns its name. */
export async function makeLabel(
  db: TestDatabase,
  wishes: Partial<LabelSettings>,
  name = `label-${++counter}`,
): Promise<string> {
  const api = await db.context('api');
  const { admin, approver } = await decidersOf(db);
  const { name: _name, version: _version, ...shipped } = shippedLabel(profiles(loadConfig({}).lifetimes).device);
  const { approvalId } = await proposeLabelChange(api, admin, name, { ...shipped, ...wishes });
  await approve(api, approver, approvalId, {});
  await inStep(db);
  return name;
}

/** Until the EST plane has heard of what the API plane did. */
export async function inStep(db: TestDatabase): Promise<void> {
  const [api, est] = [await db.context('api'), await db.context('est')];
  await est.follower.catchUp(api.follower.index.seq);
}
