import 'reflect-metadata';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes, webcrypto } from 'node:crypto';
import { fromBER, OctetString } from 'asn1js';
import * as pkijs from 'pkijs';
import type { CmsRecipient, KeyWrap } from './cms-recipient.js';
import { contentInfo, encodeSignedData } from './cms-signed.js';
import { readSignedData, verifySigner } from './cms-signed-read.js';
import { DerReader } from './der/read.js';
import { sealKeyPackage } from './key-package.js';
import { OID } from './oids.js';
import { certify, type Member } from './testing/chain.js';
import { generateKey, NOT_BEFORE, SIGNING_KEY_TYPES } from './testing/issuing.js';

const toArrayBuffer = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer;
const PKCS8 = generateKey('ec-p256').privateKey.export({ type: 'pkcs8', format: 'der' });
let generator: Member;

beforeAll(() => {
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }));
  generator = certify(undefined, 'generator', { keys: generateKey('ec-p256') });
});

const signerOf = ({ certificate, keys }: Member) => ({ certificate, privateKey: keys.privateKey });

function seal(recipient: CmsRecipient, wrap: KeyWrap, cipher: 'aes128-cbc' | 'aes256-cbc' = 'aes256-cbc'): Buffer {
  return sealKeyPackage({
    pkcs8: PKCS8,
    signer: signerOf(generator),
    signingTime: NOT_BEFORE,
    recipient,
    wrap,
    cipher,
  });
}

function envelopedOf(message: Buffer): pkijs.EnvelopedData {
  const info = new pkijs.ContentInfo({ schema: fromBER(toArrayBuffer(message)).result });
  expect(info.contentType).toBe('1.2.840.113549.1.7.3');
  return new pkijs.EnvelopedData({ schema: info.content });
}

/** The one key in the package, by pkijs and then by our own reader, with the generator's signature checked by both. */
async function openPackage(clear: ArrayBuffer): Promise<Buffer> {
  const signed = contentInfo(OID.signedData, Buffer.from(clear));
  const theirs = new pkijs.SignedData({ schema: fromBER(clear).result });
  expect(await theirs.verify({ signer: 0 })).toBe(true);
  const message = readSignedData(signed);
  expect(message.contentType).toBe('2.16.840.1.101.2.1.2.78.5');
  expect(verifySigner(message, message.signers[0]!, generator.certificate.publicKey)).toBe(true);
  const keys = DerReader.openSequence(message.content, 'key package');
  const key = keys.element();
  keys.finish();
  return key;
}

