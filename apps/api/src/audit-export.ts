import { readLines } from '#audit';
import type { Actor, AuthorityContext } from '#authority';
import { listAudit, type AuditFilter } from '#store';
import { read } from './authority-module.js';
import { csvCell } from './certificates-csv.js';
import { auditEventJson } from './schema/audit.js';

const ROWS_PER_READ = 1000;
const COLUMNS = ['id', 'at', 'actor', 'action', 'subject', 'outcome', 'requestId', 'detail'] as const;

type Event = ReturnType<typeof auditEventJson>;

/** Every event that the filters let through, newest first, read page by page so that a large export never piles up. */
async function* pages(a: AuthorityContext, actor: Actor, filter: AuditFilter): AsyncGenerator<Event[]> {
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const request = { limit: ROWS_PER_READ, cursor };
    const page = await read(a, actor, (tx) => listAudit(tx, request, filter));
    if (page.items.length > 0) yield page.items.map(auditEventJson);
    cursor = page.nextCursor;
  }
}

/** RFC 4180; `detail` as JSON. */
export async function* auditCsv(a: AuthorityContext, actor: Actor, filter: AuditFilter): AsyncGenerator<string> {
  yield `${COLUMNS.join(',')}\r\n`;
  for await (const events of pages(a, actor, filter)) yield events.map(csvLine).join('');
}

/** One event per line, as the list tells it. For what proves something, see `leafLines`. */
export async function* auditJsonLines(a: AuthorityContext, actor: Actor, filter: AuditFilter): AsyncGenerator<string> {
  for await (const events of pages(a, actor, filter)) {
    yield events.map((event) => `${JSON.stringify(event)}\n`).join('');
  }
}

/** Line n is leaf n, up to `size`. The actor sees every organization. */
export async function* leafLines(a: AuthorityContext, actor: Actor, size: number): AsyncGenerator<Buffer> {
  const lineEnd = Buffer.from('\n');
  for (let from = 0; from < size; from += ROWS_PER_READ) {
    const lines = await read(a, actor, (tx) => readLines(tx, from, Math.min(size, from + ROWS_PER_READ)));
    yield Buffer.concat(lines.flatMap((line) => [line, lineEnd]));
  }
}

function csvLine(event: Event): string {
  return `${COLUMNS.map((column) => csvCell(column === 'detail' ? JSON.stringify(event.detail) : event[column])).join(',')}\r\n`;
}
