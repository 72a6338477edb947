import { describe, expect, it } from '@jest/globals';
import { readCertificate } from './certificate.js';
import { der } from './der/write.js';
import { LINT_RULES, lintCertificate, type LintRules } from './lint.js';
import { OID } from './oids.js';
import { restoreCertificate } from './prepare.js';
import { buildTbs } from './template.js';
import {
  commonName,
  DAY_SECONDS,
  generateKey,
  NOT_BEFORE,
  rootRules,
  rootTemplate,
  secondsLater,
} from './testing/issuing.js';
import { BODY_DEFECTS } from './testing/planted-defects.js';
import { EXTENSION_DEFECTS } from './testing/planted-extension-defects.js';
import {
  ca,
  swap,
  rsaDevice,
  edDevice,
  template,
  rules,
  signed,
  from,
  without,
  root,
  delegate,
} from './testing/tampering.js';

const DEFECTS = [...BODY_DEFECTS, ...EXTENSION_DEFECTS];

const extensionOf = (tbs: Buffer, oid: string): Buffer | undefined =>
  readCertificate(signed(tbs)).extensions.get(oid)?.value;
const idsOf = (tbs: Buffer, by: LintRules): string[] => lintCertificate(signed(tbs), by).map(({ id }) => id);

describe('the linter', () => {
  it('has nothing to say about good certificates', () => {
    expect(idsOf(buildTbs(template), rules)).toEqual([]);
    expect(idsOf(from({ publicKey: rsaDevice.publicKey }), rules)).toEqual([]);
    expect(idsOf(from({ publicKey: edDevice.publicKey }), rules)).toEqual([]);
    expect(idsOf(from({ subject: [] }), rules)).toEqual([]);
    expect(idsOf(root, rootRules())).toEqual([]);
    const names = [
      'sip:alice@example.com',
      'sip:example.com',
      'https://[2001:db8::1]:8443/x',
      'http://localhost:8080/',
    ];
    expect(idsOf(from({ san: names.map((value) => ({ type: 'uri', value })) }), rules)).toEqual([]);
    expect(
      idsOf(
        from({
          san: [
            { type: 'dns', value: '*.example.com' },
            { type: 'dns', value: 'xn--bcher-kva.example' },
            { type: 'ip', value: '::1' },
            { type: 'email', value: 'a.b+c@example.com' },
          ],
        }),
        rules,
      ),
    ).toEqual([]);
    expect(
      idsOf(
        from({ san: [{ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String('älice@example.com') }] }),
        rules,
      ),
    ).toEqual([]);
    expect(
      idsOf(buildTbs({ ...without('crlUri', 'ocspUri'), eku: [OID.ocspSigning], ocspNoCheck: true }), delegate),
    ).toEqual([]);
    expect(idsOf(buildTbs(without('ocspUri')), { ...rules, revocation: 'crl' })).toEqual([]);
  });

  it('passes name constraints in a CA (X22)', () => {
    const constrained = { nameConstraints: { permitted: { dns: ['example.com'], email: ['.example.com'] } } };
    expect(idsOf(buildTbs({ ...rootTemplate(ca), ...constrained }), rootRules())).toEqual([]);
  });

  it('passes an issuing CA under a root', () => {
    const sub = generateKey('ec-p256');
    const tbs = buildTbs({
      ...without('ocspUri', 'eku', 'san', 'appId'),
      subject: commonName('Issuing CA'),
      publicKey: sub.publicKey,
      basicConstraints: { ca: true, pathLen: 0 },
      keyUsage: ['keyCertSign', 'cRLSign'],
    });
    const by: LintRules = {
      ...rules,
      ca: true,
      keyUsage: ['keyCertSign', 'cRLSign'],
      eku: [],
      san: 'forbidden',
      revocation: 'crl',
    };
    expect(idsOf(tbs, by)).toEqual([]);
  });

  it.each(DEFECTS)('finds %s: %s', (id, _, tbs, by = rules) => {
    expect(idsOf(tbs, by)).toContain(id);
  });

  it.each(DEFECTS)('blocks what %s finds: %s (X29)', (_id, _text, tbs, by = rules) => {
    expect(() => restoreCertificate(tbs, by)).toThrow(expect.objectContaining({ name: 'AuthorityError' }));
  });

  it('has no rule that no defect sets off, and no id twice', () => {
    const ids = LINT_RULES.map(({ id }) => id);
    const planted = new Set(DEFECTS.map(([id]) => id));
    expect(ids.filter((id) => !planted.has(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has rules for every line that bytes can break (X01, X02, X03, X05, X06, X07, X08, X09, X10, X11, X12, X13, X14, X15, X16, X17, X18, X19, X20, X21, X23, X25, X26, X27, X29)', () => {
    const lines = new Set(LINT_RULES.map(({ id }) => id.split('.')[0]));
    const wanted = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 25, 26, 27, 29];
    expect(wanted.map((n) => `X${String(n).padStart(2, '0')}`).filter((id) => !lines.has(id))).toEqual([]);
    expect(DEFECTS.length).toBeGreaterThanOrEqual(60);
  });

  it('takes UTCTime to 2049, GeneralizedTime from 2050, and the end of all days (X05, X07)', () => {
    const long: LintRules = { ...rootRules(), maxValiditySeconds: Number.MAX_SAFE_INTEGER };
    for (const [notAfter, tag] of [
      ['2049-12-31T23:59:59Z', '170d'],
      ['2050-01-01T00:00:00Z', '180f'],
      ['9999-12-31T23:59:59Z', '180f'],
    ] as const) {
      const tbs = swap('validity', der.sequence(der.time(NOT_BEFORE), der.time(new Date(notAfter))), root);
      expect(idsOf(tbs, long)).toEqual([]);
      expect(tbs.toString('hex')).toContain(
        `${tag}${Buffer.from(der.time(new Date(notAfter)).subarray(2)).toString('hex')}`,
      );
    }
  });

  it('takes ML-DSA keys for signatures, and ML-KEM keys for encipherment alone (P51, P52, X16)', () => {
    for (const keyType of ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
      expect(idsOf(from({ publicKey: generateKey(keyType).publicKey }), rules)).toEqual([]);
    }
    const kem = generateKey('ml-kem-1024');
    const mail: LintRules = {
      ...rules,
      keyTypes: ['ml-kem-1024'],
      keyUsage: ['keyEncipherment'],
      eku: [OID.emailProtection],
    };
    const by = { publicKey: kem.publicKey, keyUsage: ['keyEncipherment' as const] };
    expect(idsOf(from({ ...by, eku: [OID.emailProtection] }), mail)).toEqual([]);
    expect(idsOf(from({ ...by, eku: [OID.clientAuth] }), { ...mail, eku: [OID.clientAuth] })).toEqual(['X17.usage']);
  });

  it('takes noRevAvail where nothing else tells of revocation, said by the template or not (X27, RFC 9608)', () => {
    const none: LintRules = { ...rules, revocation: 'none' };
    const bare = without('crlUri', 'ocspUri');
    expect(idsOf(buildTbs(bare), none)).toEqual([]);
    expect(buildTbs({ ...bare, noRevAvail: true })).toEqual(buildTbs(bare));
    expect(extensionOf(buildTbs(bare), OID.noRevAvail)).toEqual(Buffer.from('0500', 'hex'));
  });

  it('counts both ends of the validity (X06)', () => {
    const day = { ...rules, maxValiditySeconds: DAY_SECONDS };
    expect(idsOf(from({ notAfter: secondsLater(NOT_BEFORE, DAY_SECONDS - 1) }), day)).toEqual([]);
    expect(idsOf(from({ notAfter: secondsLater(NOT_BEFORE, DAY_SECONDS) }), day)).toEqual(['X06.length']);
  });

  it('never throws for what the bytes hold', () => {
    const certificate = signed(buildTbs(template));
    for (let at = 0; at < certificate.length; at++) {
      for (const bit of [0x01, 0x20, 0x80]) {
        const mutant = Buffer.from(certificate);
        mutant[at] = (mutant[at] as number) ^ bit;
        expect(Array.isArray(lintCertificate(mutant, rules))).toBe(true);
      }
    }
  });
});
