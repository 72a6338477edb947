import { isAuthorityError } from '#kernel';
import { CSR_LIMITS, readAlgorithm, readAttributes, readSubject, type Attributes } from './csr.js';
import { DerReader } from './der/read.js';
import { walkDer } from './der/walk.js';
import type { Name } from './name.js';
import { OID } from './oids.js';
import { parsePublicKey, type KeyType } from './public-key.js';

/** A request for a key that the server makes (RFC 7030 section 4.4.1): names and wishes, and nothing proved. */
export interface KeyRequest extends Attributes {
  der: Buffer;
  subject: Name;
  subjectDer: Buffer;
  /** The kind of key that stands in the request; of the key itself nothing is used (E101). */
  wantedKeyType: KeyType;
  /** OIDs of SMIMECapabilities with the DER of their parameters; undefined: the attribute is absent. */
  capabilities: { oid: string; parameters: Buffer | undefined }[] | undefined;
  /** Asks for encryption to a symmetric key (RFC 4108 section 2.2.5). */
  decryptKeyId: Buffer | undefined;
  /** Asks for encryption to an asymmetric key (RFC 7030 section 4.4.1.2). */
  asymmetricDecryptKeyId: Buffer | undefined;
}

const MAX_CAPABILITIES = 64;
const MAX_KEY_ID_OCTETS = 64;

/**
 * Reads a PKCS#10 whose public key and signature mean nothing (E101): even a signature that does not verify, or a key that is none, is
 * no error. Its names and attributes are read as those of any request. Throws `malformed` and `tooLarge`.
 */
export function readKeyRequest(der: Buffer): KeyRequest {
  walkDer(der, 'CSR', CSR_LIMITS);
  const outer = DerReader.openSequence(der, 'CSR', CSR_LIMITS);
  const body = outer.sequence();
  readAlgorithm(outer);
  outer.bitString();
  outer.finish();
  if (body.smallInteger() !== 0) body.fail('is not of version v1');
  const subjectDer = body.element();
  const subject = readSubject(body, subjectDer);
  const wantedKeyType = keyTypeOf(body.element());
  const wishes = { capabilities: undefined, decryptKeyId: undefined, asymmetricDecryptKeyId: undefined };
  const attributes = readAttributes(body, (type, values) => readWish(wishes, type, values));
  body.finish();
  return { der, subject, subjectDer, wantedKeyType, ...wishes, ...attributes };
}

function keyTypeOf(spki: Buffer): KeyType {
  try {
    return parsePublicKey(spki).keyType;
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    return 'unknown';
  }
}

type Wishes = Partial<Pick<KeyRequest, 'capabilities' | 'decryptKeyId' | 'asymmetricDecryptKeyId'>>;

function readWish(wishes: Wishes, type: string, values: DerReader): void {
  switch (type) {
    case OID.smimeCapabilities:
      wishes.capabilities = readCapabilities(values.sequence());
      break;
    case OID.decryptKeyIdentifier:
      wishes.decryptKeyId = readKeyId(values);
      break;
    case OID.asymmetricDecryptKeyIdentifier:
      wishes.asymmetricDecryptKeyId = readKeyId(values);
      break;
    default:
      return;
  }
  values.finish();
}

/** RFC 8551 section 2.5.2. */
function readCapabilities(list: DerReader): NonNullable<KeyRequest['capabilities']> {
  const capabilities: NonNullable<KeyRequest['capabilities']> = [];
  while (!list.done) {
    if (capabilities.length === MAX_CAPABILITIES) list.fail(`has more than ${MAX_CAPABILITIES} SMIMECapabilities`);
    const capability = list.sequence();
    capabilities.push({ oid: capability.oid(), parameters: capability.done ? undefined : capability.element() });
    capability.finish();
  }
  return capabilities;
}

function readKeyId(values: DerReader): Buffer {
  const id = values.octetString();
  if (id.length === 0 || id.length > MAX_KEY_ID_OCTETS) {
    values.fail(`has a key identifier that is not of 1 to ${MAX_KEY_ID_OCTETS} octets`);
  }
  return id;
}
