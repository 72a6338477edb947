/** What commands print: aligned text for people, the API's JSON unchanged with `--json`. */
export interface Column {
  title: string;
  /** Path of members, `enrollment.secret`. */
  member: string;
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** A table with one line per item, columns as wide as their widest value. */
export function table(items: readonly unknown[], columns: readonly Column[]): string[] {
  const rows = [columns.map(({ title }) => title.toUpperCase())];
  for (const item of items) rows.push(columns.map(({ member }) => cell(memberOf(item, member))));
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((text, i) => text.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** One line per member, nested ones by their path; members in `without` stay out. */
export function record(value: unknown, without: readonly string[] = []): string[] {
  const entries = flatten(value, '').filter(([name]) => !without.includes(name));
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
}

function flatten(value: unknown, path: string): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path, cell(value)]];
  return Object.entries(value).flatMap(([name, inner]) => flatten(inner, path === '' ? name : `${path}.${name}`));
}

function memberOf(value: unknown, path: string): unknown {
  let at = value;
  for (const name of path.split('.')) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

/** Names are chosen by others: no control character of theirs reaches the terminal. */
export function cell(value: unknown): string {
  if (value === undefined || value === null || value === '') return '-';
  const text = Array.isArray(value)
    ? value.map(cell).join(', ')
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?') || '-';
}
