import { AuthorityError } from '#kernel';

/** A CRL of a million entries has 40 MB; the reader of CRLs stops at 128 MiB too. */
export const MAX_FRAME = 128 * 1024 * 1024;
/** Before the other side has shown that it knows the secret. */
export const MAX_GREETING = 1024;

const LENGTH_BYTES = 4;

/** Length (4 octets, big endian) and content. */
export function frame(...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(LENGTH_BYTES);
  head.writeUInt32BE(length);
  return Buffer.concat([head, ...parts]);
}

/** Cuts a stream into frames. Nothing is kept beyond `limit`: a longer frame throws `tooLarge` from its length alone. */
export class FrameReader {
  /** Rises once the other side is known. */
  limit: number;
  private chunks: Buffer[] = [];
  private size = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** The frames that are complete now, without their lengths. */
  *push(chunk: Buffer): Iterable<Buffer> {
    this.chunks.push(chunk);
    this.size += chunk.length;
    for (;;) {
      if (this.size < LENGTH_BYTES) return;
      const length = this.peekLength();
      if (length > this.limit) throw new AuthorityError('tooLarge', `a frame of ${length} octets`);
      if (this.size < LENGTH_BYTES + length) return;
      const whole = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
      const rest = whole.subarray(LENGTH_BYTES + length);
      this.chunks = rest.length === 0 ? [] : [rest];
      this.size = rest.length;
      yield whole.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
    }
  }

  private peekLength(): number {
    const [first] = this.chunks;
    if (first !== undefined && first.length >= LENGTH_BYTES) return first.readUInt32BE();
    this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0]!.readUInt32BE();
  }
}
