import { createHash } from 'node:crypto';
import { appendFile, readFile } from 'node:fs/promises';
import { AuthorityError, type Clock } from '#kernel';

export interface Participant {
  name: string;
  role: string;
}

/** A file that a step read or wrote. */
export interface FileHash {
  file: string;
  /** Lower-case hex. */
  sha256: string;
}

/** What a line says beside its number, its time and the line before. */
export interface TranscriptFacts {
  event: 'begun' | 'step' | 'ended' | 'aborted';
  /** Of `begun`: what everything after it belongs to. */
  title?: string;
  place?: string;
  tool?: string;
  participants?: readonly Participant[];
  /** Of `step`. */
  step?: string;
  confirmedBy?: string;
  inputs?: readonly FileHash[];
  outputs?: readonly FileHash[];
  detail?: Readonly<Record<string, string | number>>;
}

export interface TranscriptLine extends TranscriptFacts {
  n: number;
  /** RFC 3339. */
  at: string;
  /** SHA-256 of the line before, without its line feed; 64 zeros in the first. */
  previous: string;
}

export const NO_LINE = '0'.repeat(64);

export const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** JSON Lines, each carrying the hash of the one before: a line that is changed, taken out or put in breaks the chain. */
export class Transcript {
  private constructor(
    private readonly file: string,
    private readonly clock: Clock,
    private count: number,
    private last: string,
  ) {}

  /** Goes on where the file ends. Throws `invalid` where its chain is broken. */
  static async open(file: string, clock: Clock): Promise<Transcript> {
    const text = await readFile(file, 'utf8').catch(() => '');
    const lines = readTranscript(text);
    const raw = text.split('\n').filter((line) => line !== '');
    return new Transcript(file, clock, lines.length, lines.length === 0 ? NO_LINE : sha256(raw.at(-1)!));
  }

  async add(facts: TranscriptFacts): Promise<void> {
    const n = this.count + 1;
    const line: TranscriptLine = { n, at: this.clock.now().toISOString(), previous: this.last, ...facts };
    const text = JSON.stringify(line);
    await appendFile(this.file, `${text}\n`, { mode: 0o644, flush: true });
    this.count = n;
    this.last = sha256(text);
  }
}

/** The lines of a whole transcript. Throws `invalid` for the first that does not follow from the one before. */
export function readTranscript(text: string): TranscriptLine[] {
  let previous = NO_LINE;
  if (text !== '' && !text.endsWith('\n')) throw new AuthorityError('invalid', 'the transcript ends within a line');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((raw, index) => {
      const line = parse(raw, index + 1);
      if (line.n !== index + 1 || line.previous !== previous) {
        throw new AuthorityError('invalid', `line ${index + 1} of the transcript does not follow from the one before`);
      }
      previous = sha256(raw);
      return line;
    });
}

function parse(raw: string, n: number): TranscriptLine {
  try {
    return JSON.parse(raw) as TranscriptLine;
  } catch (cause) {
    throw new AuthorityError('invalid', `line ${n} of the transcript is no JSON`, { cause });
  }
}
