import { DerReader } from './der/read.js';
import { contextConstructedTag } from './der/tags.js';
import { der, sortSetOf } from './der/write.js';
import { OID } from './oids.js';

const VERSION_1 = der.integer(1);
const EMPTY_SET = der.setOf();
const DATA_WITHOUT_CONTENT = der.sequence(der.oid(OID.data));

/**
 * A certs-only CMS message (E30; RFC 7030 4.1.3, RFC 5652 5.2): SignedData of version 1 without signers, digest algorithms or content.
 * The certificates stand in the order that DER gives a SET OF, whatever the order of the argument.
 */
export function certsOnly(certificates: Buffer[]): Buffer {
  const signedData = der.sequence(
    VERSION_1,
    EMPTY_SET,
    DATA_WITHOUT_CONTENT,
    der.constructed(0, ...sortSetOf(certificates)),
    EMPTY_SET,
  );
  return der.sequence(der.oid(OID.signedData), der.constructed(0, signedData));
}

/** The certificates of a certs-only message in its order. Throws AuthorityError 'malformed'. */
export function readCertsOnly(cms: Buffer): Buffer[] {
  const content = DerReader.openSequence(cms, 'CMS message', { maxBytes: 1 << 20, maxDepth: 24, maxNodes: 4_096 });
  if (content.oid() !== OID.signedData) content.fail('is no SignedData');
  const wrapped = content.enter(contextConstructedTag(0));
  const signedData = wrapped.sequence();
  wrapped.finish();
  content.finish();
  signedData.smallInteger();
  signedData.set();
  signedData.sequence();
  const certificates: Buffer[] = [];
  const list = signedData.optionalContext(0);
  while (list !== undefined && !list.done) certificates.push(list.element());
  if (signedData.peekTag() === contextConstructedTag(1)) signedData.skip();
  if (!signedData.set().done) signedData.fail('has signers where certificates alone belong');
  signedData.finish();
  return certificates;
}
