import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { CRLDistributionPointsExtension, X509Certificate, X509Crl } from '@peculiar/x509';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { isAuthorityError } from '#kernel';
import { readCrl, verifyCrl } from './crl-read.js';
import type { CrlReason } from './crl.js';
import { CRL_REASON_CODES } from './crl.js';
import type { CrlTemplate } from './crl-write.js';
import { assembleCrl, CrlTbsWriter, encodeCrlTbs } from './crl-write.js';
import { encodeDistributionPoint } from './certificate-extensions.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { signatureAlgorithm, signBytes } from './signature.js';
import { authority, certify, entry, extension, signCrl } from './testing/chain.js';
import { generateKey, NOT_BEFORE, seededNumbers, secondsLater } from './testing/issuing.js';

const ca = certify(undefined, 'CA', { keys: generateKey('ec-p256'), extensions: authority() });
const template = (changes: Partial<CrlTemplate> = {}): CrlTemplate => ({
  issuer: {
    subjectDer: ca.certificate.subjectDer,
    keyId: ca.keys.publicKey.keyId,
    keyType: ca.keys.publicKey.keyType,
  },
  number: 7n,
  thisUpdate: NOT_BEFORE,
  nextUpdate: secondsLater(NOT_BEFORE, 86_400),
  distributionPoint: undefined,
  entries: [],
  ...changes,
});
const SHARD = 'http://status.example.org/crl/1/0.crl';
const LATE = new Date('2050-01-01T00:00:00Z');

function independent(crl: Buffer): { pki: pkijs.CertificateRevocationList; peculiar: X509Crl } {
  const pki = pkijs.CertificateRevocationList.fromBER(new Uint8Array(crl));
  // Q02: what the second library understood encodes to the same octets again.
  expect(Buffer.from(pki.toSchema(true).toBER()).equals(crl)).toBe(true);
  return { pki, peculiar: new X509Crl(new Uint8Array(crl)) };
}

