import { isAuthorityError } from '#kernel';
import { DerReader, OID, type Certificate, type GeneralName } from '#pki';
import type { IdentitySource } from './trust-anchors.js';

const MAX_LENGTH = 200;

/**
 * What a manufacturer's certificate names its device by. Undefined where it does not, or not by exactly one readable
 * value: a device that has two names has none.
 */
export function manufacturerIdentity(source: IdentitySource, certificate: Certificate): string | undefined {
  const found = valuesOf(source, certificate);
  const [value = ''] = found;
  const readable = value.length <= MAX_LENGTH && /^[^\p{Cc}\p{Cn}]+$/u.test(value);
  return found.length === 1 && readable ? value : undefined;
}

function valuesOf(source: IdentitySource, certificate: Certificate): string[] {
  switch (source) {
    case 'serialNumber':
      return attributes(certificate, OID.serialNumber);
    case 'commonName':
      return attributes(certificate, OID.commonName);
    case 'hardwareModuleName':
      return certificate.san.flatMap((name) =>
        name.type === 'other' && name.oid === OID.hardwareModuleName ? hardwareModule(name) : [],
      );
    case 'key':
      return [certificate.publicKey.sha256.toString('hex')];
  }
}

const attributes = ({ subject }: Certificate, type: string): string[] =>
  subject.flatMap((rdn) => rdn.filter((one) => one.type === type).map((one) => one.value));

/** RFC 4108 section 5: SEQUENCE of hwType and hwSerialNum, written as `<OID>:<hex>`. */
function hardwareModule(name: GeneralName & { type: 'other' }): string[] {
  try {
    const fields = DerReader.openSequence(name.value, 'hardwareModuleName');
    const type = fields.oid();
    const serial = fields.octetString();
    fields.finish();
    return serial.length === 0 ? [] : [`${type}:${serial.toString('hex')}`];
  } catch (error) {
    if (isAuthorityError(error)) return [];
    throw error;
  }
}
