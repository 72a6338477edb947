import { filesOf, read } from './layers.js';

/** A line of a specification that this project has to keep, or a rule of its own where none fixes it. */
export interface Statement {
  id: string;
  /** M: demanded; S: advised; O: where it is offered; H: our own rule. */
  level: 'M' | 'S' | 'O' | 'H';
  section: string;
  statement: string;
}

const SECTIONS: Readonly<Record<string, string>> = {
  '1': 'EST',
  '2': 'X.509',
  '4': 'SIP and IM identities',
  '6': 'TLS-terminating proxies, tokens, error documents',
};

export const statements = (): Statement[] =>
  JSON.parse(read('test/architecture/conformance-statements.json')) as Statement[];

/** Files by id: the specs that name it in the name of a test (any text of a spec counts as one), and the ADRs that say why not. */
export function proofs(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const add = (id: string, file: string): void => {
    const files = found.get(id) ?? [];
    if (!files.includes(file)) found.set(id, [...files, file]);
  };
  for (const file of ['libs', 'apps', 'test'].flatMap((folder) => filesOf(folder, '.spec.ts'))) {
    for (const id of idsIn(textsOf(read(file)))) add(id, file);
  }
  for (const file of filesOf('docs/adr', '.md')) {
    for (const [, list = ''] of read(file).matchAll(/^Conformance: (.*)$/gm)) {
      for (const id of idsIn(list)) add(id, file);
    }
  }
  return found;
}

/** What stands in quotes, line by line: names of tests and the cells of their tables. */
function textsOf(source: string): string {
  const code = source.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  return [...code.matchAll(/'((?:\\.|[^'\\\n])*)'|`((?:\\.|[^`\\])*)`|"((?:\\.|[^"\\\n])*)"/g)]
    .map((match) => match[1] ?? match[2] ?? match[3])
    .join('\n');
}

const idsIn = (text: string): string[] =>
  [...text.matchAll(/\b(?:EX|SX|TX|E|X|S|T)\d{2,3}[a-z]?\b/g)].map(([id]) => id);

/** The whole document; what nothing proves says _missing_. */
export function renderConformance(all: Statement[], found: ReadonlyMap<string, string[]>): string {
  const lines = [
    '# Conformance',
    '',
    'Every line of the specifications that issuance and EST have to keep, with the tests that name it. Levels: M demanded by the RFC,',
    'S advised, O where the feature is offered, H our own rule where no RFC fixes it. Generated:',
    '`WRITE_CONFORMANCE=1 npm test -- test/architecture/conformance`; a test compares it with the code.',
  ];
  let part = '';
  for (const one of all) {
    const [of = ''] = one.section.split('.');
    if (of !== part) {
      part = of;
      lines.push('', `## ${SECTIONS[of] ?? of}`, '', '| Id | Level | Statement | Proof |', '| --- | --- | --- | --- |');
    }
    const files = found.get(one.id)?.map((file) => `\`${file}\``) ?? ['_missing_'];
    lines.push(`| ${one.id} | ${one.level} | ${one.statement.replaceAll('|', '\\|')} | ${files.join(', ')} |`);
  }
  return `${lines.join('\n')}\n`;
}
