import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '#kernel';
import { OID } from '#pki';
import { validityBounds } from './profile-bounds.js';
import { examineProfile, profileDocument, readProfileDocument, storedProfile } from './profile-document.js';
import { profileWarnings } from './profile-rules.js';
import { profiles, SHIPPED_PROFILES, shippedProfile } from './shipped-profiles.js';

const DAY = 86_400;
const { lifetimes } = loadConfig({});
const shipped = profiles(lifetimes);

/** A profile of somebody's own, as short as it can be. */
const OWN = {
  name: 'camera',
  description: 'Cameras',
  keyTypes: ['ec-p256'],
  eku: [OID.clientAuth],
  validitySeconds: 30 * DAY,
  subject: 'device',
  san: [{ type: 'uuid', min: 1, max: 1 }],
};
const RSA_MAIL = {
  ...OWN,
  keyTypes: ['ec-p256', 'rsa-2048'],
  keyUsage: ['digitalSignature', 'keyEncipherment'],
  eku: [OID.emailProtection, OID.clientAuth],
  subject: 'empty',
  san: [{ type: 'email', min: 1, max: 2 }],
};
const of = (name: keyof typeof shipped, change: object = {}) => ({ ...profileDocument(shipped[name]), ...change });

describe('a profile document', () => {
  test('may leave out what has a default', () => {
    expect(readProfileDocument(OWN, lifetimes)).toEqual({
      ...OWN,
      keyUsage: ['digitalSignature'],
      backdateSeconds: 600,
      revocation: 'crl+ocsp',
      ca: false,
      pathLen: undefined,
      ocspNoCheck: false,
      approval: false,
      renewal: { sameKey: true, afterExpirySeconds: 0 },
      supersede: { mode: 'never' },
    });
  });

  test.each(SHIPPED_PROFILES.filter((name) => name !== 'root-ca'))(
    'of %s is that of a profile without fault',
    (name) => {
      const { version: _, ...profile } = shipped[name];
      const document = JSON.parse(JSON.stringify(profileDocument(shipped[name]))) as object;
      expect(examineProfile(document, lifetimes)).toEqual({ profile, faults: [] });
      expect(storedProfile(document, name, 7, shipped[name])).toEqual({ ...shipped[name], version: 7 });
    },
  );

  test('of every other kind is accepted', () => {
    for (const good of [
      RSA_MAIL,
      { ...OWN, supersede: { mode: 'after', seconds: DAY }, renewal: { sameKey: false, afterExpirySeconds: DAY } },
      { ...OWN, revocation: 'none', validitySeconds: 7 * DAY },
      { ...OWN, revocation: 'crl' },
      { ...OWN, eku: [OID.clientAuth, OID.cmcRa], approval: true },
      { ...OWN, eku: ['1.3.6.1.4.1.99999.1'] },
      { ...OWN, version: 3 },
      of('issuing-ca', { validitySeconds: 1000 * DAY, keyTypes: ['ec-p256', 'ec-p384', 'rsa-4096'] }),
      of('sub-ca', { keyTypes: ['rsa-4096'] }),
      of('tls-server', { keyTypes: ['ec-p256'], validitySeconds: 47 * DAY }),
    ]) {
      expect(examineProfile(good, lifetimes).faults).toEqual([]);
    }
  });

  test('lists key types in one order', () => {
    expect(readProfileDocument({ ...OWN, keyTypes: ['rsa-2048', 'ec-p256'] }, lifetimes).keyTypes).toEqual([
      'ec-p256',
      'rsa-2048',
    ]);
  });

  test('as it was stored before profiles were whole documents is what differs from the shipped one', () => {
    const stored = storedProfile({ validitySeconds: DAY }, 'device', 2, shipped.device);
    expect(stored).toEqual({ ...shipped.device, version: 2, validitySeconds: DAY });
    const older = storedProfile({ keyTypes: ['dsa', 'ec-p384'] }, 'device', 2, shipped.device);
    expect(older.keyTypes).toEqual(['ec-p384']);
  });
});

