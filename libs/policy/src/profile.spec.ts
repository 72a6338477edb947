import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { addSeconds, loadConfig } from '#kernel';
import {
  encodeName,
  newSerial,
  OID,
  prepareCertificate,
  readPublicKey,
  type KeyType,
  type SubjectPublicKey,
} from '#pki';
import { ekuOf, keyUsageOf, lintRules, validity } from './profile.js';
import { profiles, SHIPPED_PROFILES } from './shipped-profiles.js';

const NOW = new Date('2026-03-01T12:00:00.900Z');
const all = profiles(loadConfig({}).lifetimes);
const names = SHIPPED_PROFILES;

describe('profiles', () => {
  test('of end entities sign and authenticate only what their name says', () => {
    expect(all.device).toMatchObject({
      ca: false,
      keyUsage: ['digitalSignature'],
      eku: [OID.clientAuth],
      san: [{ type: 'uuid', min: 1, max: 1 }],
    });
    expect(all['tls-server']).toMatchObject({
      ca: false,
      keyUsage: ['digitalSignature'],
      eku: [OID.serverAuth],
    });
    expect(all['ocsp-responder']).toMatchObject({
      ca: false,
      eku: [OID.ocspSigning],
      ocspNoCheck: true,
      revocation: 'none',
    });
  });

  test('of CAs sign certificates and CRLs only, and the issuing CA no further CA', () => {
    for (const name of ['root-ca', 'issuing-ca'] as const) {
      expect(all[name]).toMatchObject({ ca: true, keyUsage: ['keyCertSign', 'cRLSign'], eku: [] });
    }
    expect(all['issuing-ca'].pathLen).toBe(0);
  });

  test('only the one for OCSP signers carries ocsp-nocheck', () => {
    expect(names.filter((name) => all[name].ocspNoCheck)).toEqual(['ocsp-responder']);
  });

  test('take their lengths of life from the settings', () => {
    const { lifetimes } = loadConfig({ TOUCHMARK_DEVICE_CERTIFICATE_SECONDS: '7200' });
    expect(profiles(lifetimes).device.validitySeconds).toBe(7200);
  });
});

const generated = (keyType: KeyType): SubjectPublicKey => {
  const { publicKey } = keyType.startsWith('ec-')
    ? generateKeyPairSync('ec', { namedCurve: keyType.replace('ec-p', 'P-') })
    : generateKeyPairSync(keyType as 'ml-dsa-44');
  return readPublicKey(publicKey.export({ type: 'spki', format: 'der' }));
};
const PQ_SIGNATURES = ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const;
const PQ_KEMS = ['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const;

describe('what a key can be used for', () => {
  test('ML-DSA signs, whatever else the profile allows (P51)', () => {
    for (const keyType of PQ_SIGNATURES) {
      expect(keyUsageOf(all['im-user'], keyType)).toEqual(['digitalSignature']);
      expect(keyUsageOf(all['issuing-ca'], keyType)).toEqual(['keyCertSign', 'cRLSign']);
      expect(ekuOf(all['im-user'], keyType)).toEqual(all['im-user'].eku);
    }
  });

  test('ML-KEM enciphers keys and nothing else, for purposes that this serves (P52)', () => {
    for (const keyType of PQ_KEMS) {
      expect(keyUsageOf(all['im-user'], keyType)).toEqual(['keyEncipherment']);
      expect(ekuOf(all['im-user'], keyType)).toEqual([OID.emailProtection]);
    }
  });

  test.each(['device', 'ra', 'sip-user', 'issuing-ca'] as const)('ML-KEM is no key for the profile %s', (name) => {
    expect(all[name].keyTypes.filter((keyType) => keyType.startsWith('ml-kem'))).toEqual([]);
    expect(() => keyUsageOf(all[name], 'ml-kem-768')).toThrow(expect.objectContaining({ code: 'keyType' }));
  });

  test.each(names.filter((name) => !all[name].ca && !all[name].ocspNoCheck))(
    'of profile %s every key type passes the linter under an ML-DSA CA (X29, P50, P55)',
    (name) => {
      const profile = all[name];
      const ca = generated('ml-dsa-65');
      const issuer = {
        subjectDer: encodeName([[{ type: OID.commonName, value: 'CA' }]]),
        keyId: ca.keyId,
        keyType: ca.keyType,
      };
      const { notBefore, notAfter } = validity(profile, NOW, undefined);
      for (const keyType of profile.keyTypes.filter((one) => !one.startsWith('rsa-'))) {
        const prepared = prepareCertificate(
          {
            serial: newSerial(),
            issuer,
            subject: [[{ type: OID.commonName, value: 'x' }]],
            publicKey: generated(keyType),
            notBefore,
            notAfter,
            keyUsage: keyUsageOf(profile, keyType),
            eku: ekuOf(profile, keyType),
            san: [{ type: 'dns', value: 'a.example' }],
            ...(profile.revocation === 'none'
              ? {}
              : { crlUri: 'http://a.example/crl', ocspUri: 'http://a.example/ocsp' }),
          },
          lintRules(profile, { ...issuer, notAfter }),
        );
        expect(prepared.tbs.length).toBeGreaterThan(0);
      }
    },
  );
});

describe('validity', () => {
  test('counts both ends, in whole seconds, and begins in the past for slow clocks', () => {
    const { notBefore, notAfter } = validity(all.device, NOW, undefined);
    expect(notBefore).toEqual(new Date('2026-03-01T11:50:00Z'));
    expect(notAfter).toEqual(new Date('2026-05-30T11:59:59Z'));
    const seconds = (notAfter.getTime() - notBefore.getTime()) / 1000 + 1;
    expect(seconds).toBe(all.device.validitySeconds + all.device.backdateSeconds);
  });

  test.each(names)('of %s never outlives its issuer', (name) => {
    const issuerEnd = addSeconds(NOW, 3600);
    expect(validity(all[name], NOW, issuerEnd).notAfter <= issuerEnd).toBe(true);
  });

  test.each(names)('of %s is never longer than the linter allows it', (name) => {
    const { notBefore, notAfter } = validity(all[name], NOW, undefined);
    const seconds = (notAfter.getTime() - notBefore.getTime()) / 1000 + 1;
    expect(seconds).toBeLessThanOrEqual(lintRules(all[name], undefined).maxValiditySeconds);
  });
});
