import { describe, expect, it } from '@jest/globals';
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
