import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Crypto } from '@peculiar/webcrypto';
import * as x509 from '@peculiar/x509';
import * as pkijs from 'pkijs';
import { readCertificate } from './certificate.js';
import { encodeCsr } from './csr-write.js';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { encodeExtension } from './extension.js';
import { encodeName, nameToString } from './name.js';
import { OID } from './oids.js';
import { assembleCertificate, prepareCertificate } from './prepare.js';
import { signatureAlgorithm, signBytes } from './signature.js';
import { buildTbs } from './template.js';
import {
  APP_ID,
  deviceRules,
  deviceTemplate,
  generateKey,
  INSTANCE_ID,
  rootRules,
  rootTemplate,
  SIGNING_KEY_TYPES,
} from './testing/issuing.js';

const crypto = new Crypto();
x509.cryptoProvider.set(crypto);
pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: crypto as never }));

const ca = generateKey('ec-p384');
const device = generateKey('ec-p256');

function issue(template = deviceTemplate(ca, device.publicKey), rules = deviceRules(ca), signer = ca): Buffer {
  const tbs = prepareCertificate(template, rules).consume();
  return assembleCertificate(tbs, signBytes(signer.publicKey.keyType, signer.privateKey, tbs), signer.publicKey);
}

const certificate = issue();
const root = issue(rootTemplate(ca), rootRules());

/** A certificate with these extensions and whatever else, for reading only. */
function withExtensions(...extensions: Buffer[]): Buffer {
  const template = deviceTemplate(ca, device.publicKey);
  const fields: Buffer[] = [];
  const body = DerReader.openSequence(buildTbs(template), 'test');
  while (!body.done) fields.push(body.element());
  const tbs = der.sequence(...fields.slice(0, 7), der.constructed(3, der.sequence(...extensions)));
  return der.sequence(tbs, signatureAlgorithm('ec-p384').der, der.bitString(Buffer.of(1)));
}