describe('a private key on its way to one recipient (RFC 7030 section 4.4.2)', () => {
  it.each([
    ['aes128-wrap', 16, 'aes128-cbc'],
    ['aes256-wrap', 32, 'aes256-cbc'],
    ['aes256-wrap', 32, 'aes128-cbc'],
  ] as const)(
    'is opened by pkijs with the symmetric key: kekri of version 4, %s (E104, E105)',
    async (wrap, size, cipher) => {
      const key = randomBytes(size);
      const keyIdentifier = Buffer.from('key 7');
      const enveloped = envelopedOf(seal({ kind: 'symmetric', keyIdentifier, key }, wrap, cipher));
      expect(enveloped.version).toBe(2);
      const kekri = enveloped.recipientInfos[0]?.value as pkijs.KEKRecipientInfo;
      expect(kekri.version).toBe(4);
      expect(Buffer.from((kekri.kekid?.keyIdentifier as OctetString).valueBlock.valueHexView)).toEqual(keyIdentifier);
      const clear = await enveloped.decrypt(0, { preDefinedData: toArrayBuffer(key) });
      expect(await openPackage(clear)).toEqual(PKCS8);
      const other = randomBytes(size);
      await expect(enveloped.decrypt(0, { preDefinedData: toArrayBuffer(other) })).rejects.toThrow();
    },
  );

  it.each([
    ['rsa-2048', 'rsa-oaep'],
    ['ec-p256', 'aes128-wrap'],
    ['ec-p384', 'aes256-wrap'],
    ['ec-p521', 'aes256-wrap'],
  ] as const)('is opened by pkijs with the key of a certificate: %s, %s (E104, E105)', async (keyType, wrap) => {
    const recipient = certify(undefined, 'device', { keys: generateKey(keyType) });
    const enveloped = envelopedOf(seal({ kind: 'certificate', certificate: recipient.certificate }, wrap));
    expect(enveloped.version).toBe(keyType === 'rsa-2048' ? 0 : 2);
    const clear = await enveloped.decrypt(0, {
      recipientCertificate: pkijs.Certificate.fromBER(toArrayBuffer(recipient.certificate.der)),
      recipientPrivateKey: toArrayBuffer(recipient.keys.privateKey.export({ type: 'pkcs8', format: 'der' })),
    });
    expect(await openPackage(clear)).toEqual(PKCS8);
  });

  it('is not encrypted to a key that only signs, nor wrapped in another way than the key takes (E107)', () => {
    const unusable = expect.objectContaining({ kind: 'invalid', code: 'unusableKey' });
    const to = (keyType: 'ed25519' | 'rsa-2048' | 'ec-p256'): CmsRecipient => ({
      kind: 'certificate',
      certificate: certify(undefined, 'device', { keys: generateKey(keyType) }).certificate,
    });
    expect(() => seal(to('ed25519'), 'aes256-wrap')).toThrow(unusable);
    expect(() => seal(to('rsa-2048'), 'aes256-wrap')).toThrow(unusable);
    expect(() => seal(to('ec-p256'), 'rsa-oaep')).toThrow(unusable);
    const symmetric: CmsRecipient = { kind: 'symmetric', keyIdentifier: Buffer.of(1), key: randomBytes(16) };
    expect(() => seal(symmetric, 'aes256-wrap')).toThrow(unusable);
  });

  it('holds nothing of the key in clear', () => {
    const message = seal({ kind: 'symmetric', keyIdentifier: Buffer.of(1), key: randomBytes(32) }, 'aes256-wrap');
    expect(message.includes(PKCS8.subarray(40, 60))).toBe(false);
  });
});

describe('SignedData', () => {
  it.each(SIGNING_KEY_TYPES)('of a signer with a key of type %s verifies with it and no other', (keyType) => {
    const member = certify(undefined, 'signer', { keys: generateKey(keyType) });
    const content = Buffer.from('content');
    const der = contentInfo(
      OID.signedData,
      encodeSignedData({ contentType: OID.pkiData, content, signer: signerOf(member), signingTime: NOT_BEFORE }),
    );
    const message = readSignedData(der);
    expect(message).toMatchObject({ contentType: OID.pkiData, content });
    expect(message.certificates).toEqual([member.certificate.der]);
    const signer = message.signers[0]!;
    expect(signer).toMatchObject({ serial: member.certificate.serial, signingTime: NOT_BEFORE });
    expect(verifySigner(message, signer, member.certificate.publicKey)).toBe(true);
    expect(verifySigner(message, signer, generateKey(keyType).publicKey)).toBe(false);
    const altered = { ...message, content: Buffer.from('Content') };
    expect(verifySigner(altered, signer, member.certificate.publicKey)).toBe(false);
    const renamed = { ...message, contentType: OID.pkiResponse };
    expect(verifySigner(renamed, signer, member.certificate.publicKey)).toBe(false);
  });

  it('with bytes changed anywhere is malformed, or verifies no more', () => {
    const der = contentInfo(
      OID.signedData,
      encodeSignedData({
        contentType: OID.pkiData,
        content: Buffer.from('content'),
        signer: signerOf(generator),
        signingTime: NOT_BEFORE,
      }),
    );
    const start = der.indexOf(Buffer.from('content'));
    for (let at = 0; at < der.length; at++) {
      const altered = Buffer.from(der);
      altered[at] = (altered[at] as number) ^ 0x01;
      let verified = false;
      try {
        const message = readSignedData(altered);
        verified = verifySigner(message, message.signers[0]!, generator.certificate.publicKey);
      } catch (error) {
        expect(['malformed', 'invalid', 'tooLarge']).toContain((error as { kind?: string }).kind);
      }
      if (at >= start && at < start + 7) expect(verified).toBe(false);
    }
  });
});