describe('a CRL that we write', () => {
  it('is v2, with the issuer name byte for byte and one algorithm inside and outside (C01)', async () => {
    const crl = signCrl(ca, [entry('01aa')]);
    const { pki, peculiar } = independent(crl);
    expect(pki.version).toBe(1);
    expect(Buffer.from(pki.issuer.toSchema().toBER()).equals(ca.certificate.subjectDer)).toBe(true);
    expect(pki.signature.algorithmId).toBe(pki.signatureAlgorithm.algorithmId);
    expect(await peculiar.verify({ publicKey: new X509Certificate(new Uint8Array(ca.certificate.der)) })).toBe(true);
    expect(verifyCrl(readCrl(crl), ca.keys.publicKey)).toBe(true);
    expect(verifyCrl(readCrl(crl), generateKey('ec-p256').publicKey)).toBe(false);
    const other = signatureAlgorithm('ed25519').der;
    expect(() => assembleCrl(encodeCrlTbs(template()), other, Buffer.alloc(64))).toThrow('another signature algorithm');
  });

  it('states both updates, as UTCTime to 2049 and GeneralizedTime from 2050 on (C02)', () => {
    const last = new Date('2049-12-31T23:59:59Z');
    const { pki } = independent(signCrl(ca, [], { thisUpdate: last, nextUpdate: LATE }));
    expect([pki.thisUpdate.type, pki.nextUpdate?.type]).toEqual([0, 1]);
    expect([pki.thisUpdate.value, pki.nextUpdate?.value]).toEqual([last, LATE]);
    expect(() => encodeCrlTbs(template({ nextUpdate: NOT_BEFORE }))).toThrow('nextUpdate');
  });

  it('leaves the list of entries out when there are none (C03)', () => {
    const crl = signCrl(ca, []);
    expect(independent(crl).pki.revokedCertificates).toBeUndefined();
    expect(readCrl(crl).entryCount).toBe(0);
    const tbs = encodeCrlTbs(template());
    const emptyList = der.sequence();
    const times = 2 * 15;
    const at = 3 + signatureAlgorithm('ec-p256').der.length + ca.certificate.subjectDer.length + times;
    const content = tbs.subarray(tbs.length < 130 ? 2 : 3);
    const bad = der.sequence(content.subarray(0, at), emptyList, content.subarray(at));
    const signed = assembleCrl(bad, signatureAlgorithm('ec-p256').der, Buffer.alloc(70));
    expect(() => readCrl(signed)).toThrow('empty list of entries');
  });

  it('carries key identifier and number, neither critical, of at most 20 octets (C04, C05)', () => {
    const number = (1n << 159n) - 1n;
    const crl = readCrl(signCrl(ca, [], { number }));
    expect(crl.authorityKeyId?.equals(ca.keys.publicKey.keyId)).toBe(true);
    expect(crl.number).toBe(number);
    expect([...crl.extensions.values()].map((one) => [one.oid, one.critical])).toEqual([
      [OID.cRLNumber, false],
      [OID.authorityKeyIdentifier, false],
    ]);
    expect(() => encodeCrlTbs(template({ number: 1n << 159n }))).toThrow('20 octets');
    expect(() => encodeCrlTbs(template({ number: -1n }))).toThrow('negative');
  });

  it('marks a delta by a critical indicator of its base (C07) and names it from complete CRLs only (C11)', () => {
    const delta = readCrl(signCrl(ca, [entry('01aa', { reason: 'removeFromCRL' })], { deltaBase: 6n }));
    expect(delta.deltaBase).toBe(6n);
    expect(delta.extensions.get(OID.deltaCRLIndicator)?.critical).toBe(true);
    const freshest = readCrl(signCrl(ca, [], { freshestCrlUri: SHARD })).extensions.get(OID.freshestCRL);
    expect(freshest?.critical).toBe(false);
    expect(freshest?.value.equals(encodeDistributionPoint(SHARD))).toBe(true);
    expect(() => encodeCrlTbs(template({ deltaBase: 6n, freshestCrlUri: SHARD }))).toThrow('delta');
    expect(() => encodeCrlTbs(template({ deltaBase: 7n }))).toThrow('lower number');
  });

  it('writes reasons as ENUMERATED, unspecified by absence, removeFromCRL in deltas only (C10)', () => {
    const names = (Object.keys(CRL_REASON_CODES) as CrlReason[]).filter((name) => name !== 'removeFromCRL');
    const entries = names.map((reason, i) => entry(`01${(0xa0 + i).toString(16)}`, { reason }));
    const { pki, peculiar } = independent(signCrl(ca, entries));
    const written = pki.revokedCertificates?.map((one) => one.crlEntryExtensions?.extensions[0]?.extnValue.toBER());
    expect(written?.[0]).toBeUndefined();
    expect(peculiar.entries.slice(1).map((one) => one.reason)).toEqual(names.slice(1).map((n) => CRL_REASON_CODES[n]));
    expect(() => encodeCrlTbs(template({ entries: [entry('01aa', { reason: 'removeFromCRL' })] }))).toThrow('delta');
  });

  it('writes invalidityDate as GeneralizedTime in any year, revocationDate by the split of 2050 (C12)', () => {
    const invalidityDate = new Date('2029-06-01T12:00:00Z');
    const crl = signCrl(ca, [entry('01aa', { invalidityDate }), entry('01ab', { revokedAt: LATE, invalidityDate })]);
    const { pki, peculiar } = independent(crl);
    expect(pki.revokedCertificates?.map((one) => one.revocationDate.type)).toEqual([0, 1]);
    expect(peculiar.entries.map((one) => one.invalidity)).toEqual([invalidityDate, invalidityDate]);
    expect(crl.includes(Buffer.from('20290601120000Z'))).toBe(true);
    expect([...readCrl(crl).entries()].map((one) => one.invalidityDate)).toEqual([invalidityDate, invalidityDate]);
  });

  it('has a critical IDP that says something, byte-equal to the certificates of its shard (C16, C17)', () => {
    const crl = readCrl(signCrl(ca, [], { distributionPoint: SHARD }));
    const idp = crl.extensions.get(OID.issuingDistributionPoint);
    expect(idp?.critical).toBe(true);
    expect(crl.distributionPoint).toBe(SHARD);
    const value = encodeDistributionPoint(SHARD);
    expect(value.subarray(4).equals((idp?.value as Buffer).subarray(2))).toBe(true);
    const theirs = new CRLDistributionPointsExtension(
      der.sequence(der.oid(OID.cRLDistributionPoints), der.octetString(value)),
    );
    expect(theirs.distributionPoints[0]?.distributionPoint?.fullName?.[0]?.uniformResourceIdentifier).toBe(SHARD);
    expect(() => encodeCrlTbs(template({ distributionPoint: 'http://exämple/' }))).toThrow('ASCII');
  });

  it('covers everything without IDP, or sets the flag of its kind of certificates (C19)', () => {
    expect(readCrl(signCrl(ca, [])).issuingDistributionPoint).toBeUndefined();
    const user = readCrl(signCrl(ca, [], { scope: 'user' })).issuingDistributionPoint;
    const caOnly = readCrl(signCrl(ca, [], { scope: 'ca' })).issuingDistributionPoint;
    expect([user?.onlyContainsUserCerts, user?.onlyContainsCACerts]).toEqual([true, false]);
    expect([caOnly?.onlyContainsUserCerts, caOnly?.onlyContainsCACerts]).toEqual([false, true]);
  });

  it.each(['', '00', '0', 'zz', '80', '0001', `01${'00'.repeat(20)}`])('refuses serial "%s" (X02)', (serial) => {
    expect(() => encodeCrlTbs(template({ entries: [entry(serial)] }))).toThrow('serial');
  });

  it('refuses dates that have no encoding, and to be used twice', () => {
    expect(() => encodeCrlTbs(template({ entries: [entry('01aa', { revokedAt: new Date(NaN) })] }))).toThrow('date');
    const writer = new CrlTbsWriter(template());
    writer.finish();
    expect(() => writer.finish()).toThrow('finished');
    expect(() => writer.add(entry('01aa'))).toThrow('finished');
  });

  it.each(['rsa-2048', 'ed25519', 'ml-dsa-44'] as const)('verifies under a %s key', (keyType) => {
    const issuer = certify(undefined, 'CA', { keys: generateKey(keyType), extensions: authority() });
    expect(verifyCrl(readCrl(signCrl(issuer, [entry('01aa')])), issuer.keys.publicKey)).toBe(true);
  });
});

