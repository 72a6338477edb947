import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.join(import.meta.dirname, '../..');

/** Imports go one way only: what each lib may import, and nothing else. Libs of one layer do not import each other. */
const LAYERS = [
  ['kernel'],
  ['pki'],
  ['est', 'credential', 'policy'],
  ['store'],
  ['audit', 'signing', 'status'],
  ['authority'],
  ['publication'],
] as const;

/** `verifier` is what others install: it stands beside `policy` and knows two libs. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = { verifier: ['kernel', 'credential', 'pki'] };

export function mayImport(lib: string): readonly string[] {
  const layer = LAYERS.findIndex((names) => (names as readonly string[]).includes(lib));
  const below = EXCEPTIONS[lib] ?? (layer === -1 ? undefined : LAYERS.slice(0, layer).flat());
  if (below === undefined) throw new Error(`libs/${lib} stands in no layer`);
  return below;
}

export const libs = (): string[] => foldersOf('libs');
export const apps = (): string[] => foldersOf('apps');

function foldersOf(parent: string): string[] {
  return readdirSync(path.join(ROOT, parent)).filter((name) => statSync(path.join(ROOT, parent, name)).isDirectory());
}

/** Product sources below a folder, as paths from the root: no specs, no test support. */
export function sourcesOf(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts') && !/(^|\/)testing\//.test(file))
    .map((file) => path.join(folder, file));
}

/** Every file with this ending below a folder, as paths from the root. */
export function filesOf(folder: string, ending: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => path.join(folder, file))
    .sort();
}

export const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** Source without comments, so that words in prose do not count; strings stay. */
export function code(file: string): string {
  return read(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

/** Module specifiers of a source: imports, re-exports and dynamic imports. */
export function importsOf(file: string): string[] {
  const found = code(file).matchAll(/(?:from\s+|import\s+|import\()\s*'([^']+)'/g);
  return [...found].map((match) => match[1]!);
}
