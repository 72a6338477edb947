import { describe, expect, test } from '@jest/globals';
import { addSeconds, loadConfig } from '#kernel';
import { OID } from '#pki';
import { lintRules, validity } from './profile.js';
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
