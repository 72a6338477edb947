import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der } from './der/write.js';
import type { GeneralName } from './general-name.js';

/** An otherName whose value is a UTF8String: XmppAddr (RFC 6120 section 13.7.1.4), SmtpUTF8Mailbox (RFC 9598 section 3). */
export function textOtherName(oid: string, text: string): GeneralName {
  return { type: 'other', oid, value: der.utf8String(text) };
}

/** The text of such an otherName. Throws AuthorityError 'malformed' for a value that is no UTF8String, or more than one. */
export function otherNameText(name: Extract<GeneralName, { type: 'other' }>): string {
  const reader = DerReader.open(name.value, 'otherName');
  if (reader.peekTag() !== TAG.utf8String) reader.fail('is not a UTF8String');
  const text = reader.text();
  reader.finish();
  return text;
}