describe('a certificate that we write', () => {
  it('is read back by ourselves as the template said', () => {
    const read = readCertificate(certificate);
    const template = deviceTemplate(ca, device.publicKey);
    expect(read).toMatchObject({
      version: 3,
      serial: template.serial,
      issuerDer: template.issuer.subjectDer,
      subject: template.subject,
      notBefore: template.notBefore,
      notAfter: template.notAfter,
      san: template.san,
      basicConstraints: undefined,
      keyUsage: ['digitalSignature'],
      eku: [OID.clientAuth],
      subjectKeyId: device.publicKey.keyId,
      authorityKeyId: ca.publicKey.keyId,
      crlUris: [template.crlUri],
      ocspUris: [template.ocspUri],
      caIssuerUris: [template.caIssuersUri],
    });
    expect(read.publicKey.spki).toEqual(device.publicKey.spki);
    expect(read.extensions.get(OID.touchmarkAppId)?.value).toEqual(der.utf8String(APP_ID));
  });

  it('is read and verified by OpenSSL through node:crypto', () => {
    const read = new X509Certificate(certificate);
    expect(read.serialNumber.toLowerCase()).toBe(readCertificate(certificate).serial);
    expect(read.subjectAltName).toBe(`URI:urn:uuid:${INSTANCE_ID}`);
    expect(read.validFromDate).toEqual(readCertificate(certificate).notBefore);
    expect(read.keyUsage).toEqual([OID.clientAuth]);
    expect(read.infoAccess).toBe(
      'OCSP - URI:http://status.example.org/ocsp\nCA Issuers - URI:http://status.example.org/ca/issuing.cer',
    );
    expect(read.ca).toBe(false);
    expect(read.checkIssued(new X509Certificate(root))).toBe(true);
    expect(read.verify(ca.publicKey.keyObject)).toBe(true);
    expect(new X509Certificate(root).ca).toBe(true);
  });

  it('is read and verified by @peculiar/x509', async () => {
    const read = new x509.X509Certificate(certificate);
    expect(read.serialNumber).toBe(readCertificate(certificate).serial);
    expect(read.subject).toBe('CN=dev-7k2m9q');
    expect(read.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON()).toEqual([
      { type: 'url', value: `urn:uuid:${INSTANCE_ID}` },
    ]);
    expect(read.getExtension(x509.KeyUsagesExtension)).toMatchObject({
      usages: x509.KeyUsageFlags.digitalSignature,
      critical: true,
    });
    expect(read.getExtension(x509.CRLDistributionPointsExtension)?.distributionPoints).toHaveLength(1);
    expect(read.getExtension(OID.touchmarkAppId)?.critical).toBe(false);
    expect(await read.verify({ publicKey: new x509.X509Certificate(root).publicKey, signatureOnly: true })).toBe(true);
    expect(await new x509.X509Certificate(root).isSelfSigned()).toBe(true);
  });

  it.each(SIGNING_KEY_TYPES)('is encoded by pkijs to the same bytes, under a %s issuer (Q02)', (keyType) => {
    const issuer = generateKey(keyType);
    const subject = generateKey(keyType);
    const ours = issue(deviceTemplate(issuer, subject.publicKey), deviceRules(issuer), issuer);
    const parsed = pkijs.Certificate.fromBER(ours);
    expect(Buffer.from(parsed.encodeTBS().toBER())).toEqual(readCertificate(ours).tbs);
    expect(Buffer.from(parsed.toSchema(true).toBER())).toEqual(ours);
    expect(new X509Certificate(ours).verify(issuer.publicKey.keyObject)).toBe(true);
  });

  it('is v3 with one and the same algorithm inside and outside (X01)', () => {
    const parsed = pkijs.Certificate.fromBER(certificate);
    expect(parsed.version).toBe(2);
    expect(Buffer.from(parsed.signature.toSchema().toBER())).toEqual(
      Buffer.from(parsed.signatureAlgorithm.toSchema().toBER()),
    );
  });

  it('ends in GeneralizedTime from 2050, in UTCTime before, and at 99991231235959Z without end (X05, X07)', () => {
    const ends = ['2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z', '9999-12-31T23:59:59Z'];
    const written = ends.map((iso) => {
      const body = DerReader.openSequence(
        buildTbs({ ...deviceTemplate(ca, device.publicKey), notAfter: new Date(iso) }),
        'test',
      );
      for (let i = 0; i < 4; i++) body.skip();
      const validity = body.sequence();
      validity.skip();
      return validity.element().toString('latin1');
    });
    expect(written).toEqual(['\x17\x0d491231235959Z', '\x18\x0f20500101000000Z', '\x18\x0f99991231235959Z']);
  });

  it('has a critical SAN exactly if its subject is empty (X11)', () => {
    const empty = issue({ ...deviceTemplate(ca, device.publicKey), subject: [] });
    expect(readCertificate(empty).extensions.get(OID.subjectAltName)?.critical).toBe(true);
    expect(readCertificate(certificate).extensions.get(OID.subjectAltName)?.critical).toBe(false);
    expect(new X509Certificate(empty).subjectAltName).toBe(`URI:urn:uuid:${INSTANCE_ID}`);
  });

  it('says noRevAvail only without any revocation service (X27)', () => {
    const { crlUri: _crl, ocspUri: _ocsp, ...bare } = deviceTemplate(ca, device.publicKey);
    const short = issue(bare, { ...deviceRules(ca), revocation: 'none' });
    expect(readCertificate(short).extensions.get(OID.noRevAvail)).toEqual({
      oid: OID.noRevAvail,
      critical: false,
      value: der.null(),
    });
    expect(readCertificate(certificate).extensions.has(OID.noRevAvail)).toBe(false);
    expect(readCertificate(root).extensions.has(OID.noRevAvail)).toBe(false);
  });

  it('of an OCSP delegate has ocsp-nocheck and no status URI (O34)', () => {
    const { crlUri: _crl, ocspUri: _ocsp, san: _san, appId: _app, ...bare } = deviceTemplate(ca, device.publicKey);
    const rules = { ...deviceRules(ca), eku: [OID.ocspSigning], san: 'forbidden', revocation: 'none' } as const;
    const delegate = readCertificate(issue({ ...bare, eku: [OID.ocspSigning], ocspNoCheck: true }, rules));
    expect(delegate.extensions.get(OID.ocspNoCheck)).toEqual({
      oid: OID.ocspNoCheck,
      critical: false,
      value: der.null(),
    });
    expect(delegate.extensions.has(OID.noRevAvail)).toBe(false);
  });

  it('encodes no DEFAULT and trims bits (X14, X15)', () => {
    const encoded = readCertificate(root).extensions;
    expect(encoded.get(OID.basicConstraints)).toMatchObject({
      critical: true,
      value: Buffer.from('30030101ff', 'hex'),
    });
    expect(encoded.get(OID.keyUsage)).toMatchObject({ critical: true, value: Buffer.from('03020106', 'hex') });
  });
});

