import { describe, expect, it } from '@jest/globals';
import { encodeDistributionPoint } from './certificate-extensions.js';
import { readCrl } from './crl-read.js';
import { crlRevocation } from './crl-revocation.js';
import { OID } from './oids.js';
import type { PathFailureCode } from './path.js';
import { validatePath } from './path.js';
import { anchorOf, AT, authority, certify, entry, extension, type Member, signCrl } from './testing/chain.js';
import { NOT_BEFORE, secondsLater } from './testing/issuing.js';

const SHARD = 'http://status.example.org/crl/1/0.crl';
const OTHER_SHARD = 'http://status.example.org/crl/1/1.crl';
const root = certify(undefined, 'Root', { extensions: authority() });
const device = certify(root, 'device', { serial: '0aa0' });
const sharded = certify(root, 'sharded', {
  serial: '0aa1',
  extensions: [extension(OID.cRLDistributionPoints, encodeDistributionPoint(SHARD))],
});
const subCa = certify(root, 'Sub', { serial: '0aa2', extensions: authority() });
const revoked = (member: Member) => [entry(member.certificate.serial)];

function judge(leaf: Member, crls: Buffer[], certificates: Member[] = [], at = AT): 'valid' | PathFailureCode {
  const intermediates = certificates.map((one) => one.certificate);
  const revocation = crlRevocation(crls.map(readCrl), at, { certificates: intermediates });
  const result = validatePath({ leaf: leaf.certificate, intermediates, anchors: [anchorOf(root)], at, revocation });
  return result.ok ? 'valid' : result.code;
}

