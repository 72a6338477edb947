import { OID, otherNameText, textOtherName, type GeneralName } from '#pki';
import { nameText, readName, readTypedName, type DeviceName } from './read-name.js';

/** Where a name stands in subjectAltName: URI, dNSName, iPAddress, rfc822Name, or otherName for what ASCII cannot say (X21). */
export function generalNameOf(name: DeviceName): GeneralName {
  const { type, value } = name;
  switch (type) {
    case 'dns':
    case 'ip':
      return { type, value };
    case 'email':
      return /^[\0-\x7f]*$/.test(value) ? { type, value } : textOtherName(OID.smtpUtf8Mailbox, value);
    case 'xmpp':
      return textOtherName(OID.xmppAddr, value);
    default:
      return { type: 'uri', value: nameText(name) };
  }
}

/** URI schemes that have a type of name; another URI is not judged here. */
const KNOWN_URI = /^(sips?|im|pres|urn:uuid):/i;

/**
 * The name that a GeneralName is, canonical; undefined for one of a form that no profile knows. Throws `invalid` or
 * `malformed` for one that has a known form and breaks it.
 */
export function readGeneralNameForm(name: GeneralName): DeviceName | undefined {
  switch (name.type) {
    case 'uri':
      return KNOWN_URI.test(name.value) ? readName(name.value) : undefined;
    case 'dns':
    case 'ip':
    case 'email':
      return readTypedName(name.type, name.value);
    case 'other':
      if (name.oid === OID.xmppAddr) return readTypedName('xmpp', otherNameText(name));
      return name.oid === OID.smtpUtf8Mailbox ? readTypedName('email', otherNameText(name)) : undefined;
    default:
      return undefined;
  }
}
