import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ERROR_KINDS } from '#kernel';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { apps, code, libs, read, ROOT, sourcesOf } from './layers.js';

const products = [...libs().map((lib) => `libs/${lib}/src`), ...apps().map((app) => `apps/${app}/src`)].flatMap(
  sourcesOf,
);
const matching = (pattern: RegExp): string[] => products.filter((file) => pattern.test(code(file)));

describe('in the sources of the product', () => {
  test('there are some: the search below is one that finds', () => {
    expect(products.length).toBeGreaterThan(150);
    expect(matching(/AuthorityError/).length).toBeGreaterThan(50);
  });

  test('time is read by the clock of kernel alone', () => {
    expect(matching(/\bDate\.now\(|\bnew Date\(\s*\)|\bperformance\.now\(|process\.hrtime|process\.uptime/)).toEqual([
      'libs/kernel/src/clock.ts',
    ]);
  });

  test('the environment is read by the config of kernel alone', () => {
    expect(matching(/process\.env|process\['env'\]/)).toEqual(['libs/kernel/src/config.ts']);
  });

  test('nothing is random but by node:crypto', () => {
    expect(matching(/Math\.random/)).toEqual([]);
  });

  test('SQL stands in store only', () => {
    const sql = /[`'"]\s*(select\s+[\s\S]{1,400}?\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s)/i;
    const allowed = (file: string) => file.startsWith('libs/store/') || file.startsWith('apps/touchmark/src/');
    expect(matching(sql).filter((file) => !allowed(file))).toEqual([]);
  });

  test('no type is switched off', () => {
    expect(products.filter((file) => /@ts-ignore|@ts-nocheck/.test(read(file)))).toEqual([]);
  });

  test('a lint rule is switched off only with its reason', () => {
    const unexplained = products.flatMap((file) =>
      [...read(file).matchAll(/eslint-disable.*/g)].filter((match) => !/--\s*\S/.test(match[0])).map(() => file),
    );
    expect(unexplained).toEqual([]);
  });

  test('nothing is left to do in a comment', () => {
    expect(products.filter((file) => /\b(TODO|FIXME|XXX|HACK)\b/.test(read(file)))).toEqual([]);
  });

  test('no file is called after nothing', () => {
    const vague = /(^|\/)(utils?|helpers?|managers?|common|misc|dto|types)(\.ts|\/)/;
    expect(products.filter((file) => vague.test(file))).toEqual([]);
  });
});

describe('the documents', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await startTestDatabase({ upTo: 'schema' });
  });
  afterAll(() => db.stop());

  test('describe every table under its name, with every column, and no table that is not there', async () => {
    const text = read('docs/DATA-MODEL.md');
    const sections = new Map(
      [...text.matchAll(/^### `([a-z_]+)`\n([\s\S]*?)(?=^##|$(?![\s\S]))/gm)].map((match) => [match[1]!, match[2]!]),
    );
    const columns = await db.sql<{ table: string; column: string }>(
      `select c.relname as table, a.attname as column from pg_class c join pg_attribute a on a.attrelid = c.oid
       where c.relnamespace = 'touchmark'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
         and a.attnum > 0 and not a.attisdropped`,
    );
    expect([...sections.keys()].sort()).toEqual([...new Set(columns.map((row) => row.table))].sort());
    const missing = columns.filter(({ table, column }) => !new RegExp(`\`${column}\``).test(sections.get(table) ?? ''));
    expect(missing).toEqual([]);
  });

  test('list every kind of error, and no other', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| `([a-zA-Z]+)` +\|/gm)].map((match) => match[1]!);
    expect(rows.sort()).toEqual([...ERROR_KINDS].sort());
  });

  test('refer to no file that is not there', () => {
    const documents = [
      ...readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.md'))
        .map((file) => `docs/${file}`),
      ...libs().map((lib) => `libs/${lib}/README.md`),
    ];
    const broken = documents.flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .filter((match) => !existsSync(path.join(ROOT, path.dirname(file), match[1]!)))
        .map((match) => `${file}: ${match[1]}`),
    );
    expect(broken).toEqual([]);
  });
});