describe('revocation by CRL (RFC 5280 section 6.3)', () => {
  it('is known from a current CRL of the issuer, and unknown without one', () => {
    expect(judge(device, [signCrl(root, revoked(sharded))])).toBe('valid');
    expect(judge(device, [signCrl(root, revoked(device))])).toBe('revoked');
    expect(judge(device, [])).toBe('revocationUnknown');
  });

  it('is unknown from a CRL of the future, of the past, or of another issuer', () => {
    const crl = signCrl(root, []);
    const until = secondsLater(NOT_BEFORE, 7 * 86_400);
    expect(judge(device, [crl], [], secondsLater(until, -1))).toBe('valid');
    expect(judge(device, [crl], [], until)).toBe('revocationUnknown');
    expect(judge(device, [signCrl(root, [], { thisUpdate: secondsLater(AT, 1) })])).toBe('revocationUnknown');
    expect(judge(device, [signCrl(certify(undefined, 'Root'), [])])).toBe('revocationUnknown');
    expect(judge(device, [signCrl(subCa, [])], [subCa])).toBe('revocationUnknown');
  });

  it('prefers the newest CRL: a released hold does not come back from an older one', () => {
    const older = signCrl(root, [entry('0aa0', { reason: 'certificateHold' })]);
    const newer = signCrl(root, [], { number: 8n, thisUpdate: AT });
    expect(judge(device, [older, newer])).toBe('valid');
    expect(judge(device, [older])).toBe('revoked');
  });

  it('takes a shard only for certificates that name it (C17), and the full CRL for all (C19)', () => {
    const shard = (uri: string): Buffer => signCrl(root, [], { distributionPoint: uri });
    expect(judge(sharded, [shard(SHARD)])).toBe('valid');
    expect(judge(sharded, [shard(OTHER_SHARD)])).toBe('revocationUnknown');
    expect(judge(device, [shard(SHARD)])).toBe('revocationUnknown');
    expect(judge(sharded, [signCrl(root, [])])).toBe('valid');
    expect(judge(sharded, [signCrl(root, revoked(sharded), { distributionPoint: SHARD })])).toBe('revoked');
  });

  it('takes a CRL of user or CA certificates only for its kind (C19)', () => {
    expect(judge(device, [signCrl(root, [], { scope: 'user' })])).toBe('valid');
    expect(judge(device, [signCrl(root, [], { scope: 'ca' })])).toBe('revocationUnknown');
    expect(judge(subCa, [signCrl(root, [], { scope: 'ca' })])).toBe('valid');
    expect(judge(subCa, [signCrl(root, [], { scope: 'user' })])).toBe('revocationUnknown');
  });

  it('applies a delta to a base that it fits: revocations, and releases by removeFromCRL (C07, C08)', () => {
    const base = signCrl(root, [entry('0aa1', { reason: 'certificateHold' })]);
    const delta = (entries: ReturnType<typeof entry>[], deltaBase = 7n): Buffer =>
      signCrl(root, entries, { number: 9n, deltaBase });
    expect(judge(device, [base, delta(revoked(device))])).toBe('revoked');
    expect(judge(sharded, [base])).toBe('revoked');
    expect(judge(sharded, [base, delta([entry('0aa1', { reason: 'removeFromCRL' })])])).toBe('valid');
    expect(judge(device, [base, delta(revoked(device), 8n)])).toBe('valid');
    expect(judge(device, [delta([])])).toBe('revocationUnknown');
  });

  it('is asked of every certificate on the path', () => {
    const leaf = certify(subCa, 'leaf');
    expect(judge(leaf, [signCrl(root, []), signCrl(subCa, [])], [subCa])).toBe('valid');
    expect(judge(leaf, [signCrl(root, [])], [subCa])).toBe('revocationUnknown');
    expect(judge(leaf, [signCrl(root, revoked(subCa)), signCrl(subCa, [])], [subCa])).toBe('revoked');
  });

  it('takes a separate CRL signer of the same name only if it leads to the anchor, may sign CRLs and is not revoked', () => {
    const plain = certify(root, 'Split', { serial: '0ab0', extensions: authority(undefined, ['keyCertSign']) });
    const leaf = certify(plain, 'leaf');
    const signer = certify(root, 'Split', { serial: '0ab1', extensions: authority(undefined, ['cRLSign']) });
    const silent = certify(root, 'Split', { serial: '0ab2', extensions: authority(undefined, ['digitalSignature']) });
    const stranger = certify(undefined, 'Split', { extensions: authority(undefined, ['cRLSign']) });
    const all = [plain, signer, silent, stranger];
    const clean = signCrl(root, []);
    expect(judge(leaf, [clean, signCrl(signer, [])], all)).toBe('valid');
    expect(judge(leaf, [clean, signCrl(signer, revoked(leaf))], all)).toBe('revoked');
    for (const other of [plain, silent, stranger]) {
      expect(judge(leaf, [clean, signCrl(other, [])], all)).toBe('revocationUnknown');
    }
    expect(judge(leaf, [signCrl(root, revoked(signer)), signCrl(signer, [])], all)).toBe('revocationUnknown');
  });

  it('does not go round in circles where a CRL signer is vouched for by its own CRL alone', () => {
    const plain = certify(root, 'Split', { serial: '0ab0', extensions: authority(undefined, ['keyCertSign']) });
    const signer = certify(plain, 'Split', { serial: '0ab1', extensions: authority(undefined, ['cRLSign']) });
    const leaf = certify(plain, 'leaf');
    expect(judge(leaf, [signCrl(root, []), signCrl(signer, [])], [plain, signer])).toBe('revocationUnknown');
  });

  it('answers as often as it is asked, also about signers that need a path of their own', () => {
    const plain = certify(root, 'Split', { serial: '0ab0', extensions: authority(undefined, ['keyCertSign']) });
    const signer = certify(root, 'Split', { serial: '0ab1', extensions: authority(undefined, ['cRLSign']) });
    const leaf = certify(plain, 'leaf').certificate;
    const certificates = [plain.certificate, signer.certificate];
    const crls = [signCrl(root, []), signCrl(signer, [])].map(readCrl);
    const revocation = crlRevocation(crls, AT, { certificates });
    for (let i = 0; i < 100; i++) expect(revocation(leaf, plain.certificate, anchorOf(root))).toBe('good');
  });
});