describe('a fault is found, named by its member', () => {
  const faults: [string, unknown, string, RegExp][] = [
    ['no object', [], '', /JSON object/],
    ['an unknown member', { ...OWN, colour: 'red' }, 'colour', /no such member/],
    ['no name', { ...OWN, name: undefined }, 'name', /lower-case/],
    ['a name in capitals', { ...OWN, name: 'Camera' }, 'name', /lower-case/],
    ['a name with an end', { ...OWN, name: 'camera-' }, 'name', /lower-case/],
    ['a long name', { ...OWN, name: 'c'.repeat(41) }, 'name', /at most 40/],
    ['the name of an operation (E06)', { ...OWN, name: 'csrattrs' }, 'name', /EST operation/],
    ['no description', { ...OWN, description: '' }, 'description', /1 to 200/],
    ['a line break in it', { ...OWN, description: 'a\nb' }, 'description', /control/],
    ['no key type', { ...OWN, keyTypes: [] }, 'keyTypes', /some of/],
    ['an unknown key type', { ...OWN, keyTypes: ['ec-p256', 'dsa'] }, 'keyTypes', /some of/],
    ['a key type twice', { ...OWN, keyTypes: ['ec-p256', 'ec-p256'] }, 'keyTypes', /each once/],
    ['key types that are no list', { ...OWN, keyTypes: 'ec-p256' }, 'keyTypes', /some of/],
    [
      'a key that can only encipher, for signatures (P52, X16)',
      { ...OWN, keyTypes: ['ml-kem-768'] },
      'keyUsage',
      /X16/,
    ],
    ['a CA key that cannot sign', of('issuing-ca', { keyTypes: ['ec-p256', 'ml-kem-768'] }), 'keyTypes', /some of/],
    ['an unknown usage', { ...OWN, keyUsage: ['sign'] }, 'keyUsage', /some of/],
    ['the usage of a CA', { ...OWN, keyUsage: ['keyCertSign'] }, 'keyUsage', /must be some of digitalSignature/],
    ['a usage that a key cannot have (X16)', { ...OWN, keyUsage: ['keyEncipherment'] }, 'keyUsage', /X16/],
    [
      'a usage that no key can have (X16)',
      { ...OWN, keyUsage: ['digitalSignature', 'keyEncipherment'] },
      'keyUsage',
      /no key of keyTypes can have/,
    ],
    ['no purpose', { ...OWN, eku: [] }, 'eku', /at least one/],
    ['what is no OID', { ...OWN, eku: ['clientAuth'] }, 'eku[0]', /OID/],
    ['a purpose twice', { ...OWN, eku: [OID.clientAuth, OID.clientAuth] }, 'eku', /twice/],
    ['any purpose (X17)', { ...OWN, eku: [OID.anyExtendedKeyUsage] }, 'eku', /anyExtendedKeyUsage/],
    ['OCSPSigning', { ...OWN, eku: [OID.ocspSigning] }, 'eku', /OCSPSigning/],
    ['timeStamping', { ...OWN, eku: [OID.timeStamping] }, 'eku', /timeStamping/],
    [
      'a purpose against the usage (X17)',
      { ...RSA_MAIL, keyTypes: ['rsa-2048'], keyUsage: ['keyEncipherment'] },
      'eku',
      /X17/,
    ],
    ['an RA without approval (E48)', { ...OWN, eku: [OID.clientAuth, OID.cmcRa] }, 'approval', /cmcRA/],
    ['sipDomain for a device (SX12)', { ...OWN, eku: [OID.sipDomain] }, 'eku', /sipDomain/],
    [
      'SIP domains without sipDomain (S05, S06)',
      { ...OWN, subject: 'name', san: [{ type: 'sip-domain', min: 1, max: 1 }] },
      'eku',
      /sipDomain/,
    ],
    ['emailProtection without a mailbox (S09)', { ...OWN, eku: [OID.emailProtection] }, 'san', /email/],
    ['half a second', { ...OWN, validitySeconds: 0.5 }, 'validitySeconds', /whole number/],
    ['too short a life', { ...OWN, validitySeconds: 59 }, 'validitySeconds', /between 60/],
    ['too long a life', { ...OWN, validitySeconds: 398 * DAY + 1 }, 'validitySeconds', /between/],
    ['a long life without revocation (X27)', { ...OWN, revocation: 'none' }, 'validitySeconds', /X27/],
    ['an unknown revocation', { ...OWN, revocation: 'ocsp' }, 'revocation', /one of/],
    ['a clock of yesterday', { ...OWN, backdateSeconds: DAY }, 'backdateSeconds', /3600/],
    ['the subject of a CA', { ...OWN, subject: 'given' }, 'subject', /device, name or empty/],
    ['an unknown subject', { ...OWN, subject: 'cn' }, 'subject', /one of/],
    ['a subject by name without names', { ...OWN, subject: 'name', san: [] }, 'san', /made of a name/],
    [
      'no subject and perhaps no name (X11)',
      { ...OWN, subject: 'empty', san: [{ type: 'dns', min: 0, max: 1 }] },
      'san',
      /X11/,
    ],
    ['an unknown type of name', { ...OWN, san: [{ type: 'x400', min: 0, max: 1 }] }, 'san[0].type', /one of/],
    ['no names at most', { ...OWN, san: [{ type: 'uuid', min: 0, max: 0 }] }, 'san[0].max', /between 1/],
    ['more at least than at most', { ...OWN, san: [{ type: 'uuid', min: 2, max: 1 }] }, 'san[0].max', /between 2/],
    [
      'a rule with another member',
      { ...OWN, san: [{ type: 'uuid', min: 1, max: 1, of: 'x' }] },
      'san[0].of',
      /no such/,
    ],
    ['a rule that is no object', { ...OWN, san: ['uuid'] }, 'san[0]', /object/],
    ['two rules for one type', { ...OWN, san: [OWN.san[0], OWN.san[0]] }, 'san', /two rules/],
    ['a CA', { ...OWN, ca: true }, 'ca', /false/],
    ['a CA by a word', { ...OWN, ca: 'yes' }, 'ca', /true or false/],
    ['a path length', { ...OWN, pathLen: 0 }, 'pathLen', /CAs only/],
    ['ocsp-nocheck', { ...OWN, ocspNoCheck: true }, 'ocspNoCheck', /delegates/],
    ['approval by a number', { ...OWN, approval: 1 }, 'approval', /true or false/],
    ['no renewal', { ...OWN, renewal: null }, 'renewal', /object/],
    ['half a renewal', { ...OWN, renewal: { sameKey: true } }, 'renewal.afterExpirySeconds', /between 0/],
    [
      'renewal long after the end',
      { ...OWN, renewal: { sameKey: true, afterExpirySeconds: 31 * DAY } },
      'renewal.afterExpirySeconds',
      /between 0/,
    ],
    ['an unknown way of superseding', { ...OWN, supersede: { mode: 'soon' } }, 'supersede.mode', /one of/],
    ['an overlap without its length', { ...OWN, supersede: { mode: 'after' } }, 'supersede.seconds', /between 60/],
    ['an overlap at once', { ...OWN, supersede: { mode: 'at-once', seconds: 60 } }, 'supersede.seconds', /no such/],
    [
      'an overlap as long as the life',
      { ...OWN, validitySeconds: DAY, supersede: { mode: 'after', seconds: DAY } },
      'supersede.seconds',
      /less than/,
    ],
    ['our own servers without their key', of('tls-server', { keyTypes: ['ec-p384'] }), 'keyTypes', /own servers/],
    ['our own servers without serverAuth', of('tls-server', { eku: [OID.clientAuth] }), 'eku', /own servers/],
    [
      'our own servers without addresses',
      of('tls-server', { san: [{ type: 'dns', min: 1, max: 5 }] }),
      'san',
      /own servers/,
    ],
    ['our own servers by device', of('tls-server', { subject: 'device' }), 'subject', /own servers/],
    [
      'our own servers without revocation',
      of('tls-server', { revocation: 'none', validitySeconds: 7 * DAY }),
      'revocation',
      /own servers/,
    ],
    ['another usage of a CA', of('issuing-ca', { keyUsage: ['keyCertSign'] }), 'keyUsage', /cannot be changed/],
    ['another path length', of('issuing-ca', { pathLen: 3 }), 'pathLen', /cannot be changed/],
    ['CA keys without the usual one', of('issuing-ca', { keyTypes: ['ec-p384'] }), 'keyTypes', /ec-p256/],
    [
      'other keys of delegates',
      of('ocsp-responder', { keyTypes: ['ec-p256', 'ec-p384'] }),
      'keyTypes',
      /some of ec-p256/,
    ],
    ['delegates that are asked about', of('ocsp-responder', { revocation: 'crl' }), 'revocation', /cannot be changed/],
    ['a CA shorter than a device', of('issuing-ca', { validitySeconds: 3600 }), 'validitySeconds', /between/],
    ['a delegate renewed at once', of('ocsp-responder', { validitySeconds: 61 }), 'validitySeconds', /between/],
  ];
  test.each(faults)('%s', (_, document, member, text) => {
    const { faults: found } = examineProfile(document, lifetimes);
    expect(found).toContainEqual({ member, text: expect.stringMatching(text) });
    const [first] = found;
    expect(() => readProfileDocument(document, lifetimes)).toThrow(
      expect.objectContaining({ kind: 'invalid', member: first!.member }),
    );
  });

  test('all of them at once', () => {
    const { faults: found } = examineProfile({ ...OWN, name: 'X', keyTypes: [], approval: 1 }, lifetimes);
    expect(found.map(({ member }) => member)).toEqual(['name', 'keyTypes', 'approval']);
  });
});

test('a name that every object has is not that of a shipped profile', () => {
  expect(shippedProfile(lifetimes, 'constructor')).toBeUndefined();
  expect(examineProfile({ ...OWN, name: 'constructor' }, lifetimes).faults).toEqual([]);
});

test('the shipped ones lie within the bounds', () => {
  for (const name of SHIPPED_PROFILES.filter((one) => one !== 'root-ca')) {
    const { min, max } = validityBounds(shipped[name], lifetimes);
    expect(shipped[name].validitySeconds).toBeGreaterThanOrEqual(min);
    expect(shipped[name].validitySeconds).toBeLessThanOrEqual(max);
  }
});

test('who cannot renew over TLS, and whose revocation nobody hears of, is warned', () => {
  expect(profileWarnings(shipped.device)).toEqual([]);
  expect(profileWarnings(shipped['ike-peer'])).toEqual([expect.stringMatching(/clientAuth/)]);
  expect(profileWarnings(shipped['device-short-lived'])).toEqual([expect.stringMatching(/revocation none/)]);
  expect(profileWarnings(shipped['issuing-ca'])).toEqual([]);
});
