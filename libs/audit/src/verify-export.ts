import { AuthorityError } from '#kernel';
import { openCheckpoint, type Checkpoint } from './checkpoint.js';
import { ENTRY_START } from './line.js';
import { GrowingTree, leafHash } from './merkle.js';
import type { NoteKey } from './signed-note.js';

const LINE_END = 0x0a;
const MAX_LINE_BYTES = 1024 * 1024;

/**
 * Whether an export holds exactly the leaves of a checkpoint, in order: line n is leaf n. Trust comes from `key` and
 * `checkpoint` alone, which must not come with the export. Throws `invalid` (`malformed` for a checkpoint that cannot be
 * read) with one sentence on what is wrong.
 */
export async function verifyExport(
  chunks: AsyncIterable<Buffer>,
  key: NoteKey,
  checkpoint: string,
): Promise<Checkpoint> {
  const { origin, size, root } = openCheckpoint(checkpoint, key);
  const lines = new ExportLines(size);
  for await (const chunk of chunks) lines.push(chunk);
  lines.end();
  if (!lines.tree.root().equals(root)) throw wrong('exportRoot', describeDifference(size, lines.odd));
  return { origin, size, root };
}

class ExportLines {
  readonly tree = new GrowingTree();
  /** Number of the first line that does not look like an entry as it was written. */
  odd: number | undefined;
  private rest: Buffer[] = [];
  private restBytes = 0;

  constructor(private readonly size: number) {}

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(LINE_END); end !== -1; end = chunk.indexOf(LINE_END, start)) {
      const tail = chunk.subarray(start, end);
      this.add(this.rest.length === 0 ? tail : Buffer.concat([...this.rest, tail]));
      this.rest = [];
      this.restBytes = 0;
      start = end + 1;
    }
    if (start === chunk.length) return;
    this.rest.push(chunk.subarray(start));
    this.restBytes += chunk.length - start;
    if (this.restBytes > MAX_LINE_BYTES) {
      throw wrong('exportLine', `line ${this.tree.size + 1} is longer than any entry`);
    }
  }

  end(): void {
    if (this.rest.length > 0) throw wrong('exportLine', `line ${this.tree.size + 1} has no end: the file was cut off`);
    if (this.tree.size < this.size) {
      throw wrong('exportSize', `too few lines: ${this.tree.size}, and the checkpoint has ${this.size} leaves`);
    }
  }

  private add(line: Buffer): void {
    if (this.tree.size === this.size) {
      throw wrong('exportSize', `too many lines: the checkpoint has ${this.size} leaves, and a line follows them`);
    }
    if (this.odd === undefined && line.toString('latin1', 0, ENTRY_START.length) !== ENTRY_START) {
      this.odd = this.tree.size + 1;
    }
    this.tree.add(leafHash(line));
  }
}

function describeDifference(size: number, odd: number | undefined): string {
  const hint = odd === undefined ? '' : `; line ${odd} is not an entry as it was written`;
  return `the ${size} lines are not the leaves that were signed: at least one was changed, moved or replaced${hint}`;
}

const wrong = (code: string, detail: string) => new AuthorityError('invalid', detail, { code });
