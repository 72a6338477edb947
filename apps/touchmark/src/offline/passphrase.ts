import { readFile } from 'node:fs/promises';
import { AuthorityError } from '#kernel';

/** From the first line of a file, or typed without echo where standard input is a terminal. */
export async function readPassphrase(file: string | undefined, twice: boolean): Promise<string> {
  if (file !== undefined) return (await readFile(file, 'utf8')).split('\n', 1)[0]!.replace(/\r$/, '');
  if (!process.stdin.isTTY) {
    throw new AuthorityError('invalid', 'there is no terminal to ask for the passphrase: give --passphrase-file');
  }
  const typed = await ask('Passphrase of the root key: ');
  if (twice && (await ask('Once more: ')) !== typed) throw new AuthorityError('invalid', 'the two are not the same');
  return typed;
}

function ask(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let typed = '';
  const end = (finish: () => void): void => {
    stdin.setRawMode(false);
    stdin.pause();
    stdin.removeListener('data', onData);
    stderr.write('\n');
    finish();
  };
  const onData = (chunk: Buffer | string): void => {
    for (const character of String(chunk)) {
      if (character === '\r' || character === '\n') return end(() => resolve(typed));
      if (character === '\u0003') return end(() => reject(new AuthorityError('invalid', 'given up')));
      typed = character === '\u007f' ? typed.slice(0, -1) : typed + character;
    }
  };
  stdin.on('data', onData);
  return promise;
}
