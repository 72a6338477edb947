import { isUtf8 } from 'node:buffer';
import { TAG } from './tags.js';

const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;

/** True for text that PrintableString can hold (X.680 41.4). */
export const isPrintable = (text: string): boolean => PRINTABLE.test(text);

/** Text of a character string's content octets, or undefined if the tag is no string or the octets break its alphabet. */
export function decodeText(tag: number, content: Buffer): string | undefined {
  switch (tag) {
    case TAG.utf8String:
      return isUtf8(content) ? content.toString('utf8') : undefined;
    case TAG.printableString:
    case TAG.numericString:
    case TAG.visibleString:
    case TAG.ia5String: {
      const text = content.toString('latin1');
      return isAscii(content) && !(tag === TAG.numericString && /[^0-9 ]/.test(text)) ? text : undefined;
    }
    case TAG.teletexString:
      // Every issuer that still writes it means Latin-1, whatever T.61 says.
      return content.toString('latin1');
    case TAG.bmpString:
      return content.length % 2 === 0 ? wellFormed(Buffer.from(content).swap16().toString('utf16le')) : undefined;
    case TAG.universalString:
      return decodeUtf32(content);
    default:
      return undefined;
  }
}

function isAscii(content: Buffer): boolean {
  for (let i = 0; i < content.length; i++) if ((content[i] as number) > 0x7f) return false;
  return true;
}

const wellFormed = (text: string): string | undefined => (text.isWellFormed() ? text : undefined);

function decodeUtf32(content: Buffer): string | undefined {
  if (content.length % 4 !== 0) return undefined;
  let text = '';
  for (let i = 0; i < content.length; i += 4) {
    const point = content.readUInt32BE(i);
    if (point > 0x10ffff) return undefined;
    text += String.fromCodePoint(point);
  }
  return wellFormed(text);
}
