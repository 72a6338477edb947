import type { Certificate } from './certificate.js';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import type { LintRule } from './lint.js';
import { OID } from './oids.js';

const MOST_CHARACTERS = 200;

/** The explicitText elements of every user notice, whatever their type. */
function explicitTexts(certificate: Certificate): { tag: number; text: string }[] {
  const extension = certificate.extensions.get(OID.certificatePolicies);
  if (extension === undefined) return [];
  const policies = DerReader.openSequence(extension.value, 'certificatePolicies');
  const texts: { tag: number; text: string }[] = [];
  while (!policies.done) {
    const policy = policies.sequence();
    policy.oid();
    const qualifiers = policy.done ? undefined : policy.sequence();
    while (qualifiers !== undefined && !qualifiers.done) {
      const qualifier = qualifiers.sequence();
      if (qualifier.oid() === OID.userNotice) texts.push(...noticeTexts(qualifier.sequence()));
    }
  }
  return texts;
}

/** UserNotice: noticeRef (a SEQUENCE) and explicitText, both optional. */
function noticeTexts(notice: DerReader): { tag: number; text: string }[] {
  if (notice.peekTag() === TAG.sequence) notice.skip();
  if (notice.done) return [];
  const tag = notice.peekTag();
  return [{ tag, text: notice.text() }];
}

/** Rules of the RFCs about extensions that other rules bind to the profile: these hold whatever a profile says. */
export const POLICY_RULES: readonly LintRule[] = [
  {
    id: 'X23.explicitText',
    severity: 'error',
    text: 'every explicitText is a UTF8String of at most 200 characters',
    holds: (certificate) =>
      explicitTexts(certificate).every(
        ({ tag, text }) => tag === TAG.utf8String && text !== '' && [...text].length <= MOST_CHARACTERS,
      ),
  },
  {
    id: 'X27.alone',
    severity: 'error',
    text: 'noRevAvail stands in no CA certificate, and beside no CRL distribution point, OCSP URI or freshestCRL',
    holds: ({ noRevAvail, basicConstraints, extensions, ocspUris }) =>
      !noRevAvail ||
      (basicConstraints?.ca !== true &&
        ocspUris.length === 0 &&
        !extensions.has(OID.cRLDistributionPoints) &&
        !extensions.has(OID.freshestCRL)),
  },
];
