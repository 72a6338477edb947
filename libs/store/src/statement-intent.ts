import type { SpanFacts } from '#kernel';

export interface StatementIntent {
  /** As OpenTelemetry names spans of databases: `<operation> <table>`. */
  name: string;
  facts: SpanFacts;
}

/** One for each statement text; the texts are constants of this lib, so their number is bounded. */
const known = new Map<string, StatementIntent>();

/** What a statement does and to which table, for its span. Values are parameters, and the text itself stays here. */
export function intentOf(sql: string): StatementIntent {
  let intent = known.get(sql);
  if (intent === undefined) {
    intent = read(sql);
    known.set(sql, intent);
  }
  return intent;
}

const TARGET = /\b(?:insert\s+into|update|delete\s+from)\s+([a-z_]+)/;

function read(sql: string): StatementIntent {
  const text = sql.trim().toLowerCase();
  const system = { 'db.system.name': 'postgresql' };
  // A statement with `with` does what its writing part does.
  const operation = (/^with\b[\s\S]*?\b(insert|update|delete)\b/.exec(text) ?? /^([a-z]+)/.exec(text))?.[1] ?? 'sql';
  const table = (operation === 'select' ? /\bfrom\s+([a-z_]+)/ : TARGET).exec(text)?.[1];
  if (table === undefined) return { name: operation, facts: { ...system, 'db.operation.name': operation } };
  const facts = { ...system, 'db.operation.name': operation, 'db.collection.name': table };
  return { name: `${operation} ${table}`, facts };
}
