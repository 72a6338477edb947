import { AuthorityError } from '#kernel';
import {
  checkKeyStrength,
  encodeName,
  encodeNameConstraints,
  namesEqual,
  nameToString,
  readCertificate,
  readCsr,
  type Name,
  type NameConstraintsTemplate,
  type SubjectPublicKey,
} from '#pki';
import { isKeyBlocked } from '#store';
import { issuerAudit } from '../announce-issuer.js';
import { completeNow } from '../complete-ca.js';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { prepareLink, recordLink, type PreparedLink } from '../prepare-ca.js';
import { requireIssuer } from './activate-issuer.js';
import { checkValidity, requireCertifier } from './check-plan.js';
import type { Operation } from './operation.js';

export type CrossSigning = Readonly<{
  linkId: string;
  issuerId: string;
  /** DER, base64: of a customer's CA its request (form `subCa`), of a foreign CA a certificate of its key (form `cross`). */
  csr?: string | undefined;
  certificate?: string | undefined;
  pathLen?: number | undefined;
  nameConstraints?: NameConstraintsTemplate | undefined;
  /** Said aloud where no name constraints are wanted. */
  unconstrained?: boolean | undefined;
  validitySeconds?: number | undefined;
}>;

export interface ForeignCa {
  form: 'subCa' | 'cross';
  subject: Name;
  publicKey: SubjectPublicKey;
}

const invalid = (member: string, text: string): AuthorityError =>
  new AuthorityError('invalid', `${member}: ${text}`, { member });

/**
 * A certificate of ours for the key of another CA: a customer's under ours, or a foreign one that ours vouches for. Bounded by
 * path length and name constraints; without the latter only where that is asked for. Its key is never taken for a device's.
 */
export const crossSign: Operation<CrossSigning> = {
  name: 'ca.crossSign',
  permission: 'issuer:change',
  subject: ({ issuerId }) => `issuer:${issuerId}`,

  async check(tx, a, _actor, wish) {
    const issuer = await requireIssuer(tx, a, wish.issuerId);
    requireCertifier(a, issuer);
    const { pathLen = 0, nameConstraints, unconstrained, validitySeconds } = wish;
    if ((nameConstraints === undefined) !== (unconstrained === true)) {
      throw invalid('nameConstraints', 'say which names it may certify, or that it is unconstrained');
    }
    if (nameConstraints !== undefined) encodeNameConstraints(nameConstraints);
    if (issuer.pathLen !== undefined && pathLen >= issuer.pathLen) {
      throw invalid('pathLen', `must be smaller than that of ${issuer.name}, ${issuer.pathLen}`);
    }
    checkValidity(a, validitySeconds, currentProfile(a, 'sub-ca').validitySeconds, issuer);
    const { publicKey } = await readForeign(a, wish);
    if (await isKeyBlocked(tx, publicKey.sha256)) {
      throw new AuthorityError('forbidden', 'this key may not be certified any more', { code: 'keyBlocked' });
    }
  },

  async prepare(a, wish): Promise<PreparedLink> {
    const { form, subject, publicKey } = await readForeign(a, wish);
    const { pathLen = 0, nameConstraints, validitySeconds } = wish;
    const link = { id: wish.linkId, form, subjectIssuerId: null, name: nameToString(subject).slice(0, 200) };
    const issuer = await a.issuers.require(wish.issuerId);
    return prepareLink(a, issuer, link, { subject, publicKey, pathLen, nameConstraints, validitySeconds });
  },

  async execute(tx, a, actor, { linkId, issuerId }, { prepared }) {
    const link = prepared as PreparedLink;
    await recordLink(tx, a, actor, link);
    const { form, name } = link.row;
    const serial = link.intent.row.serial.toString('hex');
    return {
      audits: [issuerAudit(a, 'ca.crossSigned', { id: issuerId }, { form, name, linkId, serial })],
      changes: [],
      result: { linkId, issuerId, serial },
    };
  },

  async after(a, actor, { linkId }) {
    await completeNow(a, actor, [linkId]);
  },
};

/** Name and key of the other CA; its name as UTF8String, which RFC 5280 section 7.1 compares as equal. */
async function readForeign(a: AuthorityContext, wish: CrossSigning): Promise<ForeignCa> {
  const { form, subject, publicKey } = foreignCa(wish);
  const member = form === 'subCa' ? 'csr' : 'certificate';
  if (subject.length === 0) throw invalid(member, 'a CA has a subject');
  const { keyTypes } = currentProfile(a, 'sub-ca');
  if (!keyTypes.includes(publicKey.keyType)) throw invalid(member, `its key must be one of ${keyTypes.join(', ')}`);
  checkKeyStrength(publicKey);
  const name = encodeName(subject);
  if ((await a.issuers.list()).some((one) => namesEqual(one.subjectDer, name))) {
    throw invalid(member, 'it has the name of one of our own CAs');
  }
  return { form, subject, publicKey };
}

/** The CA that is to be certified, read out of what came from it. */
export function foreignCa({ csr, certificate }: Pick<CrossSigning, 'csr' | 'certificate'>): ForeignCa {
  if (csr === undefined && certificate !== undefined) return ofCertificate(certificate);
  if (csr === undefined || certificate !== undefined) throw invalid('csr', 'send a request or a certificate');
  const { subject, publicKey } = readCsr(decode(csr));
  return { form: 'subCa', subject, publicKey };
}

function ofCertificate(text: string): ForeignCa {
  const { basicConstraints, keyUsage, subject, publicKey } = readCertificate(decode(text));
  if (basicConstraints?.ca !== true || keyUsage?.includes('keyCertSign') === false) {
    throw invalid('certificate', 'it is not that of a CA');
  }
  return { form: 'cross', subject, publicKey };
}

const decode = (base64: string): Buffer => Buffer.from(base64, 'base64');
