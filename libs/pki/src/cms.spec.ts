import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Crypto } from '@peculiar/webcrypto';
import * as x509 from '@peculiar/x509';
import * as pkijs from 'pkijs';
import { certsOnly, readCertsOnly } from './cms.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { assembleCertificate, prepareCertificate } from './prepare.js';
import { signBytes } from './signature.js';
import { deviceRules, deviceTemplate, generateKey } from './testing/issuing.js';

x509.cryptoProvider.set(new Crypto());

const ca = generateKey('ec-p256');
const certificates = ['01', '02', '03'].map((epoch) => {
  const template = { ...deviceTemplate(ca, generateKey('ec-p256').publicKey), serial: epoch + '5a'.repeat(16) };
  const tbs = prepareCertificate(template, deviceRules(ca)).consume();
  return assembleCertificate(tbs, signBytes('ec-p256', ca.privateKey, tbs), ca.publicKey);
});
const sorted = [...certificates].sort(Buffer.compare);

describe('certs-only', () => {
  it('is a SignedData of version 1 without signers, digests and content (E30)', () => {
    const content = pkijs.ContentInfo.fromBER(certsOnly(certificates));
    expect(content.contentType).toBe(OID.signedData);
    const signed = new pkijs.SignedData({ schema: content.content });
    expect(signed).toMatchObject({ version: 1, digestAlgorithms: [], signerInfos: [] });
    expect(signed.encapContentInfo.eContentType).toBe(OID.data);
    expect(signed.encapContentInfo.eContent).toBeUndefined();
    expect(signed.crls).toBeUndefined();
    expect(signed.certificates?.map((c) => Buffer.from(c.toSchema().toBER()))).toEqual(sorted);
  });

  it('is encoded by pkijs to the same bytes (Q02)', () => {
    const ours = certsOnly(certificates);
    const content = pkijs.ContentInfo.fromBER(ours);
    content.content = new pkijs.SignedData({ schema: content.content }).toSchema(true);
    expect(Buffer.from(content.toSchema().toBER())).toEqual(ours);
  });

  it('is read by @peculiar/x509', () => {
    const [first] = sorted as [Buffer];
    expect(new x509.X509Certificates(certsOnly([first])).map((c) => Buffer.from(c.rawData))).toEqual([first]);
  });

  it('has its certificates in DER order whatever the order they came in, and gives them back', () => {
    expect(certsOnly([...certificates].reverse())).toEqual(certsOnly(certificates));
    expect(readCertsOnly(certsOnly(certificates))).toEqual(sorted);
    expect(readCertsOnly(certsOnly([]))).toEqual([]);
  });

  it.each([
    ['another content type', der.sequence(der.oid(OID.data), der.constructed(0, der.sequence()))],
    ['octets behind it', Buffer.concat([certsOnly(certificates), Buffer.of(0)])],
    ['nothing', Buffer.alloc(0)],
  ])('is malformed with %s', (_, bytes) => {
    expect(() => readCertsOnly(bytes)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});
