import type { Ended } from './program.js';

const MARK = '@@expectation';

export interface Walk {
  script: string;
  /** What has to be printed between the mark before and the mark of the same number. */
  expected: string[];
}

/** The blocks between two comments of a document, with a mark printed where it says what is printed. */
export function readWalk(text: string, name: string, walk: Walk = { script: '', expected: [] }): Walk {
  const [, part] = new RegExp(`<!-- ${name} -->([^]*?)<!-- end of ${name} -->`).exec(text) ?? [];
  const blocks = [...(part ?? '').matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
  if (blocks.length === 0) throw new Error(`the document has no blocks for ${name}`);
  const { expected } = walk;
  const lines = blocks
    .flatMap((block) => block.split('\n'))
    .map((line) => {
      const wanted = /^# prints: (.+)$/.exec(line)?.[1];
      if (wanted === undefined) return line;
      expected.push(wanted);
      return `echo '${MARK} ${expected.length - 1}'`;
    });
  return { script: `${walk.script}${lines.join('\n')}\n`, expected };
}

/** Expectations that follow each other directly are about the same output. */
export function judge({ expected }: Walk, { stdout }: Ended): { expected: string; printed: string }[] {
  const text = stdout.toString();
  let printed = '';
  let from = 0;
  return expected.map((wanted, number) => {
    const mark = `${MARK} ${number}\n`;
    const at = text.indexOf(mark, from);
    if (at < 0) throw new Error(`the walk ended before "${wanted}"`);
    const since = text.slice(from, at);
    if (since !== '') printed = since;
    from = at + mark.length;
    return { expected: wanted, printed };
  });
}
