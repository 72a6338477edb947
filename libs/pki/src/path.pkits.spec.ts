import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import type { Certificate } from './certificate.js';
import { readCertificate } from './certificate.js';
import type { CertificateList } from './crl-read.js';
import { readCrl } from './crl-read.js';
import { crlRevocation } from './crl-revocation.js';
import type { PathFailureCode } from './path.js';
import { validatePath } from './path.js';

interface PkitsCase {
  id: string;
  name: string;
  anchors: string[];
  certificates: string[];
  crls: string[];
  valid: boolean;
}
interface Pkits {
  certificates: Record<string, string>;
  crls: Record<string, string>;
  cases: PkitsCase[];
}

const vectors = new URL('../../../test/vectors/pkits.json', import.meta.url);
const pkits = JSON.parse(readFileSync(vectors, 'utf8')) as Pkits;
const at = new Date('2020-01-01T00:00:00Z');

const certificate = (name: string): Certificate =>
  readCertificate(Buffer.from(pkits.certificates[name] as string, 'base64'));

/** A CRL that is no DER is no CRL. */
function readableCrls(one: PkitsCase): CertificateList[] {
  return one.crls.flatMap((name) => {
    try {
      return [readCrl(Buffer.from(pkits.crls[name] as string, 'base64'))];
    } catch (error) {
      if (isAuthorityError(error, 'malformed')) return [];
      throw error;
    }
  });
}

function judge(one: PkitsCase): 'valid' | 'malformed' | PathFailureCode {
  const anchors = one.anchors.map((name) => {
    const anchor = certificate(name);
    return { subjectDer: anchor.subjectDer, publicKey: anchor.publicKey, certificate: anchor, set: 'pkits' };
  });
  let given: Certificate[];
  try {
    given = one.certificates.map(certificate);
  } catch (error) {
    if (isAuthorityError(error, 'malformed')) return 'malformed';
    throw error;
  }
  const leaf = given.at(-1) as Certificate;
  const intermediates = given.slice(0, -1);
  const revocation = crlRevocation(readableCrls(one), at, { certificates: intermediates });
  const result = validatePath({ leaf, intermediates, anchors, at, revocation });
  return result.ok ? 'valid' : result.code;
}

describe('NIST PKITS', () => {
  it('has all 123 cases', () => {
    expect(pkits.cases).toHaveLength(123);
  });

  it.each(pkits.cases)('$id $name is judged $valid', (one) => {
    expect(judge(one) === 'valid' ? 'valid' : `invalid: ${judge(one)}`).toMatch(one.valid ? /^valid$/ : /^invalid/);
  });
});
