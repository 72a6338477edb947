import { describe, expect, it } from '@jest/globals';
import { encodeExtendedKeyUsage } from './certificate-extensions.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import type { PathInput, PathResult } from './path.js';
import { validatePath } from './path.js';
import { anchorOf, AT, authority, certify, extension, type Member } from './testing/chain.js';
import { commonName, generateKey, NOT_BEFORE, secondsLater } from './testing/issuing.js';

const root = certify(undefined, 'Root', { extensions: authority() });
const issuing = certify(root, 'Issuing', { extensions: authority(0) });
const device = certify(issuing, 'device');

function judge(leaf: Member, intermediates: Member[], changes: Partial<PathInput> = {}): PathResult {
  return validatePath({
    leaf: leaf.certificate,
    intermediates: intermediates.map((one) => one.certificate),
    anchors: [anchorOf(root)],
    at: AT,
    ...changes,
  });
}
const codeOf = (result: PathResult): string => (result.ok ? 'valid' : result.code);

describe('a path', () => {
  it('leads from the leaf to the anchor, whatever else is sent along and in whatever order', () => {
    const stranger = certify(undefined, 'Issuing', { extensions: authority() });
    const result = judge(device, [stranger, device, root, issuing, issuing]);
    expect(result.ok && result.path.map((one) => one.sha256)).toEqual([
      device.certificate.sha256,
      issuing.certificate.sha256,
    ]);
  });

  it('tells which anchor set it ended in (E41)', () => {
    const maker = certify(undefined, 'Maker', { extensions: authority() });
    const anchors = [anchorOf(root, 'explicit'), anchorOf(maker, 'implicit')];
    const own = judge(device, [issuing], { anchors });
    const theirs = judge(certify(maker, 'idevid'), [], { anchors });
    expect([own.ok && own.anchor.set, theirs.ok && theirs.anchor.set]).toEqual(['explicit', 'implicit']);
  });

  it('does not exist under a foreign anchor of the same name, nor without the issuing certificate', () => {
    const impostor = certify(undefined, 'Root', { extensions: authority() });
    expect(codeOf(judge(device, [issuing], { anchors: [anchorOf(impostor)] }))).toBe('badSignature');
    expect(codeOf(judge(device, []))).toBe('noPath');
    expect(codeOf(judge(device, [issuing], { anchors: [] }))).toBe('noPath');
    expect(codeOf(judge(certify(root, 'forged', { signature: Buffer.alloc(64) }), []))).toBe('badSignature');
  });

  it('counts both ends of the validity of every certificate, the last second included (X06)', () => {
    const short = certify(issuing, 'short', { notBefore: AT, notAfter: secondsLater(AT, 59) });
    const at = (seconds: number): string => codeOf(judge(short, [issuing], { at: secondsLater(AT, seconds) }));
    expect([at(-0.001), at(0), at(59), at(59.999), at(60)]).toEqual([
      'notYetValid',
      'valid',
      'valid',
      'valid',
      'expired',
    ]);
    const ended = certify(root, 'Issuing', { keys: issuing.keys, notAfter: NOT_BEFORE, extensions: authority() });
    expect(codeOf(judge(device, [ended]))).toBe('expired');
    expect(codeOf(judge(device, [issuing], { at: secondsLater(NOT_BEFORE, 40 * 86_400) }))).toBe('expired');
  });

  it('takes another certificate of the issuer when the first does not hold', () => {
    const ended = certify(root, 'Issuing', { keys: issuing.keys, notAfter: NOT_BEFORE, extensions: authority() });
    expect(codeOf(judge(device, [ended, issuing]))).toBe('valid');
  });

  it('passes only through authorities that may sign certificates, no deeper than they say', () => {
    expect(codeOf(judge(certify(device, 'child'), [device, issuing]))).toBe('notCa');
    const notCa = [extension(OID.basicConstraints, der.sequence()), ...authority().slice(1)];
    const named = certify(root, 'False', { extensions: notCa });
    expect(codeOf(judge(certify(named, 'child'), [named]))).toBe('notCa');
    const crlOnly = certify(root, 'CRL', { extensions: authority(undefined, ['cRLSign']) });
    expect(codeOf(judge(certify(crlOnly, 'child'), [crlOnly]))).toBe('keyUsage');
    const below = certify(issuing, 'Below', { extensions: authority() });
    expect(codeOf(judge(certify(below, 'child'), [below, issuing]))).toBe('pathLen');
    const renewed = certify(issuing, 'Issuing', { extensions: authority(0) });
    expect(codeOf(judge(certify(renewed, 'child'), [renewed, issuing]))).toBe('valid');
  });

  it('keeps what the certificate of the anchor limits', () => {
    const tight = certify(undefined, 'Tight', { extensions: authority(0) });
    const below = certify(tight, 'Below', { extensions: authority() });
    const anchors = [anchorOf(tight)];
    expect(codeOf(judge(certify(tight, 'child'), [], { anchors }))).toBe('valid');
    expect(codeOf(judge(certify(below, 'child'), [below], { anchors }))).toBe('pathLen');
    const leafOnly = certify(undefined, 'Leaf', {
      extensions: [extension(OID.basicConstraints, der.sequence(), true)],
    });
    expect(codeOf(judge(certify(leafOnly, 'child'), [], { anchors: [anchorOf(leafOnly)] }))).toBe('notCa');
  });

  it('serves a purpose only if the leaf and every authority that names purposes allow it', () => {
    const eku = (...oids: string[]) => [extension(OID.extKeyUsage, encodeExtendedKeyUsage(oids))];
    const client = certify(issuing, 'client', { extensions: eku(OID.clientAuth) });
    const any = certify(issuing, 'any', { extensions: eku(OID.anyExtendedKeyUsage) });
    const limited = certify(root, 'Limited', { extensions: [...authority(), ...eku(OID.clientAuth)] });
    const server = certify(limited, 'server', { extensions: eku(OID.serverAuth) });
    expect(codeOf(judge(client, [issuing], { eku: OID.clientAuth }))).toBe('valid');
    expect(codeOf(judge(client, [issuing], { eku: OID.serverAuth }))).toBe('eku');
    expect(codeOf(judge(any, [issuing], { eku: OID.serverAuth }))).toBe('valid');
    expect(codeOf(judge(device, [issuing], { eku: OID.serverAuth }))).toBe('valid');
    expect(codeOf(judge(server, [limited], { eku: OID.serverAuth }))).toBe('eku');
    expect(codeOf(judge(any, [issuing], { eku: OID.ocspSigning }))).toBe('eku');
  });

  it('ends at a critical extension that is not known, in the leaf or above', () => {
    const odd = extension('1.2.3.4', der.null(), true);
    expect(codeOf(judge(certify(issuing, 'odd', { extensions: [odd] }), [issuing]))).toBe('criticalExtension');
    const oddCa = certify(root, 'Odd', { extensions: [...authority(), odd] });
    expect(codeOf(judge(certify(oddCa, 'child'), [oddCa]))).toBe('criticalExtension');
    const harmless = certify(issuing, 'plain', { extensions: [{ ...odd, critical: false }] });
    expect(codeOf(judge(harmless, [issuing]))).toBe('valid');
  });

  it('fails closed on revocation: revoked, or not known; asked from the anchor down', () => {
    const asked: string[] = [];
    const revocation: PathInput['revocation'] = (one, issuer) => {
      asked.push(`${one.subject[0]?.[0]?.value} by ${issuer.certificate?.subject[0]?.[0]?.value}`);
      return 'good';
    };
    expect(codeOf(judge(device, [issuing], { revocation }))).toBe('valid');
    expect(asked).toEqual(['Issuing by Root', 'device by Issuing']);
    expect(codeOf(judge(device, [issuing], { revocation: () => 'revoked' }))).toBe('revoked');
    expect(codeOf(judge(device, [issuing], { revocation: () => 'unknown' }))).toBe('revocationUnknown');
  });

  it('does not lead over RSA keys below 2048 bits', () => {
    const weak = certify(issuing, 'weak', { keys: generateKey('rsa-1024' as 'rsa-2048') });
    expect(codeOf(judge(weak, [issuing]))).toBe('weakAlgorithm');
  });

  it('ends, with an answer, in a dense net of cross-certificates without anchor', () => {
    const members = Array.from({ length: 9 }, (_, i) => certify(undefined, `Net ${i}`, { extensions: authority() }));
    const cross = members.flatMap((issuer) =>
      members.map((one) =>
        certify(issuer, '', { subject: one.certificate.subject, keys: one.keys, extensions: authority() }),
      ),
    );
    const leaf = certify(members[0], 'leaf');
    const start = performance.now();
    expect(judge(leaf, cross)).toMatchObject({ code: 'noPath', detail: expect.stringContaining('too many') });
    expect(performance.now() - start).toBeLessThan(3000);
  });

  it('is no longer than maxDepth certificates', () => {
    let top = root;
    const chain: Member[] = [];
    for (let i = 0; i < 11; i++) chain.push((top = certify(top, `Level ${i}`, { extensions: authority() })));
    const leaf = (depth: number): Member => certify(chain[depth - 2] as Member, 'leaf');
    expect(codeOf(judge(leaf(10), chain))).toBe('valid');
    expect(codeOf(judge(leaf(11), chain))).toBe('noPath');
    expect(codeOf(judge(leaf(11), chain, { maxDepth: 11 }))).toBe('valid');
  });

  it('explains itself about names that have no text', () => {
    const subject = [...commonName('x'), [{ type: '1.2.3.4', value: 'y' }]];
    const odd = certify(issuing, '', { subject, notAfter: NOT_BEFORE });
    expect(judge(odd, [issuing])).toMatchObject({ code: 'expired', detail: expect.stringContaining('expired at') });
  });
});