describe('a CSR that we write', () => {
  it.each(SIGNING_KEY_TYPES)(
    'is encoded by pkijs to the same bytes, and verified by @peculiar/x509 (%s)',
    async (keyType) => {
      const { privateKey, publicKey } = generateKey(keyType);
      const csr = encodeCsr(
        {
          subject: [[{ type: OID.commonName, value: 'dev-1' }]],
          publicKey,
          san: [{ type: 'dns', value: 'a.example' }],
          challengePassword: 'x',
        },
        privateKey,
      );
      const parsed = pkijs.CertificationRequest.fromBER(csr);
      expect(Buffer.from(parsed.toSchema(true).toBER())).toEqual(csr);
      const read = new x509.Pkcs10CertificateRequest(csr);
      expect(read.subject).toBe('CN=dev-1');
      if (!keyType.startsWith('ml-dsa') && keyType !== 'ed25519') expect(await read.verify(crypto)).toBe(true);
    },
  );
});

describe('readCertificate', () => {
  const vectors = JSON.parse(readFileSync(new URL('../../../test/vectors/pkits.json', import.meta.url), 'utf8')) as {
    certificates: Record<string, string>;
  };

  it('reads every certificate of NIST PKITS as OpenSSL does', () => {
    for (const [file, base64] of Object.entries(vectors.certificates)) {
      const bytes = Buffer.from(base64, 'base64');
      const ours = readCertificate(bytes);
      const theirs = new X509Certificate(bytes);
      const serial = BigInt.asUintN(ours.serial.length * 4, BigInt(`0x${ours.serial}`));
      const negative = /^[89a-f]/.test(ours.serial);
      expect([file, theirs.validToDate]).toEqual([file, ours.notAfter]);
      if (!negative) expect([file, BigInt(`0x${theirs.serialNumber}`)]).toEqual([file, serial]);
      const signs = ours.keyUsage?.includes('keyCertSign') !== false;
      expect([file, theirs.ca]).toEqual([file, ours.basicConstraints?.ca === true && signs]);
      expect([file, theirs.publicKey.export({ format: 'der', type: 'spki' })]).toEqual([file, ours.publicKey.spki]);
    }
    expect(Object.keys(vectors.certificates).length).toBeGreaterThan(100);
  });

  it('reads certificates with a key of unknown algorithm and unknown critical extensions', () => {
    const odd = {
      ...device.publicKey,
      spki: der.sequence(der.sequence(der.oid('1.2.3.4')), der.bitString(Buffer.of(7))),
      keyId: Buffer.alloc(20),
    };
    const tbs = buildTbs({ ...deviceTemplate(ca, odd), serial: '80' });
    const read = readCertificate(der.sequence(tbs, signatureAlgorithm('ec-p384').der, der.bitString(Buffer.of(1))));
    expect(read.publicKey.keyType).toBe('unknown');
    expect(read.serial).toBe('80');
    const unknown = encodeExtension({
      oid: '2.25.340282366920938463463374607431768211375',
      critical: true,
      value: Buffer.of(1),
    });
    expect(
      readCertificate(withExtensions(unknown)).extensions.get('2.25.340282366920938463463374607431768211375')?.critical,
    ).toBe(true);
  });

  const extension = (oid: string, value: Buffer): Buffer => encodeExtension({ oid, critical: false, value });
  it.each([
    ['a repeated extension', withExtensions(extension('1.2.3', der.null()), extension('1.2.3', der.null()))],
    ['no extension in the list', withExtensions()],
    ['an empty SAN', withExtensions(extension(OID.subjectAltName, der.sequence()))],
    [
      'a negative path length',
      withExtensions(extension(OID.basicConstraints, der.sequence(der.boolean(true), der.integer(-1)))),
    ],
    ['a purpose list without purpose', withExtensions(extension(OID.extKeyUsage, der.sequence()))],
    [
      'octets behind an extension value',
      withExtensions(extension(OID.keyUsage, Buffer.concat([der.namedBits([0]), Buffer.of(0)]))),
    ],
    ['octets behind it', Buffer.concat([certificate, Buffer.of(0)])],
    [
      'another algorithm outside than inside (X01)',
      der.sequence(readCertificate(certificate).tbs, signatureAlgorithm('ec-p256').der, der.bitString(Buffer.of(1))),
    ],
  ])('refuses %s as malformed', (_, bytes) => {
    expect(() => readCertificate(bytes)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });

  it('prints the issuer as RFC 4514 does', () => {
    expect(nameToString(readCertificate(certificate).issuer)).toBe('CN=Example Issuing CA,O=Example Testing,C=US');
    expect(encodeName(readCertificate(certificate).issuer)).toEqual(readCertificate(root).subjectDer);
  });
});
