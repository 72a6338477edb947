import { createHmac } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { encodeFields, encodeParts } from './fields.js';

const MAC_BYTES = 32;
/** Equally long and different, so that a row's MAC is never one of a chain under the same key. */
const ROW_LABEL = 'touchmark:row:1';
const CHAIN_LABEL = 'touchmark:chn:1';

/** What the first row of a chain takes as the previous MAC. */
export const CHAIN_START: Buffer = Buffer.alloc(MAC_BYTES);

/** HMAC-SHA-256 over table and fields, 32 bytes, injective: a row edited by SQL alone is not believed. */
export function rowMac(key: KeyObject | Buffer, table: string, fields: Readonly<Record<string, string>>): Buffer {
  return createHmac('sha256', key)
    .update(ROW_LABEL)
    .update(encodeParts([table, encodeFields(fields)]))
    .digest();
}

/** The MAC of one row of a chain: covers the row and, through `previous` (32 bytes), every row before it. */
export function chainMac(key: Buffer, previous: Buffer, fields: Readonly<Record<string, string>>): Buffer {
  return chainMacRow(key, previous, encodeFields(fields));
}

/**
 * `chainMac` for a row already encoded (`encodeFields`, `rowEncoder`). Pass a KeyObject when walking many rows: about
 * 2 us a row, against 10 with a Buffer, whose key OpenSSL sets up anew each time. A cut-off end is not seen by the
 * chain: compare the last MAC with the counter row.
 */
export function chainMacRow(key: KeyObject | Buffer, previous: Buffer, encodedRow: Buffer): Buffer {
  if (previous.length !== MAC_BYTES) {
    throw new AuthorityError('internal', `The previous MAC of a chain has 32 bytes, not ${previous.length}`);
  }
  return createHmac('sha256', key).update(CHAIN_LABEL).update(previous).update(encodedRow).digest();
}
