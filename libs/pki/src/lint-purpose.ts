import { KEY_USAGES, type KeyUsage } from './certificate-extensions.js';
import type { LintRule } from './lint.js';
import { OID } from './oids.js';
import { isKemKey, type KeyType } from './public-key.js';

/** Bits that an algorithm cannot mean: RFC 8813 section 3 (EC), RFC 9295 section 3 (Ed25519), RFC 9881 section 5, RFC 9935 section 5, RFC 3279 2.3.1 (RSA). */
function impossibleUsages(keyType: KeyType): readonly KeyUsage[] {
  if (keyType.startsWith('rsa-')) return ['keyAgreement', 'encipherOnly', 'decipherOnly'];
  if (keyType.startsWith('ec-')) return ['keyEncipherment', 'dataEncipherment'];
  if (isKemKey(keyType)) return KEY_USAGES.filter((usage) => usage !== 'keyEncipherment');
  return ['keyEncipherment', 'dataEncipherment', 'keyAgreement', 'encipherOnly', 'decipherOnly'];
}

/** RFC 5280 4.2.1.12: of these bits at least one makes the purpose possible. */
const USAGES_BY_PURPOSE: ReadonlyMap<string, readonly KeyUsage[]> = new Map<string, readonly KeyUsage[]>([
  [OID.serverAuth, ['digitalSignature', 'keyEncipherment', 'keyAgreement']],
  [OID.clientAuth, ['digitalSignature', 'keyAgreement']],
  [OID.codeSigning, ['digitalSignature']],
  [OID.emailProtection, ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'keyAgreement']],
  [OID.timeStamping, ['digitalSignature', 'nonRepudiation']],
  [OID.ocspSigning, ['digitalSignature', 'nonRepudiation']],
]);

const some = (usages: readonly KeyUsage[], set: readonly KeyUsage[]): boolean =>
  usages.some((usage) => set.includes(usage));

/** Whether one of these usages makes the purpose (OID) possible; of a purpose that no RFC ties to usages each does (X17). */
export function fitsPurpose(purpose: string, usages: readonly KeyUsage[]): boolean {
  const possible = USAGES_BY_PURPOSE.get(purpose);
  return possible === undefined || some(possible, usages);
}

/** Rules about what a key may be used for. */
export const PURPOSE_RULES: readonly LintRule[] = [
  {
    id: 'X15.certSign',
    severity: 'error',
    text: 'keyCertSign is set exactly in CA certificates',
    holds: ({ keyUsage, basicConstraints }) =>
      (keyUsage?.includes('keyCertSign') === true) === (basicConstraints?.ca === true),
  },
  {
    id: 'X15.crlSign',
    severity: 'notice',
    text: 'cRLSign is set in CA certificates only',
    holds: ({ keyUsage, basicConstraints }) => keyUsage?.includes('cRLSign') !== true || basicConstraints?.ca === true,
  },
  {
    id: 'X15.profile',
    severity: 'notice',
    text: 'the profile allows every usage that is set',
    holds: ({ keyUsage }, rules) => (keyUsage ?? []).every((usage) => rules.keyUsage.includes(usage)),
  },
  {
    id: 'X16.algorithm',
    severity: 'error',
    text: 'every usage that is set is possible with this type of key',
    holds: ({ keyUsage, publicKey }) => !some(keyUsage ?? [], impossibleUsages(publicKey.keyType)),
  },
  {
    id: 'X16.agreement',
    severity: 'error',
    text: 'encipherOnly and decipherOnly are not both set, and only beside keyAgreement',
    holds: ({ keyUsage = [] }) => {
      const only = (['encipherOnly', 'decipherOnly'] as const).filter((usage) => keyUsage.includes(usage));
      return only.length === 0 || (only.length === 1 && keyUsage.includes('keyAgreement'));
    },
  },
  {
    id: 'X17.profile',
    severity: 'notice',
    text: 'the profile allows every purpose that is named, and one is named if it has any',
    holds: ({ eku }, rules) =>
      (eku !== undefined) === rules.eku.length > 0 && (eku ?? []).every((oid) => rules.eku.includes(oid)),
  },
  {
    id: 'X17.usage',
    severity: 'error',
    text: 'every purpose that is named is possible with the usages that are set',
    holds: ({ eku, keyUsage }) => (eku ?? []).every((oid) => fitsPurpose(oid, keyUsage ?? [])),
  },
  {
    id: 'X17.any',
    severity: 'warning',
    text: 'anyExtendedKeyUsage is not named',
    holds: ({ eku }) => eku?.includes(OID.anyExtendedKeyUsage) !== true,
  },
  {
    id: 'X17.repeated',
    severity: 'notice',
    text: 'no purpose is named twice',
    holds: ({ eku }) => new Set(eku).size === (eku ?? []).length,
  },
  {
    id: 'O34.delegate',
    severity: 'error',
    text: 'ocsp-nocheck stands exactly in OCSP delegates, and without CRL or OCSP URI',
    holds: ({ eku, extensions, crlUris, ocspUris }) => {
      const noCheck = extensions.has(OID.ocspNoCheck);
      return (
        noCheck === (eku?.includes(OID.ocspSigning) === true) && !(noCheck && crlUris.length + ocspUris.length > 0)
      );
    },
  },
];
