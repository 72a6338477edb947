import { AuthorityError } from '#kernel';
import { OID, validatePath, type Certificate, type PathFailure, type PathSuccess } from '#pki';
import { manufacturerIdentity } from '#policy';
import { anchorRevocation } from '../../anchor-crl.js';
import type { AuthorityContext } from '../../context.js';
import { currentAnchors, type CurrentAnchors } from '../../current-anchors.js';
import { parseLeaf } from './own-certificate.js';
import type { Way } from './principal.js';

/**
 * A certificate of a third party, as an IDevID of IEEE 802.1AR: path to one of the sets of trust anchors that the label
 * takes, and to nothing else (RFC 7030 section 3.3.2, E41). It counts for a first certificate; what we issue renews itself.
 */
export const byManufacturer: Way = {
  method: 'manufacturer',
  serves: ['simpleenroll'],
  byCertificate: true,
  asks: "the device's certificate of its manufacturer in the TLS handshake",

  async read(a, { presented, label }) {
    const der = presented.peerCertificate();
    if (der === undefined) return undefined;
    const certificate = parseLeaf(der);
    let refusal: PathFailure | undefined;
    for (const name of label.anchors) {
      const set = currentAnchors(a, name);
      if (set === undefined) continue;
      const result = await validate(a, set, certificate);
      if (result.ok) return accepted(set, result, certificate);
      // Who issued it is the first question: what another set says about a stranger tells nothing.
      if (refusal === undefined || refusal.code === 'noPath') refusal = result;
    }
    if (refusal !== undefined) throw refused(refusal);
    return undefined;
  },
};

async function validate(a: AuthorityContext, set: CurrentAnchors, leaf: Certificate) {
  return validatePath({
    leaf,
    intermediates: set.known,
    anchors: set.trusted,
    at: a.clock.now(),
    eku: OID.clientAuth,
    revocation: await anchorRevocation(a, set),
  });
}

function accepted(set: CurrentAnchors, { anchor }: PathSuccess, certificate: Certificate) {
  if (certificate.basicConstraints?.ca === true || certificate.keyUsage?.includes('digitalSignature') === false) {
    throw new AuthorityError('forbidden', 'the client certificate is not meant for a device to prove itself with');
  }
  const identity = manufacturerIdentity(set.identity, certificate);
  if (identity === undefined) {
    throw new AuthorityError('forbidden', `the client certificate names its device by no single ${set.identity}`);
  }
  const trusted = anchor.certificate?.sha256.toString('hex') ?? '';
  return { method: 'manufacturer', set, anchor: trusted, identity, certificate } as const;
}

function refused({ code, detail }: PathFailure): AuthorityError {
  switch (code) {
    case 'revoked':
      return new AuthorityError('forbidden', 'the client certificate, or who issued it, is revoked');
    case 'expired':
      return new AuthorityError('forbidden', 'the client certificate, or who issued it, has expired');
    case 'revocationUnknown':
      return new AuthorityError('forbidden', 'whether the client certificate is revoked is not known just now', {
        code: 'revocationUnknown',
      });
    default:
      return new AuthorityError('forbidden', `the client certificate is not accepted: ${detail}`);
  }
}
