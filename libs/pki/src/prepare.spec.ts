import { describe, expect, it } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import { readCertificate } from './certificate.js';
import { der } from './der/write.js';
import { lintCertificate, type LintRules } from './lint.js';
import { assembleCertificate, prepareCertificate, restoreCertificate } from './prepare.js';
import { signBytes } from './signature.js';
import { buildTbs } from './template.js';
import {
  deviceRules,
  deviceTemplate,
  generateKey,
  rootRules,
  rootTemplate,
  SIGNING_KEY_TYPES,
} from './testing/issuing.js';

const ca = generateKey('ec-p256');
const device = generateKey('ec-p256');
const template = deviceTemplate(ca, device.publicKey);
const rules = deviceRules(ca);

describe('prepareCertificate', () => {
  it('hands its bytes out once (invariant 2)', () => {
    const prepared = prepareCertificate(template, rules);
    expect(prepared).toMatchObject({
      serial: template.serial,
      notBefore: template.notBefore,
      notAfter: template.notAfter,
    });
    expect(prepared.consume()).toEqual(buildTbs(template));
    expect(() => prepared.consume()).toThrow(expect.objectContaining({ kind: 'internal', code: 'consumed' }));
  });

  it('keeps its bytes from whoever holds the token', () => {
    const prepared = prepareCertificate(template, rules);
    prepared.tbs.fill(0);
    const first = prepared.consume();
    expect(first).toEqual(buildTbs(template));
  });

  it('refuses what breaks the rules, and tells which only inside', () => {
    let refusal: unknown;
    try {
      prepareCertificate({ ...template, keyUsage: ['keyCertSign'] }, rules);
    } catch (error) {
      refusal = error;
    }
    if (!isAuthorityError(refusal, 'internal')) throw new Error('it was not refused');
    expect(refusal.code).toBe('lint');
    expect(String(refusal.cause)).toContain('X15.certSign');
    expect(refusal.detail).not.toContain('X15');
  });

  it.each([
    ['a serial of 21 octets', { serial: '01'.repeat(21) }],
    ['a serial that is no hex', { serial: '0x01' }],
    ['an app id that is no UUID', { appId: 'app' }],
    ['an empty name', { subject: [[{ type: '2.5.4.3', value: '' }]] }],
  ])('refuses %s as invalid', (_, part) => {
    expect(() => prepareCertificate({ ...template, ...part }, rules)).toThrow(
      expect.objectContaining({ kind: 'invalid' }),
    );
  });

  it('refuses an issuer key that issues nothing', () => {
    const issuer = { ...template.issuer, keyType: 'rsa-other' } as const;
    expect(() => prepareCertificate({ ...template, issuer }, rules)).toThrow(
      expect.objectContaining({ kind: 'internal' }),
    );
  });
});

describe('restoreCertificate', () => {
  it.each(SIGNING_KEY_TYPES)('gives the same token for stored bytes, of device and root (%s)', (keyType) => {
    const signer = generateKey(keyType);
    const stored = prepareCertificate(deviceTemplate(signer, device.publicKey), deviceRules(signer)).consume();
    const restored = restoreCertificate(stored, deviceRules(signer));
    expect(restored.serial).toBe(template.serial);
    expect(restored.consume()).toEqual(stored);
    const root = prepareCertificate(rootTemplate(signer), rootRules()).consume();
    expect(restoreCertificate(root, rootRules()).consume()).toEqual(root);
  });

  it('lints again: bytes that were changed or no longer fit are refused', () => {
    const stored = buildTbs(template);
    const narrower: LintRules = { ...rules, maxValiditySeconds: 60 };
    expect(() => restoreCertificate(stored, narrower)).toThrow(expect.objectContaining({ code: 'lint' }));
    const otherIssuer = deviceRules(generateKey('ec-p256'));
    expect(() => restoreCertificate(stored, otherIssuer)).toThrow(expect.objectContaining({ code: 'lint' }));
    expect(() => restoreCertificate(stored, deviceRules(generateKey('ec-p384')))).toThrow(
      expect.objectContaining({ code: 'lint' }),
    );
    for (const broken of [stored.subarray(1), Buffer.alloc(0), der.sequence(), Buffer.concat([stored, Buffer.of(0)])]) {
      expect(() => restoreCertificate(broken, rules)).toThrow(/./);
      expect(() => restoreCertificate(broken, rootRules())).toThrow(/./);
    }
  });
});

describe('assembleCertificate', () => {
  it.each(SIGNING_KEY_TYPES)('keeps the TBS byte for byte and passes lint (%s)', (keyType) => {
    const signer = generateKey(keyType);
    const tbs = prepareCertificate(deviceTemplate(signer, device.publicKey), deviceRules(signer)).consume();
    const certificate = assembleCertificate(tbs, signBytes(keyType, signer.privateKey, tbs), signer.publicKey);
    expect(readCertificate(certificate).tbs).toEqual(tbs);
    expect(lintCertificate(certificate, deviceRules(signer))).toEqual([]);
  });

  it('releases no certificate whose signature does not verify', () => {
    const tbs = buildTbs(template);
    const signature = signBytes('ec-p256', ca.privateKey, tbs);
    const flipped = Buffer.from(signature);
    flipped[flipped.length - 1] = (flipped[flipped.length - 1] as number) ^ 1;
    const otherTbs = buildTbs({ ...template, serial: `02${'5a'.repeat(16)}` });
    const refused = expect.objectContaining({ kind: 'internal', code: 'badSignature' });
    expect(() => assembleCertificate(tbs, flipped, ca.publicKey)).toThrow(refused);
    expect(() => assembleCertificate(otherTbs, signature, ca.publicKey)).toThrow(refused);
    expect(() => assembleCertificate(tbs, signature, generateKey('ec-p256').publicKey)).toThrow(refused);
  });

  it('releases no certificate that names another algorithm than its issuer has', () => {
    const other = generateKey('ec-p384');
    const tbs = buildTbs(template);
    expect(() => assembleCertificate(tbs, signBytes('ec-p384', other.privateKey, tbs), other.publicKey)).toThrow(
      expect.objectContaining({ code: 'badSignature' }),
    );
  });
});
