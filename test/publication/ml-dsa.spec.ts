import { verify, type KeyObject } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readCertificate, readCrl, readOcspResponse, validatePath, verifyBytes, verifyCrl } from '#pki';
import { crlName, publishCrl, publishNeededCrls, publishOcspAnswer } from '#publication';
import { findArtifact } from '#store';
import { startInstance, type PublishingInstance } from './instance.js';

let instance: PublishingInstance;
beforeAll(async () => {
  instance = await startInstance({ caKeyType: 'ml-dsa-87', shards: 1 });
});
afterAll(() => instance.close());

/** FIPS 204 table 2, and RFC 9881 section 4 with its head. */
const SIGNATURE_OCTETS = 4627;
const SPKI_OCTETS = 2614;

/** Of `SEQUENCE { body, algorithm, BIT STRING }`, taken apart without our reader and judged by OpenSSL alone. */
function verifiesByOpenSsl(signed: Buffer, key: KeyObject): boolean {
  const [outer] = header(signed, 0);
  const [inner, length] = header(signed, outer);
  return verify(null, signed.subarray(outer, inner + length), key, signed.subarray(-SIGNATURE_OCTETS));
}

/** Where the content of a long element begins, and its length. */
function header(der: Buffer, at: number): [from: number, length: number] {
  const octets = (der[at + 1] as number) & 0x7f;
  return [at + 2 + octets, der.readUIntBE(at + 2, octets)];
}

describe('an authority with ML-DSA-87 keys (P50, P55)', () => {
  test('has a root and an issuing CA that verify, by our path validation and by OpenSSL', () => {
    const { root, issuing } = instance;
    expect([root.publicKey.keyType, issuing.publicKey.keyType]).toEqual(['ml-dsa-87', 'ml-dsa-87']);
    expect(root.publicKey.spki).toHaveLength(SPKI_OCTETS);
    const result = validatePath({
      leaf: readCertificate(issuing.certificate),
      intermediates: [],
      anchors: [{ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'own' }],
      at: instance.clock.now(),
    });
    expect(result).toMatchObject({ ok: true });
    for (const der of [root.certificate, issuing.certificate]) {
      expect(verifiesByOpenSsl(der, root.publicKey.keyObject)).toBe(true);
      expect(verifiesByOpenSsl(der, issuing.publicKey.keyObject)).toBe(false);
    }
  });

  test('signs CRLs that list what is revoked (C01)', async () => {
    const serial = await instance.issue();
    await instance.change(serial, 'revoked', 'keyCompromise');
    await publishNeededCrls(instance.publisher, instance.root);
    await publishCrl(instance.publisher, instance.issuing, 'full');
    const artifact = await instance.owner.transaction((tx) => findArtifact(tx, crlName(instance.issuing.id, 'full')));
    const crl = readCrl(artifact!.bytes);
    expect(verifyCrl(crl, instance.issuing.publicKey)).toBe(true);
    expect(verifyCrl(crl, instance.root.publicKey)).toBe(false);
    expect([...crl.entries()].map((entry) => entry.serial)).toEqual([serial]);
    expect(verifiesByOpenSsl(artifact!.bytes, instance.issuing.publicKey.keyObject)).toBe(true);
  });

  test('has OCSP answered by a delegate with another algorithm, for which its key vouches (P55)', async () => {
    const serial = await instance.issue();
    await publishOcspAnswer(instance.publisher, [instance.root, instance.issuing], serial);
    const [row] = await instance.owner.rows<{ der: Buffer }>(`select der from ocsp_answers where serial = $1`, [
      Buffer.from(serial, 'hex'),
    ]);
    const response = readOcspResponse(row!.der);
    const [certificate] = response.certificates;
    const delegate = readCertificate(certificate!);
    expect(delegate.publicKey.keyType).toBe('ec-p256');
    const { signatureAlgorithmDer, tbs, signature } = delegate;
    expect(verifyBytes(signatureAlgorithmDer, instance.issuing.publicKey.keyObject, tbs, signature)).toBe(true);
    expect(response.responses[0]?.status).toMatchObject({ status: 'good' });
  });
});
