import { AuthorityError } from '#kernel';

/** Of the encoded body, in bytes; also the limit of the EST plane's body parser. */
export const MAX_BODY_BYTES = 65_536;

const SPACE = 64;
const PAD = 65;
const FOREIGN = 66;

const VALUES = ((): Uint8Array => {
  const values = new Uint8Array(256).fill(FOREIGN);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  for (const space of ' \t\r\n') values[space.charCodeAt(0)] = SPACE;
  values['='.charCodeAt(0)] = PAD;
  return values;
})();

/**
 * The DER inside a request body: base64 of RFC 4648 section 4, padded, as RFC 8951 section 3 demands; SP, TAB, CR and LF
 * are skipped anywhere (3.1), whatever `Content-Transfer-Encoding` says (E21). One byte string has one spelling: the
 * bits left over in the last character must be zero. One pass, one allocation. `malformed` with a text that names the
 * fault (PEM and raw DER are recognized, E24), `tooLarge` above 64 KiB.
 */
export function decodeBody(body: Buffer): Buffer {
  if (body.length > MAX_BODY_BYTES) {
    throw new AuthorityError('tooLarge', `The body is larger than ${MAX_BODY_BYTES} bytes`);
  }
  const der = decodeBase64(body, true);
  if (typeof der === 'string') throw new AuthorityError('malformed', explain(body, der));
  if (der.length === 0) throw new AuthorityError('malformed', 'The body is empty; send the base64 of a DER request');
  return der;
}

/** The bytes, or what is wrong with the text as half a sentence. White space is skipped only if `allowSpace`. */
export function decodeBase64(text: Buffer, allowSpace: boolean): Buffer | string {
  const out = Buffer.allocUnsafe(Math.floor((text.length * 3) / 4) + 3);
  let size = 0;
  let bits = 0;
  let digits = 0;
  let pads = 0;
  for (let at = 0; at < text.length; at++) {
    const value = VALUES[text[at] ?? 0] ?? FOREIGN;
    if (value < SPACE) {
      if (pads > 0) return 'it goes on after its padding';
      bits = (bits << 6) | value;
      digits++;
      if ((digits & 3) === 0) {
        out[size++] = bits >> 16;
        out[size++] = bits >> 8;
        out[size++] = bits;
        bits = 0;
      }
    } else if (value === PAD) {
      pads++;
    } else if (value === FOREIGN || !allowSpace) {
      return `it holds a character outside the base64 alphabet of RFC 4648 section 4 at byte ${at}`;
    }
  }
  const rest = digits & 3;
  if (rest === 1 || pads !== (rest === 0 ? 0 : 4 - rest)) return 'its length or its padding is wrong';
  if (rest === 2) {
    if ((bits & 0x0f) !== 0) return 'its last character has bits that are not zero';
    out[size++] = bits >> 4;
  } else if (rest === 3) {
    if ((bits & 0x03) !== 0) return 'its last character has bits that are not zero';
    out[size++] = bits >> 10;
    out[size++] = bits >> 2;
  }
  return out.subarray(0, size);
}

/**
 * Base64 for an answer (RFC 8951 section 3): one line and LF, or lines of 64 columns (E23 E23a).
 */
export function encodeBody(der: Buffer, form: LineForm): Buffer {
  const line = der.toString('base64');
  return Buffer.from(form === 'oneLine' ? `${line}\n` : line.replace(/.{1,64}/g, '$&\n'), 'latin1');
}

export type LineForm = 'oneLine' | 'columns64';

/**
 * The form a client can read (E23a): libest, which calls itself `libest ...` or, in older and vendor builds,
 * `Cisco EST client ...`, fails on one long line, strongSwan on broken ones. One line is the default. A label may fix it.
 */
export function lineForm(wanted: 'auto' | 'single' | 'wrapped', userAgent: string | undefined): LineForm {
  if (wanted !== 'auto') return wanted === 'single' ? 'oneLine' : 'columns64';
  return userAgent !== undefined && /^(?:libest|cisco est client)/i.test(userAgent) ? 'columns64' : 'oneLine';
}

function explain(body: Buffer, fault: string): string {
  if (body.includes('-----BEGIN')) {
    return 'The body is PEM; send the base64 of the DER alone, without the BEGIN and END lines (RFC 8951 section 3)';
  }
  if (body[0] === 0x30 && (body[1] ?? 0) >= 0x80) {
    return 'The body looks like raw DER; send it in base64 (RFC 8951 section 3)';
  }
  return `The body is not base64: ${fault}`;
}
