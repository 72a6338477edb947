import { AuthorityError } from '#kernel';

/**
 * One byte string for a list of texts or bytes, injective: each part is preceded by its length (4 bytes, big-endian),
 * so that no two different lists give the same bytes.
 */
export function encodeParts(parts: readonly (string | Uint8Array)[]): Buffer {
  let size = 0;
  for (const part of parts) size += 4 + byteLength(part);
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const part of parts) {
    const length = typeof part === 'string' ? out.write(part, at + 4, 'utf8') : writeBytes(out, part, at + 4);
    out.writeUInt32BE(length, at);
    at += 4 + length;
  }
  return out;
}

/**
 * Names and values as one byte string: sorted by name (UTF-16 code units), so that the order in which the record was
 * written does not matter, and injective.
 */
export function encodeFields(fields: Readonly<Record<string, string>>): Buffer {
  const parts: string[] = [];
  for (const name of Object.keys(fields).sort()) parts.push(name, fields[name] ?? '');
  return encodeParts(parts);
}

/**
 * `encodeFields` for many rows of one shape: the names are sorted and encoded once. Values are given in the order of
 * `names`; the bytes equal those of `encodeFields`. `internal` when the counts differ or a name stands twice.
 */
export function rowEncoder(names: readonly string[]): (values: readonly string[]) => Buffer {
  if (new Set(names).size !== names.length) throw new AuthorityError('internal', 'a field name is given twice');
  const order = names
    .map((name, index) => ({ name, index }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, index }) => ({ index, head: encodeParts([name]) }));
  const heads = order.reduce((sum, { head }) => sum + head.length + 4, 0);
  return (values) => {
    if (values.length !== names.length) {
      throw new AuthorityError('internal', `${values.length} values given for ${names.length} fields`);
    }
    let size = heads;
    for (const value of values) size += byteLength(value);
    const out = Buffer.allocUnsafe(size);
    let at = 0;
    for (const { head, index } of order) {
      at += writeBytes(out, head, at);
      const length = out.write(values[index] ?? '', at + 4, 'utf8');
      out.writeUInt32BE(length, at);
      at += 4 + length;
    }
    return out;
  };
}

function byteLength(part: string | Uint8Array): number {
  if (typeof part !== 'string') return part.length;
  // UTF-8 writes every lone surrogate as U+FFFD, which would make different texts equal.
  if (!part.isWellFormed())
    throw new AuthorityError('malformed', 'a text holds half of a surrogate pair; send Unicode');
  return Buffer.byteLength(part, 'utf8');
}

function writeBytes(out: Buffer, bytes: Uint8Array, at: number): number {
  out.set(bytes, at);
  return bytes.length;
}