describe('a CRL that we read', () => {
  it('gives the entries back as they were written, by order and by serial', () => {
    const entries = [entry('01aa', { reason: 'keyCompromise' }), entry('00ff'), entry('01ab', { revokedAt: LATE })];
    const crl = readCrl(signCrl(ca, entries));
    const issuerDer = ca.certificate.subjectDer;
    expect([...crl.entries()]).toMatchObject(entries.map((one) => ({ ...one, issuerDer })));
    expect(crl.find('01aa')?.reason).toBe('keyCompromise');
    expect(crl.find('ff')).toBeUndefined();
    expect(crl.find('01aa', certify(undefined, 'Other').certificate.subjectDer)).toBeUndefined();
  });

  it('is not to be used when a critical extension is unknown', () => {
    const strange = extension('1.2.3.4', der.null(), true);
    const alg = signatureAlgorithm('ec-p256').der;
    const time = der.time(NOT_BEFORE);
    const extensions = der.sequence(
      der.sequence(der.oid(strange.oid), der.boolean(true), der.octetString(strange.value)),
    );
    const base = [der.integer(1), alg, ca.certificate.subjectDer, time, time];
    const inHead = der.sequence(...base, der.constructed(0, extensions));
    const inEntry = der.sequence(...base, der.sequence(der.sequence(der.integer(5), time, extensions)));
    expect(readCrl(assembleCrl(inHead, alg, Buffer.alloc(1))).unusable).toContain('1.2.3.4');
    expect(readCrl(assembleCrl(inEntry, alg, Buffer.alloc(1))).unusable).toContain('1.2.3.4');
  });

  it('throws nothing but malformed and tooLarge on 6,000 mutants, and verifies none that differs (seed crl-1)', () => {
    const good = signCrl(ca, [entry('01aa', { reason: 'superseded', invalidityDate: NOT_BEFORE }), entry('01ab')], {
      distributionPoint: SHARD,
      deltaBase: 3n,
    });
    const next = seededNumbers('crl-1');
    let refused = 0;
    for (let i = 0; i < 6000; i++) {
      const mutant = Buffer.from(good);
      for (let flips = 1 + next(3); flips > 0; flips--) mutant[next(mutant.length)] = next(256);
      const sample = next(10) === 0 ? mutant.subarray(0, next(mutant.length)) : mutant;
      try {
        const crl = readCrl(sample);
        expect([...crl.entries()]).toHaveLength(crl.entryCount);
        if (!sample.equals(good) && !crl.tbs.equals(readCrl(good).tbs)) {
          expect(verifyCrl(crl, ca.keys.publicKey)).toBe(false);
        }
      } catch (error) {
        if (!isAuthorityError(error, 'malformed') && !isAuthorityError(error, 'tooLarge')) throw error;
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(3000);
  });
});

describe('100,000 entries', () => {
  function* many(count: number): Generator<ReturnType<typeof entry>> {
    for (let i = 0; i < count; i++) {
      const serial = `01${i.toString(16).padStart(32, '0')}`;
      yield entry(serial, i % 2 === 0 ? { reason: 'superseded' } : { invalidityDate: NOT_BEFORE });
    }
  }

  it('are encoded in less than 1 s and 60 MB of additional memory, and read back', () => {
    encodeCrlTbs(template({ entries: many(1000) }));
    const writer = new CrlTbsWriter(template());
    const memory = (): number => {
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = memory();
    let peak = before;
    const start = performance.now();
    for (const one of many(100_000)) {
      writer.add(one);
      if (writer.count % 5000 === 0) peak = Math.max(peak, memory());
    }
    const tbs = writer.finish();
    const ms = performance.now() - start;
    peak = Math.max(peak, memory());
    const megabytes = (peak - before) / 1e6;
    process.stdout.write(
      `CRL of 100,000 entries: ${ms.toFixed(0)} ms, +${megabytes.toFixed(1)} MB, ${tbs.length} octets\n`,
    );
    expect(ms).toBeLessThan(1000);
    expect(megabytes).toBeLessThan(60);

    const signature = signBytes('ec-p256', ca.keys.privateKey, tbs);
    const crl = readCrl(assembleCrl(tbs, signatureAlgorithm('ec-p256').der, signature));
    expect(crl.entryCount).toBe(100_000);
    expect(verifyCrl(crl, ca.keys.publicKey)).toBe(true);
    expect(crl.find(`01${(99_999).toString(16).padStart(32, '0')}`)?.invalidityDate).toEqual(NOT_BEFORE);
  });

  it('are read by asn1js as well, entry for entry (900 of them, since it stops at 10,000 nodes)', () => {
    const crl = signCrl(ca, many(900));
    const parsed = asn1js.fromBER(new Uint8Array(crl));
    expect(parsed.offset).toBe(crl.length);
    expect(new pkijs.CertificateRevocationList({ schema: parsed.result }).revokedCertificates).toHaveLength(900);
  });
});
