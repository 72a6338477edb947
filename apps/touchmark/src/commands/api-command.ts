import { InvalidArgumentError, type Command } from 'commander';
import { AuthorityError, loadConfig } from '#kernel';
import { connectApi, type ApiClient, type Connection } from '../client.js';
import { printJson, printLines, record, table, type Column } from '../output.js';

export interface ApiOptions extends Connection {
  json?: boolean;
}

export interface ListOptions extends ApiOptions {
  limit?: string;
  cursor?: string;
}

/** A command that talks to a running instance: `name` with its arguments, and an example for `--help`. */
export function apiCommand(parent: Command, name: string, description: string, example: string): Command {
  return withExample(parent.command(name).description(description), example)
    .option('--json', 'print the answer as JSON')
    .option('--url <url>', 'base URL of the API plane (default: from ready.json in TOUCHMARK_HOME)')
    .option('--token-file <file>', 'file with the operator token (default: likewise)')
    .option(
      '--ca <file>',
      'root certificate of that server, PEM (default: likewise; with --url: the roots Node trusts)',
    );
}

export function listCommand(parent: Command, description: string, example: string): Command {
  return apiCommand(parent, 'list', `${description}, newest first`, example)
    .option('--limit <n>', 'how many at most')
    .option('--cursor <cursor>', 'go on where the last page ended');
}

export function withExample(command: Command, example: string): Command {
  return command.addHelpText('after', `\nExample:\n  npx touchmark ${example}\n`);
}

export function connect(options: ApiOptions): Promise<ApiClient> {
  const { url, tokenFile, ca } = options;
  return connectApi({ url, tokenFile, ca }, () => loadConfig().home);
}

export function printList(page: unknown, columns: readonly Column[], { json }: ApiOptions): void {
  if (json === true) return printJson(page);
  const { items = [], nextCursor } = page as { items?: unknown[]; nextCursor?: string | null };
  if (items.length === 0) return printLines(['None.']);
  printLines(table(items, columns));
  if (nextCursor) printLines(['', `More: add --cursor ${nextCursor}`]);
}

/** With `note`, which says what to do with a secret that is not shown again. */
export function printRecord(
  value: unknown,
  { json }: ApiOptions,
  note?: string,
  without: readonly string[] = [],
): void {
  if (json === true) return printJson(value);
  const { approvalId } = value as { approvalId?: unknown };
  printLines(record(value, without));
  if (typeof approvalId === 'string')
    printLines([
      '',
      'Nothing is done yet. A second person approves it within the hour:',
      `  npx touchmark approval approve ${approvalId}`,
    ]);
  else if (note !== undefined) printLines(['', note]);
}

/** As a record without the PEM, or as the PEM alone. */
export function printCertificate(found: unknown, options: ApiOptions & { pem?: boolean }): void {
  if (options.pem !== true) return printRecord(found, options, undefined, ['pem']);
  const { pem } = found as { pem?: unknown };
  if (typeof pem !== 'string') throw new AuthorityError('conflict', 'The certificate is not signed yet.');
  printLines([pem.trim()]);
}

/** The query of a list: `limit`, `cursor` and filters that were given. */
export function pageQuery({ limit, cursor }: ListOptions, filters: Record<string, string | undefined> = {}) {
  return { limit, cursor, ...filters };
}

/** An identifier as one segment of a path. Throws `invalid` for none, as a shell variable that is not set gives. */
export function segment(id: string): string {
  if (id === '') throw new AuthorityError('invalid', 'An id or a name is empty: give the one you mean.');
  return encodeURIComponent(id);
}

/** The body without members that were not given. */
export function body(members: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** `90`, `90s`, `15m`, `24h`, `7d` as seconds. */
export function parseSeconds(text: string): number {
  const [, number, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('Give seconds, or a number with s, m, h or d: 24h.');
  const factors: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
  return Number(number) * (factors[unit] ?? 1);
}

/** RFC 3339, as the API takes it; checked here so that a slip is a usage error. */
export function parseTime(text: string): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) || Number.isNaN(Date.parse(text))) {
    throw new InvalidArgumentError('Give a time like 2027-01-31T00:00:00Z.');
  }
  return text;
}
